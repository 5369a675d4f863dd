"""A machine is divided: each run has its GPU or its cores for itself, whoever starts it."""

import subprocess
import sys
import time

import pytest

import lib.sweep.cell
from lib import environment
from lib.errors import ParameterError
from lib.runs import records, state
from lib.runs.status import Kind
from lib.study.loading import load_study
from lib.sweep import slots

ALONE = """
import subprocess, sys, time
from lib.sweep import slots
with slots.claimed(slots.slots()) as given:
    show = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['OMP_NUM_THREADS'], flush=True)"
    subprocess.run([sys.executable, "-c", show], env=given, check=True)
    sys.stdin.readline()
"""


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Returns a function that gives this machine other cores and GPUs, which a made-up `nvidia-smi` lists."""
    monkeypatch.setenv("PAIRED_SLOTS", str(tmp_path / "slots"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def have(cores=(0, 1), gpus=0):
        monkeypatch.setattr(environment.os, "sched_getaffinity", lambda _: set(cores))
        if gpus:
            program = tmp_path / "bin/nvidia-smi"
            program.parent.mkdir(exist_ok=True)
            program.write_text("#!/bin/sh\n" + "".join(f"echo '{k}, GPU-{k}{k}'\n" for k in range(gpus)))
            program.chmod(0o755)
            monkeypatch.setenv("PATH", str(program.parent), prepend=":")

    return have


def test_a_machine_without_a_gpu_is_one_slot_with_all_threads_or_its_cores_are_divided(machine):
    machine(cores=[0, 1, 4, 5, 6])
    (whole,) = slots.slots()
    assert whole.units == ("core-0", "core-1", "core-4", "core-5", "core-6")
    assert whole.environment["OMP_NUM_THREADS"] == whole.environment["TF_NUM_INTRAOP_THREADS"] == "5"
    first, second = slots.slots(2)
    assert (first.name, first.units) == ("cores 0 to 1", ("core-0", "core-1"))
    assert second.units == ("core-4", "core-5", "core-6")
    assert [one.environment["OMP_NUM_THREADS"] for one in (first, second)] == ["2", "3"]
    assert slots.at_once(None) == 1
    assert slots.at_once(2) == 2
    for wrong in (0, 6):
        with pytest.raises(ParameterError, match=f"JOBS={wrong}: this machine has 5 cores"):
            slots.at_once(wrong)


def test_each_visible_gpu_is_a_slot_and_a_run_on_two_devices_has_two(machine, monkeypatch):
    machine(cores=range(8), gpus=4)
    assert [one.environment["CUDA_VISIBLE_DEVICES"] for one in slots.slots()] == ["0", "1", "2", "3"]
    assert slots.slots()[1].units == ("GPU-11",)
    assert {one.environment["OMP_NUM_THREADS"] for one in slots.slots()} == {"2"}
    assert [one.environment["CUDA_VISIBLE_DEVICES"] for one in slots.slots(devices=2)] == ["0,1", "2,3"]
    assert [one.units for one in slots.slots(devices=3)] == [("GPU-00", "GPU-11", "GPU-22")]
    assert len(slots.slots(devices=5)) == 1  # which the learner refuses
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-11")
    assert [one.environment["CUDA_VISIBLE_DEVICES"] for one in slots.slots()] == ["3", "1"]
    assert {one.environment["OMP_NUM_THREADS"] for one in slots.slots()} == {"4"}
    assert slots.at_once(None) == 2
    with pytest.raises(ParameterError, match="JOBS=3: this machine has 2 GPUs"):
        slots.at_once(3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert [one.units[0] for one in slots.slots()] == ["core-0"]


def test_runs_at_the_same_time_are_pinned_to_different_gpus_and_one_more_waits(machine):
    machine(cores=range(4), gpus=2)
    started = [
        subprocess.Popen([sys.executable, "-c", ALONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    first = [process.stdout.readline() for process in started]
    pinned = [line.split()[0] for line in first if not line.startswith("waiting")]
    assert sorted(pinned) == ["0", "1"]
    assert "waiting for a slot: GPU 0, GPU 1 in use\n" in first
    waiting = started[first.index("waiting for a slot: GPU 0, GPU 1 in use\n")]
    killed = next(process for process in started if process is not waiting)
    killed.kill()  # it leaves its slot to the one that waits
    assert waiting.stdout.readline().split()[0] == first[started.index(killed)].split()[0]
    for process in started:
        process.communicate("\n")


def test_a_part_of_the_cores_is_not_given_away_twice(machine):
    """One sweep uses the whole machine, another one halves of it."""
    machine(cores=[0, 1])
    whole, (first, second) = slots.slots(), slots.slots(2)
    with slots.claimed([second]):
        with slots.ExitStack() as held:
            assert slots._first_free(whole, held) is None
            assert slots._first_free([first, second], held) == first
        with slots.ExitStack() as held:
            assert slots._first_free([second], held) is None
    with slots.claimed(whole), slots.ExitStack() as held:
        assert slots._first_free([first, second], held) is None


@pytest.mark.usefixtures("digits")
def test_a_kernel_gets_the_environment_of_its_slot_and_a_scheduler_s_run_none(machine, tiny_study, monkeypatch):
    machine(cores=range(4), gpus=2)
    cell = load_study(tiny_study("pinned", frameworks=["pytorch"])).cells[0]
    given = []
    monkeypatch.setattr("lib.sweep.cell.examination.require", lambda: None)
    monkeypatch.setattr("lib.sweep.cell.examination.result", lambda: records.folder(cell) / "status.json")
    monkeypatch.setattr("lib.sweep.cell.execute", lambda *arguments: given.append(arguments[-1]))
    records.folder(cell).mkdir(parents=True)
    (records.folder(cell) / "status.json").touch()
    with slots.claimed(slots.slots()[:1]):
        for at_once in (None, 0):
            with pytest.raises(lib.sweep.cell.ChapterError, match="without a record"):
                lib.sweep.cell.run("pinned", cell, at_once=at_once)
    assert given[0]["CUDA_VISIBLE_DEVICES"] == "1"
    assert given[0]["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert given[1].keys() == {"PAIRED_CODE"}


@pytest.mark.usefixtures("digits")
@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.skipif("environment.cores() < 2"))])
def test_two_sweeps_of_one_study_train_each_run_once(tiny_study, jobs, monkeypatch, tmp_path):
    """On one slot the second waits for it; on two both train, each another run."""
    monkeypatch.setenv("PAIRED_SLOTS", str(tmp_path))
    study = load_study(tiny_study(f"shared-{jobs}", frameworks=["pytorch"], seeds=[1, 2, 3]))
    command = [sys.executable, "-W", "ignore", "-m", "lib.sweep", "run", study.name, "--at-once", str(jobs)]
    sweeps = []
    for _ in range(2):
        sweeps.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        time.sleep(1)
    printed = [sweep.communicate(timeout=1200)[0] for sweep in sweeps]
    assert [sweep.returncode for sweep in sweeps] == [0, 0], printed
    for cell in study.cells:
        assert state.state(cell).kind == Kind.DONE
        log = (records.folder(cell) / "console.log").read_text()
        assert [log.count(f"epoch {epoch}/3, loss") for epoch in (1, 2, 3)] == [1, 1, 1]
        assert records.read_record(cell).environment["slots"] == str(jobs)
        assert records.read_record(cell).environment["threads"] == str(environment.cores() // jobs)
    if jobs == 1:
        assert any("waiting for a slot: core" in text for text in printed)
    assert not list((records.folder(study.cells[0]).parent / ".over").glob("*"))
