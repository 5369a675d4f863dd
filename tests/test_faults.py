"""Nothing is lost and nothing lies, whatever fails at whichever moment: real sweeps, through `make`."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from lib import files, paths
from lib.data.preparation import prepare
from lib.data.store import open_store
from lib.errors import DataError
from lib.runs import records, state, status
from lib.runs.digests import dataset_digest
from lib.runs.state import Kind
from lib.study.loading import load_study
from tests import faults
from tests.faults import ENVIRONMENT, FAULTS, HUP, INT, KILL, TERM, Sweep

pytestmark = pytest.mark.usefixtures("disk")

ROUNDS = 10
"""The parts of the long form: 10 times 20 faults, in another order and at other moments each time."""


@pytest.fixture(scope="module")
def disk(digits):
    """A small disk for the runs and for Snakemake's notes; yields whether there is one, which root alone can mount."""
    places = (paths.EXECUTED, paths.ROOT / ".snakemake")
    for place in places:
        place.mkdir(exist_ok=True)
    examined = {path: path.read_bytes() for path in paths.EXECUTED.glob("doctor-*.json")}
    mount = ["mount", "-t", "tmpfs", "-o", f"size={faults.ROOM}", "tmpfs", places[0]]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    if mounted:
        (paths.EXECUTED / ".notes").mkdir()
        subprocess.run(["mount", "--bind", paths.EXECUTED / ".notes", places[1]], check=True)
        for path, content in examined.items():
            path.write_bytes(content)
    yield mounted
    if mounted:
        subprocess.run(["umount", *reversed(places)], check=True)


def began(study):
    """The cells of a study whose run was started and has no record."""
    return [cell for cell in study.cells if status.path(cell).exists()]


def kept_an_epoch(study):
    return any((records.unfinished(cell) / "progress.json").exists() for cell in study.cells)


def results(cell):
    """All that a run leaves and that has to be the same each time."""
    log = pd.read_csv(records.product(cell, "epochs.csv"), dtype=str).drop(columns="epoch_time_seconds").to_csv()
    result = json.loads(records.product(cell, "test.json").read_text())
    with np.load(records.product(cell, "logits.npz")) as file:
        return log, result, file["logits"].tobytes(), file["labels"].tobytes()


@pytest.fixture(scope="module")
def study(tiny_study):
    """Two short runs in PyTorch, whose workers must end too."""
    settings = {"epochs": 30, "augmentation": {"rotation": 5.0}}  # for which worker processes are started
    return load_study(tiny_study("signalled", frameworks=["pytorch"], seeds=[1, 2], settings=settings))


@pytest.mark.parametrize(
    ("victim", "how"),
    [
        ("the group", INT),
        pytest.param(["make"], TERM, marks=pytest.mark.thorough),
        *(pytest.param("the group", how, marks=pytest.mark.thorough) for how in (TERM, HUP)),
        *(
            pytest.param(words, how, marks=pytest.mark.thorough)
            for words in (["lib.sweep"], ["lib.sweep.snakemake"])
            for how in (TERM, INT, HUP, KILL)
        ),
    ],
)
def test_a_signal_ends_everything_in_seconds_and_starts_nothing(study, victim, how):
    """Ctrl-C and a closed terminal reach the whole foreground group; `kill` reaches one process."""
    for cell in study.cells:
        shutil.rmtree(records.folder(cell), ignore_errors=True)
    sweep = Sweep(study.name)
    sweep.wait_for(lambda: kept_an_epoch(study))
    assert len(sweep.processes()) > 5, "the workers are counted too"
    if victim == "the group":
        os.killpg(sweep.make.pid, how)
    else:
        sweep.find(*victim).send_signal(how)
    seconds, printed = sweep.end()
    assert seconds < 20
    assert "Traceback" not in printed
    assert [state.state(cell).kind for cell in began(study)] == [Kind.INTERRUPTED]
    with state.claimed(study.cells[0]), state.claimed(study.cells[1]):
        pass


@pytest.fixture(scope="module")
def faultless(tiny_study):
    """The results of a study in both frameworks that nothing went wrong with, by framework."""
    study = load_study(tiny_study("faultless"))
    sweep = Sweep(study.name)
    _, printed = sweep.end(300)
    assert sweep.make.returncode == 0, printed
    return {cell.framework: results(cell) for cell in study.cells}


@pytest.mark.thorough
def test_a_finished_run_outlives_its_cell(faultless, tiny_study):
    """Killed when the record has just appeared, before the cell has ended: once, that deleted the record."""
    study = load_study(tiny_study("outlived", frameworks=["pytorch"]))
    (cell,) = study.cells
    sweep = Sweep(study.name)
    sweep.wait_for((records.folder(cell) / "record.json").exists)
    sweep.find("lib.sweep.cell").kill()
    sweep.end()
    assert state.state(cell).kind == Kind.DONE
    again = Sweep(study.name)
    assert "1 runs (1 done); 0 to run" in again.end()[1]
    assert results(cell) == faultless["pytorch"]
    assert not records.unfinished(cell).exists()


SHORT = ("kernel killed", "disk full", "two sweeps")
"""The faults that most often happen; the others are in the long form."""


@pytest.mark.parametrize(
    ("part", "kinds"),
    [(0, SHORT), *(pytest.param(part, tuple(FAULTS), marks=pytest.mark.thorough) for part in range(1, ROUNDS + 1))],
    ids=["short", *(f"part-{part}-of-{ROUNDS}" for part in range(1, ROUNDS + 1))],
)
def test_faults_at_random_moments_change_no_result_and_leave_no_process(faultless, tiny_study, disk, part, kinds):
    trial = Trial(load_study(tiny_study(f"faulty-{part}")), faultless, random.Random(part))
    for fault in trial.chance.sample(kinds, len(kinds)):
        if disk or fault != "disk full":
            trial.suffer(fault)
        else:
            warnings.warn("the fault of a full disk is left out: root alone can mount one", stacklevel=1)
    trial.finish()
    for fault, kinds in trial.suffered.items():
        print(f"{fault}: {', '.join(kinds)}")
    print(f"{len(trial.suffered)} faults in {trial.sweeps} sweeps")


PATIENCE = {"disk full": 20, "store damaged": 120}
"""For how many seconds a sweep goes on with a fault that lasts, before it is ended."""


class Trial:
    """Sweeps of one study, one after another, and the faults that they suffer."""

    def __init__(self, study, faultless, chance):
        self.study, self.faultless, self.chance = study, faultless, chance
        self.sweep, self.sweeps, self.suffered = None, 0, {}

    def suffer(self, fault):
        """Wait for a random moment, break something, and compare what the status says with what there is."""
        self.go_on()
        while not self.at_random_moment(fault):
            if self.sweep.over:
                self.settle()
                self.go_on()
        print(fault, flush=True)
        self.suffered[fault] = self.assert_status_is_true()
        self.sweep.wait(PATIENCE.get(fault, 2))
        if self.sweep.over or fault in PATIENCE:
            self.suffered[fault] = self.settle()

    def at_random_moment(self, fault):
        self.sweep.wait(self.chance.uniform(0, 15))
        return not self.sweep.over and FAULTS[fault](self.sweep, self.study, self.chance)

    def go_on(self):
        """Have a sweep that runs; where all is done, begin again."""
        if self.sweep and not self.sweep.over:
            return
        if all(state.state(cell).kind == Kind.DONE for cell in self.study.cells):
            for cell in self.study.cells:
                shutil.rmtree(records.folder(cell))
        self.sweep, self.sweeps = Sweep(self.study.name, "RETRY_FAILED=1"), self.sweeps + 1

    def settle(self):
        """End the sweep, see that no process is left and that the status is true, and do what its messages ask for.

        Returns the states that the status told.
        """
        if not self.sweep.over:
            for make in self.sweep.makes:
                make.terminate()
        _, printed = self.sweep.end(60)
        assert not re.search(f'File "({faults.PROJECT}/lib|.*/snakemake)/', printed), printed  # HDF5 has its own
        faults.empty_the_disk()
        kinds = self.assert_status_is_true()
        for cell, kind in zip(self.study.cells, kinds, strict=True):
            if kind == Kind.UNREADABLE:
                (records.folder(cell) / "record.json").unlink()
        try:
            open_store("digits")
        except DataError:
            for path in paths.DATA.rglob("digits*"):
                path.unlink()
            prepare("digits")
        return kinds

    def finish(self):
        """Let a sweep end by itself: nothing is lost, and nothing is other than without faults."""
        self.sweep.end(300)
        self.settle()
        last = Sweep(self.study.name, "RETRY_FAILED=1")
        _, printed = last.end(300)
        assert last.make.returncode == 0, printed
        for cell in self.study.cells:
            assert state.state(cell).kind == Kind.DONE
            assert results(cell) == self.faultless[cell.framework]
            leftovers = {path.name for path in records.folder(cell).glob(".*")} - {".lock"}
            assert not leftovers
            assert not records.unfinished(cell).exists()

    def told(self):
        """The runs, as `make status OPTIONS=--json` tells of them."""
        command = [sys.executable, "-W", "ignore", "-m", "lib.sweep", "status", self.study.name, "--json"]
        answer = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
        return json.loads(answer.stdout)["runs"]

    def assert_status_is_true(self):
        """Compare the status with the processes that are there before it and after it, and with the files.

        Returns the states that it told.
        """
        trained, there = self.sweep.runs(training=True), self.sweep.runs()
        told = {row["run"]: row for row in self.told()}
        trained, there = trained & self.sweep.runs(training=True), there | self.sweep.runs()
        for cell in self.study.cells:
            kind, reason = told[cell.name]["state"], told[cell.name]["reason"]
            if kind == Kind.RUNNING:
                assert cell.name in there
            elif cell.name not in there:
                assert kind in self.possible(cell), (cell.name, reason)
                assert reason
            assert cell.name not in trained or kind == Kind.RUNNING, (cell.name, kind, reason)
        return [told[cell.name]["state"] for cell in self.study.cells]

    def possible(self, cell):
        """The states that the files of a run at rest allow."""
        record = records.read_record(cell)
        if record and all(files.is_intact(records.folder(cell) / name, sum) for name, sum in record.products.items()):
            if dataset_digest("digits") is None:
                return [Kind.STALE]
            assert results(cell) == self.faultless[cell.framework]
            return [Kind.DONE]
        if (records.folder(cell) / "record.json").exists():
            return [Kind.UNREADABLE] if dataset_digest("digits") else [Kind.UNREADABLE, Kind.STALE]
        return [Kind.INTERRUPTED, Kind.FAILED] if status.path(cell).exists() else [Kind.MISSING]
