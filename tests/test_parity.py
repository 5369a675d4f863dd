"""The parity ladder: what it measures on the real models and pipelines, and that it reports what differs."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lib import parity, paths, tables
from lib.data.store import Store
from lib.execution import execute
from lib.params import load_study

HEADS = (10, 100, 200)
PYTORCH = {
    ("mobilenetv2", 32): (2_236_682, 2_351_972, 2_480_072),
    ("mobilenetv2", 64): (2_236_682, 2_351_972, 2_480_072),
    ("resnet50", 32): (23_520_842, 23_705_252, 23_910_152),
    ("resnet50", 64): (23_528_522, 23_712_932, 23_917_832),
    ("convnext_tiny", 32): (27_825_802, 27_895_012, 27_971_912),
    ("convnext_tiny", 64): (27_824_362, 27_893_572, 27_970_472),
    ("resnet20", 32): (269_722, 275_572, 282_072),
    ("resnet20", 64): (269_722, 275_572, 282_072),
}
CONV_BIASES = {"resnet50": 26_560}
FINAL_MAPS = {
    ("mobilenetv2", 32): "2x2x1280",
    ("mobilenetv2", 64): "2x2x1280",
    ("resnet50", 32): "4x4x2048",
    ("resnet50", 64): "4x4x2048",
    ("convnext_tiny", 32): "4x4x768",
    ("convnext_tiny", 64): "4x4x768",
    ("resnet20", 32): "8x8x64",
    ("resnet20", 64): "16x16x64",
}


@pytest.fixture(scope="module")
def parameters(digits: Store, tiny_study: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The table that the chapter saves for a study of several models."""
    study = tiny_study("several", models=["resnet20", "mobilenetv2"])
    execute(paths.NOTEBOOKS / "02_parity.py", tmp_path_factory.mktemp("chapter") / "out.ipynb", {"study": study})
    return pd.read_csv(paths.REPORT / study / "tables/param_comparison.csv")


def test_the_parameter_table_has_the_known_counts_and_every_row_holds(parameters: pd.DataFrame) -> None:
    counts = parameters.groupby(["model", "input_size"], sort=False)
    assert counts.num_classes.agg(tuple).to_dict() == dict.fromkeys(PYTORCH, HEADS)
    assert counts.pytorch_params.agg(tuple).to_dict() == PYTORCH
    assert parameters.passed.all()
    biases = parameters.model.map(CONV_BIASES).fillna(0)
    pd.testing.assert_series_equal(
        parameters.keras_params - parameters.pytorch_params, biases.astype(int), check_names=False
    )


def test_its_columns_are_the_benchmark_s_and_ours_behind_them(parameters: pd.DataFrame) -> None:
    benchmark = ["model", "input_size", "num_classes", "pytorch_params", "keras_params", "diff_pct"]
    assert list(parameters) == [*benchmark, "limit_pct", "passed"]


def test_a_model_that_differs_is_a_row_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity.keras_models, "parameters", lambda model: 269_723)
    table = parity.parameter_table(["resnet20"], [32], [10])
    assert not table.passed.any()
    assert "FAILED" in tables.checked(table).to_html()


@pytest.mark.parametrize(("model", "size"), FINAL_MAPS)
def test_feature_maps_agree_down_to_the_last_one(model: str, size: int) -> None:
    table = parity.feature_maps(model, size, classes=10)
    assert table.passed.all()
    assert table.pytorch.tolist()[-2:] == [FINAL_MAPS[model, size], "10"]


def test_both_pipelines_give_the_same_pixels(digits: Store) -> None:
    row = parity.pixels(digits.split("val"), digits, batch_size=50).iloc[0]
    assert row.passed
    assert row.images == len(digits.val_indices)
    assert 0 < row.largest_difference < 1e-5


def test_another_normalisation_in_one_pipeline_is_found(digits: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = digits.manifest.model_copy(update={"mean": tuple(digits.mean + 1e-3)})
    other = replace(digits, manifest=manifest)
    native = parity.evaluation_dataset
    monkeypatch.setattr(parity, "evaluation_dataset", lambda split, store, batch: native(split, other, batch))
    row = parity.pixels(digits.split("test"), digits).iloc[0]
    assert not row.passed
    assert row.largest_difference > 1e-3
    assert row.wrong_bytes == 0


def test_other_images_in_one_pipeline_are_found(digits: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    native = parity.evaluation_dataset
    flipped = digits.split("test")
    flipped = flipped._replace(indices=flipped.indices[::-1])
    monkeypatch.setattr(parity, "evaluation_dataset", lambda split, store, batch: native(flipped, store, batch))
    row = parity.pixels(digits.split("test"), digits).iloc[0]
    assert not row.passed
    assert row.wrong_bytes > 0
    assert row.wrong_labels > 0


@pytest.fixture(scope="module")
def held(digits: Store) -> pd.DataFrame:
    """The rates that both learners hold over the quickstart's schedule."""
    return parity.held_rates(load_study("quickstart").cells[0], digits)


def test_both_optimizers_hold_the_planned_rate_at_every_step(held: pd.DataFrame) -> None:
    cell = load_study("quickstart").cells[0]
    table = parity.learning_rates(cell, held)
    assert table.passed.all()
    assert held.groupby("framework").size().eq(len(held) / 2).all()
    ends = table.set_index(["framework", "check"]).measured
    for framework in ("keras", "pytorch"):
        assert ends[framework, "first step"] == 0
        assert ends[framework, "end of the warm-up"] == pytest.approx(cell.settings.learning_rate, abs=1e-6)


def test_a_rate_that_was_set_one_step_late_is_found(held: pd.DataFrame) -> None:
    late = held.assign(held=held.groupby("framework").held.shift(1, fill_value=0.0))
    table = parity.learning_rates(load_study("quickstart").cells[0], late)
    assert table[table.check.str.startswith("largest")].passed.eq(False).all()
    assert table[table.check == "end of the warm-up"].passed.eq(False).all()


def test_the_figure_draws_both_frameworks_and_few_points_of_a_long_schedule(held: pd.DataFrame) -> None:
    long = pd.concat([held] * 50).assign(step=lambda table: np.arange(len(table)))
    axis = parity.draw_rates({"digits": held, "long": long}).axes[1]
    assert [line.get_label() for line in axis.get_lines()] == ["Keras", "PyTorch"]
    assert all(len(line.get_xdata()) <= 800 for line in axis.get_lines())


def test_the_ladder_counts_what_held() -> None:
    rungs = {"first": pd.DataFrame({"passed": [True, True]}), "second": pd.DataFrame({"passed": [True, False, True]})}
    ladder = parity.ladder(rungs)
    assert ladder.to_dict("list") == {
        "rung": ["first", "second"],
        "comparisons": [2, 3],
        "held": [2, 2],
        "passed": [True, False],
    }
