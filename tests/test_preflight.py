"""The pre-flight: recipe, epochs, hours on this machine from a few timed steps, and disk, before anything runs."""

import pytest
import torch

from lib.bench import preflight
from lib.study.loading import load_study


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A scratch folder without times."""
    monkeypatch.setattr(preflight.paths, "EXECUTED", tmp_path)
    return tmp_path


@pytest.fixture
def timed(monkeypatch, fresh):
    """A stand-in for the clock: half a second for each image, and a list of the cells that were timed."""
    asked = []

    def measure(cell):
        asked.append(cell.name)
        return 0.5

    monkeypatch.setattr(preflight, "_measure", measure)
    return asked


def test_each_network_is_timed_once_and_kept(timed, tiny_study):
    arms = {
        "base": {},
        "noop": {},
        "wide": {"network": {"width": 32}},
        "adam": {"optimizer": {"name": "adam", "learning_rate": 0.001}},
    }
    study = load_study(tiny_study("planned", frameworks=["pytorch"], arms=arms))
    first = preflight.estimate(study, study.cells)
    assert len(timed) == 3  # seeds, and an arm that changes nothing, are no other work
    assert preflight.estimate(study, study.cells).equals(first)
    assert len(timed) == 3


def test_a_damaged_file_of_times_is_measured_again(timed, fresh, tiny_study):
    study = load_study(tiny_study("planned", frameworks=["pytorch"]))
    preflight.estimate(study, study.cells)
    path = fresh / ".steps.json"
    path.write_text(path.read_text().replace("0.5", "0.1"))
    preflight.estimate(study, study.cells)
    assert len(timed) == 2


def test_other_work_has_another_key(timed, tiny_study):
    arms = {"base": {}, "batch": {"batch_size": 8, "accumulation_steps": 4}, "tf32": {"tf32": True}}
    study = load_study(tiny_study("planned", frameworks=["pytorch"], precisions=["fp32", "amp"], arms=arms))
    preflight.estimate(study, study.cells)
    assert len(timed) == 6


def test_hours_are_those_of_training_and_evaluation_worked_by_hand(timed, tiny_study):
    """Each of 3 epochs has 3 steps of 32 images, at half a second each, and 40 val images at a third of that."""
    study = load_study(tiny_study("planned", frameworks=["pytorch"], seeds=[1, 2]))
    row = preflight.estimate(study, study.cells).iloc[0]
    by_hand = 3 * (3 * 32 / 2 + 40 / 6) + 40 / 6
    assert row.seconds_per_run == pytest.approx(by_hand)
    assert row.seconds == pytest.approx(2 * by_hand)
    assert row.ms == pytest.approx(16_000)


def test_the_command_measures_and_names_recipe_epochs_hours_and_disk(fresh, tiny_study, monkeypatch, capsys):
    name = tiny_study("planned", frameworks=["pytorch"], models=["resnet20", "resnet_20"])
    monkeypatch.setattr("sys.argv", ["preflight", name])
    preflight.main()
    printed = capsys.readouterr().out
    lines = {line.split()[1]: line.split() for line in printed.splitlines() if line.startswith(" digits")}
    assert lines["resnet20"][2] == "none"
    assert lines["resnet_20"][2] == "residual"
    assert all(float(line[5].replace(",", "")) > 0 for line in lines.values())
    assert all(line[7] in ("s", "min") for line in lines.values())
    assert "2 runs, one after another: about " in printed
    assert "arms" not in printed
    assert "GiB for the runs" in printed
    preflight.main()
    assert capsys.readouterr().out == printed


def test_arms_with_other_epochs_are_named(timed, tiny_study, monkeypatch, capsys):
    arms = {"base": {}, "wide": {"network": {"width": 32}}, "long": {"epochs": 9}}
    monkeypatch.setattr("sys.argv", ["preflight", tiny_study("planned", frameworks=["pytorch"], arms=arms)])
    preflight.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith(" digits")]
    assert [row[3:7] for row in rows] == [["base,", "wide", "3", "2"], ["long", "9", "1", "16,000"]]


def test_only_the_pending_runs_are_estimated(timed, tiny_study, monkeypatch, capsys):
    study = load_study(tiny_study("planned", frameworks=["pytorch"], seeds=[1, 2, 3]))
    left = [(study.cells[2], None)]
    monkeypatch.setattr(preflight, "pending", lambda _, rerun: left if rerun else [])
    monkeypatch.setattr("sys.argv", ["preflight", study.name])
    preflight.main()
    assert capsys.readouterr().out == ""
    monkeypatch.setattr("sys.argv", ["preflight", study.name, "--rerun", "code"])
    preflight.main()
    printed = capsys.readouterr().out
    assert timed == [study.cells[2].name]
    assert "1 runs, one after another: about 2 min 51 s of training on" in printed


def test_a_step_trains_in_every_precision(fresh, tiny_study):
    study = load_study(tiny_study("planned", frameworks=["pytorch"], precisions=["fp32", "amp", "fp64"]))
    cells = {cell.precision: cell for cell in study.cells}
    for cell in cells.values():
        assert preflight._measure(cell) > 0


def test_too_many_images_for_the_gpu_are_one_clear_error(fresh, tiny_study, monkeypatch, capsys):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(preflight, "_step", full)
    monkeypatch.setattr("sys.argv", ["preflight", tiny_study("planned", frameworks=["pytorch"])])
    with pytest.raises(
        SystemExit, match=r"images at a time do not fit into the GPU's memory: raise accumulation_steps"
    ):
        preflight.main()
