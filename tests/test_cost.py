"""The cost of a study on paper: counted operations, times an assumption that is named."""

import pytest

from lib.bench import cost
from lib.errors import ParameterError
from lib.pytorch.learner import PyTorchLearner
from lib.study.loading import load_study


def test_operations_are_counted_as_by_hand():
    """ResNet-20 on 32 x 32: a stem, three stages of six 3x3 convolutions (two with stride 2), and a dense layer."""
    stem = 32 * 32 * 9 * 3 * 16
    first = 6 * 32 * 32 * 9 * 16 * 16
    second = 16 * 16 * 9 * (16 * 32 + 5 * 32 * 32)
    third = 8 * 8 * 9 * (32 * 64 + 5 * 64 * 64)
    assert cost.network_size("cifar10", "resnet20") == (2 * (stem + first + second + third + 64 * 10), 269_722)


def test_stage_2_costs_ten_times_as_many_runs_of_three_networks_on_three_datasets():
    table = cost.estimate(load_study("stage2"))
    assert len(table) == 9
    assert table.runs.sum() == 180
    assert table.hours.tolist() == pytest.approx((table.runs * table.hours_per_run).tolist())
    convnext = table[(table.model == "convnext_tiny") & (table.dataset == "cifar10")].iloc[0]
    assert convnext.gib == pytest.approx(20 * (4 * 27_825_802 + 2 * 10_000 * 10) / 2**30)


def test_the_disk_holds_the_stores_and_what_a_resume_needs():
    study = load_study("stage2")
    assert cost.stores_gib(study) * 2**30 == 2 * 60_000 * 32 * 32 * 3 + 110_000 * 64 * 64 * 3
    assert cost.resume_gib(study.cells) * 2**30 == 2 * 2 * 4 * 27_970_472  # ConvNeXt-Tiny on Tiny-ImageNet


def test_the_estimate_says_what_is_assumed(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["cost", "stage1", "--tflops", "20"])
    cost.main()
    printed = capsys.readouterr().out
    assert "24 runs: about" in printed
    assert "assumed are 20 TFLOP/s sustained and 40 ms a step at least" in printed
    assert "GiB for the data" in printed


def test_a_faster_gpu_shortens_a_heavy_network_and_not_a_light_one():
    slow, fast = (cost.estimate(load_study("stage2"), tflops).set_index(["dataset", "model"]) for tflops in (12, 24))
    heavy, light = ("cifar10", "resnet50"), ("cifar10", "mobilenetv2")
    assert fast.hours[heavy] == pytest.approx(slow.hours[heavy] / 2)
    assert fast.hours[light] > 0.9 * slow.hours[light]


def test_limits_of_a_study_limit_its_cost():
    whole, part = (cost.estimate(load_study(name)).hours_per_run.iloc[0] for name in ("stage2", "rehearsal"))
    assert part < whole / 1000


def test_each_arm_costs_what_its_own_network_and_training_cost(tiny_study):
    arms = {"base": {}, "wide": {"network": {"width": 32}}, "long": {"epochs": 6}}
    study = load_study(tiny_study("costly", frameworks=["pytorch"], arms=arms))
    cells = {cell.arm: cell for cell in study.cells}
    assert cost.network_size("digits", "resnet20", (("width", 32),)).parameters > 3 * 269_722
    assert cost.seconds(cells["long"], 96, 1) > 1.8 * cost.seconds(cells[None], 96, 1)
    row = cost.estimate(study, tflops=1e-4).iloc[0]
    assert (row.runs, row.hours) == (3, pytest.approx(3 * row.hours_per_run))
    assert cost.resume_gib(study.cells) * 2**30 == 16 * cost.size(cells["wide"]).parameters


@pytest.mark.parametrize(
    ("settings", "precision", "numbers"),
    [
        ({"optimizer": {"momentum": 0.0, "nesterov": False}}, "fp32", 1),
        ({}, "fp32", 2),
        ({"optimizer": {"name": "rmsprop", "learning_rate": 0.01}}, "fp32", 2),
        ({"optimizer": {"name": "rmsprop", "learning_rate": 0.01, "momentum": 0.9}}, "fp32", 3),
        ({"optimizer": {"name": "adam", "learning_rate": 0.01}}, "amp", 3),
        ({"optimizer": {"name": "adamw", "learning_rate": 0.01}, "regularisation": {"average": 0.9}}, "fp32", 4),
        ({}, "fp64", 4),  # twice the bytes
    ],
)
def test_a_state_has_what_the_optimizer_keeps_and_the_average_of_the_weights(tiny_study, settings, precision, numbers):
    study = load_study(tiny_study("kept", frameworks=["pytorch"], precisions=[precision], settings=settings))
    assert cost.resume_gib(study.cells) * 2**30 == 2 * 4 * numbers * 269_722


def test_a_state_is_as_large_as_the_file_that_a_learner_writes(digits, tiny_study, tmp_path):
    settings = {"optimizer": {"name": "adamw", "learning_rate": 0.01}, "regularisation": {"average": 0.9}}
    study = load_study(tiny_study("kept", frameworks=["pytorch"], settings=settings))
    cell = study.cells[0]
    learner = PyTorchLearner(cell, digits)
    learner.reseed(1, 1)
    learner.step(next(iter(learner.batches())), 0.01)
    learner.save_state(tmp_path / "state.pt")
    assert 2 * (tmp_path / "state.pt").stat().st_size / 2**30 == pytest.approx(cost.resume_gib(study.cells), rel=0.1)


def test_what_is_not_estimated_is_refused():
    study = load_study("quickstart").model_copy(update={"precisions": ("fp32", "fp64")})
    with pytest.raises(ParameterError, match="what float64 costs is not estimated"):
        cost.estimate(study)
