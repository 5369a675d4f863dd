"""A sweep on a real SLURM, which `make test-slurm` sets up on this machine and takes down."""

import os
import subprocess
import sys

import pytest

from lib.runs import records, state
from lib.runs.status import Kind
from lib.study.loading import load_study
from tests.faults import Sweep
from tests.slurm import NODES, Slurm
from tests.test_faults import results

pytestmark = [
    pytest.mark.skipif("PAIRED_TEST_SLURM" not in os.environ, reason="starts SLURM's daemons: make test-slurm"),
    pytest.mark.usefixtures("digits"),
]

SMALL = (
    "--set-threads train=1 --default-resources mem_mb=2000 runtime=30 --slurm-init-seconds-before-status-checks 3"
    " --seconds-between-status-checks 3 --slurm-status-command squeue"
)
"""Nodes without a GPU; jobs whose state is asked for often, and of `squeue`, since there is no accounting."""


@pytest.fixture
def slurm(tmp_path):
    with Slurm(tmp_path) as slurm:
        yield slurm


@pytest.fixture
def sweeping(slurm):
    """Returns a function that starts a sweep of a study on the cluster; the sweep ends with the test."""
    sweeps = []

    def start(study):
        sweeps.append(Sweep(study.name, "PROFILE=slurm", f"OPTIONS={SMALL}"))
        return sweeps[-1]

    yield start
    for sweep in sweeps:
        sweep.make.terminate()
        sweep.make.communicate()


def test_a_sweep_uses_both_nodes_and_goes_on_where_one_dies(slurm, sweeping, tiny_study):
    study = load_study(tiny_study("clustered", seeds=[1, 2], settings={"epochs": 30}))
    sweep = sweeping(study)
    sweep.wait_for(lambda: set(slurm.running()) == set(NODES))
    before = slurm.running()
    killed = study.cell(before["n2"])
    sweep.wait_for((records.unfinished(killed) / "progress.json").exists, 300)
    print(f"both nodes train: {before}; n2 dies")
    slurm.kill("n2")
    slurm.wait(lambda: state.state(killed).kind == Kind.INTERRUPTED)
    job = slurm.wait(slurm.queued_again)
    print(f"job {job} is queued again; {slurm.asked('sinfo', '-h', '-N', '-o', '%N %T').split()}")
    slurm.asked("scontrol", "update", f"JobId={job}", "StartTime=now")  # SLURM waits two minutes otherwise
    _, printed = sweep.end(420)
    print(printed)
    assert sweep.make.returncode == 0, printed
    assert [state.state(cell).kind for cell in study.cells] == [Kind.DONE] * 4
    assert f"{killed.name}: goes on after epoch" in (records.folder(killed) / "console.log").read_text()
    assert slurm.asked("squeue", "-h") == ""
    assert results(killed) == results(alone(tiny_study, killed))


def alone(tiny_study, cell):
    """The same run, trained here and without a break."""
    changes = {"frameworks": [cell.framework], "seeds": [cell.seed], "settings": {"epochs": 30}}
    study = load_study(tiny_study("alone-here", **changes))
    command = [sys.executable, "-W", "ignore", "-m", "lib.sweep.cell", study.name, study.cells[0].name, "--at-once=0"]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return study.cells[0]


def test_a_signal_to_the_sweep_takes_its_jobs_off_the_cluster(slurm, sweeping, tiny_study):
    study = load_study(tiny_study("cancelled", frameworks=["pytorch"], seeds=[1, 2, 3], settings={"epochs": 300}))
    sweep = sweeping(study)
    sweep.wait_for(lambda: any((records.unfinished(cell) / "progress.json").exists() for cell in study.cells), 300)
    sweep.make.terminate()
    _, printed = sweep.end(60)
    print(printed)
    assert "Traceback" not in printed
    slurm.wait(lambda: slurm.asked("squeue", "-h") == "")
    kinds = {state.state(cell).kind for cell in study.cells}
    assert Kind.INTERRUPTED in kinds
    assert kinds <= {Kind.INTERRUPTED, Kind.MISSING}
