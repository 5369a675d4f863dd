"""Runs that are compared follow each other, in a plan and as Snakemake starts them; no level always comes first."""

import subprocess
import sys
from collections import Counter

import pytest

from lib import paths
from lib.study.loading import load_study
from lib.study.order import in_turn
from lib.sweep import __main__ as sweeps


def test_the_frameworks_of_a_pair_follow_each_other_and_alternate_with_the_seed():
    study = load_study("stage2")
    ordered = in_turn(study, study.cells)
    assert set(ordered) == set(study.cells)
    firsts = Counter()
    for first, second in zip(ordered[::2], ordered[1::2], strict=True):
        assert second.model_copy(update={"framework": first.framework}) == first
        firsts[first.framework] += 1
        assert first.framework == ("keras", "pytorch")[study.seeds.index(first.seed) % 2]
    assert firsts == {"keras": 54, "pytorch": 36}  # of five seeds three begin with Keras


@pytest.mark.parametrize(("name", "axis"), [("arms-quick", "arm"), ("degradation-quick", "model")])
def test_arms_and_models_follow_each_other_and_each_seed_begins_with_the_next(name, axis):
    study = load_study(name)
    names, levels = [cell.name for cell in in_turn(study, study.cells)], list(study.levels(axis))
    rows = {entry.cell.name: study.row(entry) for entry in study.entries}
    turns = [(rows[one]["seed"], rows[one][axis]) for one in names]
    rotated = ((seed, levels[place:] + levels[:place]) for place, seed in enumerate(study.seeds))
    assert turns == [(seed, level) for seed, order in rotated for level in order]


def test_a_part_of_a_study_keeps_the_order_and_a_run_that_arms_share_has_one_turn():
    study = load_study("attribution-quick")
    whole = in_turn(study, study.cells)
    assert len(whole) == len(set(whole)) == len(study.cells)
    part = set(study.cells[::3])
    assert in_turn(study, part) == [cell for cell in whole if cell in part]


@pytest.mark.usefixtures("digits")
def test_a_plan_lists_the_runs_in_their_order(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "EXECUTED", tmp_path)
    monkeypatch.setattr("sys.argv", ["sweep", "plan", "quickstart"])
    sweeps.main()
    study = load_study("quickstart")
    names = [cell.name for cell in in_turn(study, study.cells)]
    printed = capsys.readouterr().out
    assert sorted(names, key=printed.index) == names


@pytest.mark.parametrize("slots", [1, 2])
def test_snakemake_starts_the_runs_in_their_order(tmp_path, slots):
    """The project's own Snakefile; a script that notes its start takes the place of the training."""
    study, starts = load_study("quickstart"), tmp_path / "starts"
    names = [cell.name for cell in in_turn(study, study.cells)]
    script = tmp_path / "note.py"
    script.write_text(f"import sys, time\nprint(sys.argv[3], file=open({str(starts)!r}, 'a'))\ntime.sleep(0.2)\n")
    source = (paths.ROOT / "Snakefile").read_text()
    assert source.count('"-m", "lib.sweep.cell"') == 1
    snakefile = tmp_path / "Snakefile"
    snakefile.write_text(source.replace('"-m", "lib.sweep.cell"', repr(str(script))))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--directory", str(paths.ROOT)]
    command += ["--cores", str(slots), "--quiet", "all", "--nolock", "--config", f"study={study.name}"]
    command += [f"over={tmp_path / 'over'}", "--", *(str(tmp_path / "over" / name) for name in sorted(names))]
    subprocess.run(command, check=True, timeout=300)
    started = starts.read_text().split()
    assert sorted(started) == sorted(names)
    # Of two that start at the same moment, either may be the first to note it.
    assert all(abs(started.index(name) - place) < slots for place, name in enumerate(names)), started
