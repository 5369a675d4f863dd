"""Nothing is lost and nothing lies, whichever process is killed at whichever moment: real sweeps, through `make`."""

import json
import os
import random
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from lib.runs import records, state
from lib.runs.state import Kind
from lib.study.loading import load_study
from tests.faults import Sweep

pytestmark = pytest.mark.usefixtures("digits")

TERM, INT, HUP, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL


def began(study):
    """The cells of a study whose run was started and has no record."""
    return [cell for cell in study.cells if (records.folder(cell) / "status.json").exists()]


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
    return load_study(tiny_study("signalled", frameworks=["pytorch"], seeds=[1, 2], settings={"epochs": 30}))


@pytest.mark.parametrize(
    ("victim", "how"),
    [
        (["make"], TERM),
        ("the group", INT),
        pytest.param("the group", HUP, marks=pytest.mark.thorough),
        *(
            pytest.param(words, how, marks=pytest.mark.thorough)
            for words in (["lib.sweep"], ["snakemake"])
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


@pytest.mark.parametrize("kills", [2, pytest.param(40, marks=pytest.mark.thorough)])
def test_kills_at_random_moments_change_no_result_and_leave_no_process(faultless, tiny_study, kills):
    study = load_study(tiny_study(f"killed-{kills}"))
    chance, killed = random.Random(kills), 0
    while killed < kills:
        if all(state.state(cell).kind == Kind.DONE for cell in study.cells):
            for cell in study.cells:
                shutil.rmtree(records.folder(cell))
        sweep = Sweep(study.name)
        while killed < kills:
            time.sleep(chance.uniform(0, 12))
            if sweep.make.poll() is not None:
                break
            killed += kill_one(sweep, chance)
        if sweep.make.poll() is None:
            sweep.make.terminate()
        sweep.end()
        assert_status_is_true(study, faultless)
    last = Sweep(study.name)
    _, printed = last.end(300)
    assert last.make.returncode == 0, printed
    for cell in study.cells:
        assert state.state(cell).kind == Kind.DONE
        assert results(cell) == faultless[cell.framework]


def kill_one(sweep, chance):
    """Send a signal to one of a sweep's processes; return whether it was still there."""
    with suppress(psutil.Error, IndexError):
        victim = chance.choice(sorted(sweep.processes(), key=lambda process: process.pid))
        victim.send_signal(chance.choice([KILL, KILL, TERM, INT, HUP]))
        return True
    return False


def assert_status_is_true(study, faultless):
    """No process is left, so nothing is running; what is done is right; what is not says so."""
    for cell in study.cells:
        kind = state.state(cell).kind
        if records.read_record(cell):
            assert kind == Kind.DONE
            assert results(cell) == faultless[cell.framework]
        else:
            assert kind in (Kind.MISSING, Kind.INTERRUPTED, Kind.FAILED)
        assert [
            path for path in Path(records.folder(cell)).glob(".*") if path.name != ".lock"
        ] == [] or kind != Kind.DONE
