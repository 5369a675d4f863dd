"""The short ladder, as a study's chapter climbs it, and the command that climbs it alone."""

import re
import sys

import numpy as np
import pandas as pd
import pytest

from lib.parity import __main__ as command
from lib.parity import ladder, numbers
from lib.parity.ladder import Found
from lib.parity.rungs import ANSWERS, RUNGS
from lib.parity.twins import Twins
from lib.study import models
from lib.study.conventions import SWITCHES
from lib.study.models import Model, twins
from tests.parity.test_architecture import PYTORCH

TABLES = ("tensors", "feature_maps", "pixels", "stream", "learning_rate_checks")
MEASURED = ("initial_weights", "logits", "gradients", "step", "trajectory")

FOUND_BY = {
    "bn_eps": ("logits", r"stem|16 channels"),
    "bn_momentum": ("step", r".*running_(mean|var)"),
    "bn_variance": ("step", r".*running_var"),
    "padding": ("logits", r"24 channels"),
    "dropout": ("gradients", r"(features|classifier)\..*"),
    "initialisation": ("initial-weights", r"(features|classifier)\..*weight"),
    "weight_decay": ("step", r".*\.(weight|bias|running_var)"),
    "momentum_form": ("step", r".*\.(weight|bias|running_var)"),
    "stride": ("logits", r"stage 2"),
    "stochastic_depth": ("gradients", r"features\..*"),
    "conv_bias": ("tensors", r"conv1\.bias"),
}
"""The first rung that must see a switch which is native between twins, and what place it must name."""


def test_every_rung_of_the_short_ladder_holds(saved: dict[str, pd.DataFrame]) -> None:
    summary = saved["ladder"]
    assert set(summary.rung) == set(RUNGS)
    assert summary.passed.all()
    assert (summary.comparisons > 0).all()


@pytest.mark.parametrize("table", TABLES)
def test_what_is_not_measured_but_checked_holds_in_every_row(saved: dict[str, pd.DataFrame], table: str) -> None:
    assert saved[table].passed.astype(bool).all()


@pytest.mark.parametrize("table", MEASURED)
def test_native_rows_are_shown_and_aligned_ones_judged(saved: dict[str, pd.DataFrame], table: str) -> None:
    for model, rows in saved[table].groupby("model"):
        native, aligned = rows[rows.conventions == "native"], rows[rows.conventions == "aligned"]
        assert native.passed.isna().all()
        assert len(native) == 1
        assert aligned.passed.astype(bool).all()
        if model == "mobilenetv2":
            assert native.measured.item() > 1000 * aligned[aligned.precision == "fp64"].measured.item()


def test_the_control_computes_the_same_function_natively(saved: dict[str, pd.DataFrame]) -> None:
    for table in ("logits", "gradients"):
        rows = saved[table]
        native = rows[(rows.model == "resnet20") & (rows.conventions == "native")]
        assert native.measured.item() < 1e-10


def test_each_difference_by_itself_is_found_by_its_rung_which_names_a_place(saved: dict[str, pd.DataFrame]) -> None:
    alone = saved["alone"]
    for model in alone.model.unique():
        found = alone[alone.model == model].set_index("switch")
        assert set(found.index) == twins()[model].differences
        for switch, row in found.iterrows():
            assert_found(switch, row)


def test_the_chapter_s_table_has_several_networks_at_both_sizes_and_one_at_its_own(
    saved: dict[str, pd.DataFrame],
) -> None:
    parameters = saved["param_comparison"]
    counts = parameters.groupby(["model", "input_size"]).pytorch_params.agg(tuple).to_dict()
    named = set(parameters.model)
    sizes = models.SMALL if len(named) > 1 else (32,)
    assert counts == {network: PYTORCH[network] for network in PYTORCH if network[0] in named and network[1] in sizes}
    assert parameters.passed.all()


def test_its_columns_are_the_benchmark_s_and_ours_behind_them(saved: dict[str, pd.DataFrame]) -> None:
    benchmark = ["model", "input_size", "num_classes", "pytorch_params", "keras_params", "diff_pct"]
    assert list(saved["param_comparison"]) == [*benchmark, "limit_pct", "passed"]


def assert_found(switch: str, row: pd.Series) -> None:
    rung, place = FOUND_BY[switch]
    assert row.found_by == rung, switch
    assert re.fullmatch(place, row["where"]), switch


@pytest.mark.parametrize(
    ("model", "switch"),
    [
        ("resnet50", "stride"),
        ("resnet50", "conv_bias"),
        pytest.param("convnext_tiny", "stochastic_depth", marks=pytest.mark.thorough),
    ],
)
def test_a_switch_of_the_larger_networks_is_found_by_its_rung(model: str, switch: str) -> None:
    assert_found(switch, ladder.alone(model, 32, switches=[switch]).iloc[0])


def test_twins_that_follow_keras_climb_as_well() -> None:
    for rung in ("logits", "gradients", "step", "trajectory"):
        aligned = numbers.judged(rung, "resnet20", 32, "keras").query("conventions == 'aligned'")
        assert aligned.passed.all(), rung


def test_a_switch_left_native_leaves_the_float32_envelope() -> None:
    pair = Twins("resnet20", 32, "fp32", [switch for switch in SWITCHES if switch != "momentum_form"])
    assert not numbers._parted(pair).passed.all()


def test_what_is_no_number_is_infinitely_far_and_what_is_zero_in_one_alone_is_not_passed_over() -> None:
    first = {"nan": np.array([np.nan, 1.0]), "zero": np.zeros(2), "both": np.zeros(2), "own": np.ones(1)}
    second = {"nan": np.array([1.0, 1.0]), "zero": np.array([0.0, 3.0]), "both": np.zeros(2)}
    assert numbers._relative(first, second) == {"nan": np.inf, "zero": 1.0, "both": 0.0}
    assert numbers._worst(numbers._relative(second, first))[0] == np.inf


def test_a_rung_counts_what_was_judged_and_leaves_out_what_was_shown() -> None:
    judged = pd.array([True, pd.NA, False], dtype="boolean")
    rungs = {"tensors": pd.DataFrame({"passed": [True, True]}), "logits": pd.DataFrame({"passed": judged})}
    assert ladder.summary(rungs).drop(columns="allowed").to_dict("list") == {
        "rung": ["tensors", "logits"],
        "comparisons": [2, 2],
        "held": [2, 1],
        "passed": [True, False],
    }


def test_the_tables_of_several_networks_are_put_together_rung_by_rung() -> None:
    found = [Found("logits", model, 32, pd.DataFrame({"model": [model]})) for model in ("resnet20", "resnet50")]
    assert ladder.gathered(found)["logits"].model.tolist() == ["resnet20", "resnet50"]


def test_the_command_climbs_one_rung_of_one_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["parity", "--model", "resnet20", "--rung", "tensors", "--size", "32"])
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert "tensors: the same weights and buffers, layer by layer? resnet20 at 32x32" in printed
    assert "aligned all others       97" in printed
    assert "allowed: none, but natively" in printed


def test_a_rung_that_does_not_hold_is_said_and_ends_the_command_with_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    failing = pd.DataFrame({"layer": ["conv"], "passed": [False]})
    monkeypatch.setitem(ANSWERS, "tensors", lambda *_: failing)
    monkeypatch.setattr(sys, "argv", ["parity", "--model=resnet20", "--rung=tensors", "--size=32", "--fresh"])
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == 1
    assert "FAILED" in capsys.readouterr().out


@pytest.mark.parametrize("option", [("--model", "resnet18"), ("--rung", "nope"), ("--size", "48")])
def test_a_wrong_name_is_one_error_with_the_choices(
    option: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["parity", *option])
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert option[1] in message
    assert "choose from" in message


def test_a_network_of_one_framework_is_left_out_and_a_study_of_none_but_those_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(models.MODELS, "plain56", Model("plain56", "cifar_resnet", {"depth": 56}))
    assert ladder.comparable(["plain56", "resnet20"]) == ["resnet20"]
    assert list(ladder.climb(["plain56"], [32])) == []
    assert ladder.scope(["resnet20"]) == "The ladder compares resnet20."
    assert ladder.scope(["plain56", "resnet20"]).endswith("and not plain56, which only one framework has.")
