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
    """A stand-in for the clock: 0.5 s for an image, 2 s for an update, and the list of the timed cells."""
    asked = []

    def measure(cell):
        asked.append(cell.name)
        return preflight.Times(0.5, 2.0)

    monkeypatch.setattr(preflight, "_measure", measure)
    return asked


def command(name):
    """The command line for all runs of a study."""
    return ["preflight", name, *(cell.name for cell in load_study(name).cells)]


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


def test_a_pair_is_timed_once_since_keras_counts_as_pytorch(timed, tiny_study):
    study = load_study(tiny_study("planned", frameworks=["keras", "pytorch"], seeds=[1]))
    assert preflight.estimate(study, study.cells).runs.tolist() == [2]
    assert len(timed) == 1


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
    """Each of 3 epochs has 3 updates of 32 images, and 40 val images; a forward pass is a third of half a second."""
    study = load_study(tiny_study("planned", frameworks=["pytorch"], seeds=[1, 2]))
    row = preflight.estimate(study, study.cells).iloc[0]
    by_hand = 3 * (3 * (32 / 2 + 2) + 40 / 6) + 40 / 6
    assert row.seconds_per_run == pytest.approx(by_hand)
    assert row.seconds == pytest.approx(2 * by_hand)
    assert row.ms == pytest.approx(18_000)


def test_micro_batches_share_one_update(timed, tiny_study):
    arms = {"base": {}, "four": {"accumulation_steps": 4}, "average": {"regularisation": {"average": 0.9}}}
    study = load_study(tiny_study("planned", frameworks=["pytorch"], arms=arms))
    row = preflight.estimate(study, study.cells).iloc[0]
    assert (row.ms, row.runs) == (18_000, 3)
    assert len(timed) == 3  # four micro-batches of 8 images, and an update that also averages


@pytest.mark.parametrize(("gpu", "seconds"), [(True, 32 / 2 / 2 + 2), (False, 32 / 2 + 2)])
def test_gpus_divide_the_images_of_an_update_and_processes_share_the_cores(monkeypatch, tiny_study, gpu, seconds):
    study = load_study(tiny_study("planned", frameworks=["pytorch"], settings={"devices": 2}))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert preflight.Times(0.5, 2.0).step(study.cells[0].settings) == seconds


def test_the_command_says_that_several_devices_were_timed_on_one(timed, tiny_study, monkeypatch, capsys):
    said = "a run on several devices was timed on one, without the exchange of gradients"
    for devices in (1, 2):
        name = tiny_study("planned", frameworks=["pytorch"], settings={"devices": devices})
        monkeypatch.setattr("sys.argv", command(name))
        preflight.main()
        assert (said in capsys.readouterr().out) == (devices > 1)


def test_the_command_measures_and_names_recipe_epochs_hours_and_disk(fresh, tiny_study, monkeypatch, capsys):
    name = tiny_study("planned", frameworks=["pytorch"], models=["resnet20", "resnet_20"])
    monkeypatch.setattr("sys.argv", command(name))
    monkeypatch.setattr(preflight, "free_gib", lambda: 7.0)
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
    monkeypatch.setattr("sys.argv", command(tiny_study("planned", frameworks=["pytorch"], arms=arms)))
    preflight.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith(" digits")]
    assert [row[3:7] for row in rows] == [["base,", "wide", "3", "2"], ["long", "9", "1", "18,000"]]


def test_only_the_named_runs_are_estimated(timed, tiny_study, monkeypatch, capsys):
    study = load_study(tiny_study("planned", frameworks=["pytorch"], seeds=[1, 2, 3]))
    monkeypatch.setattr("sys.argv", ["preflight", study.name, study.cells[2].name])
    preflight.main()
    assert timed == [study.cells[2].name]
    assert "1 run, one after another: about 3 min 9 s of training on" in capsys.readouterr().out


def test_a_step_trains_in_every_precision(fresh, tiny_study):
    study = load_study(tiny_study("planned", frameworks=["pytorch"], precisions=["fp32", "amp", "fp64"]))
    cells = {cell.precision: cell for cell in study.cells}
    for cell in cells.values():
        assert min(preflight._measure(cell)) > 0


def test_the_passes_leave_the_weights_and_the_update_changes_them(monkeypatch, tiny_study):
    settings = {"regularisation": {"average": 0.9}}
    cell = load_study(tiny_study("planned", frameworks=["pytorch"], settings=settings)).cells[0]
    network = preflight.build(cell.model, (32, 32, 3), 10)
    monkeypatch.setattr(preflight, "build", lambda *_, **__: network)
    passes, update = preflight._step(cell, 2)
    weights = next(network.parameters())
    before = weights.detach().clone()
    passes()
    assert torch.equal(weights, before)
    update()
    assert not torch.equal(weights, before)
    assert weights.grad is None


def test_too_many_images_for_the_gpu_are_one_clear_error(fresh, tiny_study, monkeypatch, capsys):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(preflight, "_step", full)
    monkeypatch.setattr("sys.argv", command(tiny_study("planned", frameworks=["pytorch"])))
    with pytest.raises(
        SystemExit, match=r"images at a time do not fit into the GPU's memory: raise accumulation_steps"
    ):
        preflight.main()
