"""The rungs that look at the networks from outside, and that they report what differs."""

import pandas as pd
import pytest

from lib.parity import architecture
from lib.report import tables
from lib.study import models
from lib.study.conventions import SWITCHES

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


@pytest.mark.parametrize(
    "heads", [pytest.param(HEADS[:1], id="one head"), pytest.param(HEADS, id="all", marks=pytest.mark.thorough)]
)
def test_the_parameter_table_has_the_known_counts_and_every_row_holds(heads: tuple[int, ...]) -> None:
    parameters = architecture.parameter_table(models.twins(), models.SMALL, heads)
    counts = parameters.groupby(["model", "input_size"], sort=False)
    assert counts.num_classes.agg(tuple).to_dict() == dict.fromkeys(PYTORCH, heads)
    known = {network: found[: len(heads)] for network, found in PYTORCH.items()}
    assert counts.pytorch_params.agg(tuple).to_dict() == known
    assert parameters.passed.all()
    biases = parameters.model.map(CONV_BIASES).fillna(0)
    pd.testing.assert_series_equal(
        parameters.keras_params - parameters.pytorch_params, biases.astype(int), check_names=False
    )


def test_a_model_that_differs_is_a_row_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architecture.keras_networks, "parameters", lambda model: 269_723)
    table = architecture.parameter_table(["resnet20"], [32], [10])
    assert not table.passed.any()
    assert "FAILED" in tables.checked(table).to_html()


@pytest.mark.parametrize(("model", "size"), FINAL_MAPS)
def test_feature_maps_agree_down_to_the_last_one(model: str, size: int) -> None:
    table = architecture.feature_maps(model, size, classes=10)
    assert table.passed.all()
    assert table.pytorch.tolist()[-2:] == [FINAL_MAPS[model, size], "10"]


def test_the_twins_have_the_same_tensors_to_the_last_one() -> None:
    for model in ("resnet50", "convnext_tiny"):
        table = architecture.tensor_table(model, 32, SWITCHES)
        assert table.layer.tolist() == ["all others"]
        assert table.pytorch.item() == table.keras.item() > 20e6


def test_natively_resnet50_has_53_biases_more_in_keras_and_each_is_explained() -> None:
    table = architecture.tensor_table("resnet50", 32)
    biases = table[table.layer != "all others"]
    assert len(biases) == 53
    assert (biases.pytorch.sum(), biases.keras.sum()) == (0, CONV_BIASES["resnet50"])
    assert biases.why.str.startswith("bias in front of").all()
    assert table.passed.all()


def test_biases_that_are_left_between_twins_are_found_layer_by_layer() -> None:
    table = architecture.tensor_table("resnet50", 32, [switch for switch in SWITCHES if switch != "conv_bias"])
    assert "layer1.0.conv1.bias" in table.layer[~table.passed].tolist()
    assert (~table.passed).sum() == 53
