"""Room on the disk, which a sweep requires before it starts."""

from collections import namedtuple

import pytest

from lib import paths
from lib.bench import cost, disk, preflight
from lib.errors import UserError
from lib.runs.state import states
from lib.study.loading import load_study
from lib.sweep import planning, running
from lib.sweep.running import Manner

Usage = namedtuple("Usage", "free")
Ended = namedtuple("Ended", ["returncode", "stderr"])


def room(monkeypatch, gib):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: Usage(gib * 2**30))


def test_room_is_counted_for_all_runs_and_for_the_states_of_those_that_train(monkeypatch):
    cells = load_study("stage2").cells
    kept, state = disk.runs_gib(cells), cost.resume_gib(cells)
    assert kept == pytest.approx(sum(cost.run_gib(cell) for cell in cells), rel=0.1)
    room(monkeypatch, kept + 2 * state + 0.01)
    disk.require_room("stage2", cells, 2)
    with pytest.raises(
        UserError, match=rf"^stage2 needs {kept + 3 * state:.1f} GiB in .*executed: {kept:.1f} GiB for 180 runs"
    ):
        disk.require_room("stage2", cells, 3)


def test_a_sweep_without_room_is_refused_and_told_what_to_do(tiny_study):
    study = load_study(tiny_study("roomless", frameworks=["pytorch"]))
    with pytest.raises(UserError, match="^roomless needs .*iB are free. `make prune` lists what no run needs"):
        running._require_room(study, study.cells, 10**9)


@pytest.mark.parametrize(
    ("manner", "at_once"),
    [
        (Manner(at_once=4), 3),
        (Manner(at_once=2), 2),
        (Manner(profile="slurm"), 3),
        (Manner(profile="slurm", at_once=2), 2),
    ],
)
def test_plan_and_sweep_count_as_many_states_as_runs_can_train_at_once(manner, at_once, tiny_study, monkeypatch):
    monkeypatch.setattr("lib.environment.core_numbers", lambda: [0, 1, 2, 3])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    study = load_study(tiny_study("together", frameworks=["pytorch"], seeds=[1, 2, 3]))
    commands = []
    monkeypatch.setattr(planning.subprocess, "run", lambda command, **_: commands.append(command) or Ended(1, ""))
    with pytest.raises(SystemExit):
        planning.plan_and_measure(study, study.cells, manner)
    assert f"--at-once={at_once}" in commands.pop()
    for name in ("examination.require", "_require_whole_data", "clusters.options"):
        monkeypatch.setattr(f"lib.sweep.running.{name}", lambda *_: [])
    with pytest.raises(UserError):
        running.run(study, states(study.cells), manner, [])
    assert f"--at-once={at_once}" in commands.pop()


def test_the_plan_says_that_a_sweep_would_be_refused(tiny_study, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(paths, "EXECUTED", tmp_path)
    monkeypatch.setattr(preflight, "_measure", lambda _: preflight.Times(0.5, 2.0))
    (cell,) = load_study(tiny_study("roomless", frameworks=["pytorch"])).cells
    monkeypatch.setattr("sys.argv", ["preflight", "roomless", cell.name, "--at-once=2"])
    room(monkeypatch, 0)
    preflight.main()
    told = capsys.readouterr().out.splitlines()
    assert told[-2].endswith("was stopped; 0.0 GiB are free")
    assert told[-1].startswith("a sweep would be refused: roomless needs ")
    assert "while 2 at a time train" in told[-1]
