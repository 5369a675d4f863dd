"""A gap is taken apart into its causes, exactly: on invented records whose parts are known."""

import nbformat
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lib import paths
from lib.analysis import attribution, results
from lib.analysis.attribution import ALIGNED, NATIVE
from lib.analysis.inference import residual_variance
from lib.bench.invented import finish
from lib.execution import execute
from lib.figures.effects import waterfall
from lib.study.loading import load_study

PARTS = {
    "bn-momentum": 0.10,
    "bn-constants": 0.01,
    "padding": -0.02,
    "initialisation": 0.005,
    "dropout": 0.003,
    "optimizer": 0.03,
}
LEFT, TOGETHER = 0.002, 0.04
"""The gap between twins, and what bn-momentum and the optimizer do only where both are native."""


@pytest.fixture(scope="module")
def study():
    return load_study("attribution-quick")


def gap(study, arm, model):
    """The gap of an arm: what its native causes add, and what two of them add together."""
    native = [cause for cause, switches in study.causes.items() if not set(switches) <= set(study.way[arm])]
    alone = sum(PARTS.get(cause, 0.01) for cause in native if attribution.concerns(study, cause, model))
    both = model == "mobilenetv2" and {"bn-momentum", "optimizer"} <= set(native)
    return LEFT + alone + TOGETHER * both


def share(study, entry):
    """What a run adds to the gap of its arm: dropout is PyTorch's alone, everything else changes Keras."""
    dropout = PARTS["dropout"] * ("dropout" in study.causes and "dropout" not in study.way[entry.arm])
    dropout *= entry.cell.model == "mobilenetv2"
    return dropout if entry.cell.framework == "pytorch" else gap(study, entry.arm, entry.cell.model) - dropout


def paired(study, value):
    """The table of gaps in which a run differs from one half by `value` of its entry: PyTorch above, Keras below."""
    sides = {"keras": ("first", -1), "pytorch": ("second", 1)}
    rows = [
        {key: getattr(entry.cell, key) for key in ("dataset", "model", "precision", "seed")}
        | {"arm": entry.arm, "side": sides[entry.cell.framework][0]}
        | {"value": 0.5 + sides[entry.cell.framework][1] * value(entry)}
        for entry in study.entries
    ]
    keys = ["dataset", "model", "precision", "seed", "arm"]
    order = {key: pd.DataFrame(rows)[key].drop_duplicates().tolist() for key in keys}
    table = pd.DataFrame(rows).pivot(index=keys, columns="side", values="value").reset_index()
    table = table.sort_values(keys, key=lambda column: column.map(order[column.name].index), ignore_index=True)
    return table.assign(gap=table["second"] - table["first"], lowest=np.nan)


@pytest.fixture
def gaps(study):
    return paired(study, lambda entry: share(study, entry) + entry.cell.seed * 5e-7)


def scattered(study, sd):
    """The table of gaps of runs whose accuracies scatter by `sd`; a run that arms share is the same in each."""
    rng = np.random.default_rng(0)
    noise = {cell.name: rng.normal(0, sd) for cell in study.cells}
    return paired(study, lambda entry: share(study, entry) + noise[entry.cell.name])


def of(table, model):
    return table[table.model == model].set_index("cause")


def test_the_parts_are_those_that_were_put_in_and_a_joint_effect_is_shared(study, gaps):
    found = of(attribution.effects(study, gaps), "mobilenetv2")
    for cause in ("bn-constants", "padding", "initialisation", "dropout"):
        assert found.loc[cause, ["forth", "back", "effect"]].tolist() == pytest.approx([PARTS[cause]] * 3)
    assert found.loc["bn-momentum", ["forth", "back"]].tolist() == pytest.approx([0.10 + TOGETHER, 0.10])
    assert found.loc["optimizer", ["forth", "back"]].tolist() == pytest.approx([0.03, 0.03 + TOGETHER])
    assert found.loc["bn-momentum", "effect"] == pytest.approx(0.10 + TOGETHER / 2)


def test_the_parts_add_up_to_the_gap_without_what_is_left(study, gaps):
    table = attribution.effects(study, gaps)
    for model in study.models:
        found = of(table, model)
        for column in ("forth", "back", "effect"):
            parts = found[column].drop([NATIVE, ALIGNED]).sum()
            assert parts == pytest.approx(found.effect[NATIVE] - found.effect[ALIGNED])


def test_only_causes_that_concern_a_network_are_listed(study, gaps):
    table = attribution.effects(study, gaps)
    assert of(table, "resnet20").index.tolist() == [NATIVE, "bn-constants", "optimizer", ALIGNED]
    assert of(table, "mobilenetv2").index.tolist() == [NATIVE, *study.causes, ALIGNED]
    assert attribution.causes(study).models.tolist() == [
        "mobilenetv2",
        "resnet20, mobilenetv2",
        "mobilenetv2",
        "mobilenetv2",
        "mobilenetv2",
        "resnet20, mobilenetv2",
    ]


def test_a_seed_that_is_not_finished_in_every_arm_is_left_out(study, gaps):
    short = gaps[~((gaps.seed == 456) & (gaps.model == "mobilenetv2") & (gaps.arm == "upto-padding"))]
    table = attribution.effects(study, short)
    assert of(table, "mobilenetv2").n.unique().tolist() == [2]
    assert of(table, "resnet20").n.unique().tolist() == [3]


def test_intervals_are_over_the_seeds(study, gaps):
    found = of(attribution.effects(study, gaps), "mobilenetv2")
    values = np.array([42, 123, 456]) * 1e-6
    assert found.high[NATIVE] - found.effect[NATIVE] == pytest.approx(
        4.302653 * values.std(ddof=1) / np.sqrt(3), rel=1e-5
    )


def widths(table, low="low", high="high"):
    return (table[high] - table[low]).drop([NATIVE, ALIGNED])


def test_a_part_s_interval_rests_on_the_scatter_of_all_runs_of_the_network(study):
    """mobilenetv2 has ten runs in Keras and two in PyTorch, which differ in dropout, and three seeds."""
    found = of(attribution.effects(study, scattered(study, 0.01)), "mobilenetv2")
    parts = found.drop([NATIVE, ALIGNED])
    assert parts.freedom.unique().tolist() == [(10 - 1) * 2 + (2 - 1) * 2]
    assert found.freedom[[NATIVE, ALIGNED]].tolist() == [2, 2]
    sums_of_squares = (widths(found) / widths(found)["dropout"]) ** 2
    assert sums_of_squares.drop("dropout").between(0.49, 1.51).all(), "a half, where all four runs differ"
    assert sums_of_squares["padding"] == pytest.approx(0.5)
    true = pd.Series(PARTS).rename("true")
    joint = pd.Series({"bn-momentum": TOGETHER / 2, "optimizer": TOGETHER / 2})
    true = true.add(joint, fill_value=0)[parts.index]
    assert ((parts.low < true) & (true < parts.high)).all()


def test_the_intervals_of_all_parts_of_a_table_are_simultaneous(study):
    gaps = scattered(study, 0.01)
    both, alone = (attribution.effects(study, table) for table in (gaps, gaps[gaps.model == "mobilenetv2"]))
    wider = widths(of(both, "mobilenetv2")) / widths(of(alone, "mobilenetv2"))
    expected = stats.t.isf(0.025 / 8, 20) / stats.t.isf(0.025 / 6, 20)
    assert wider.to_numpy() == pytest.approx(expected), "8 parts instead of 6"


def test_two_ways_that_compare_the_same_runs_are_one_number(study):
    """Dropout is removed in PyTorch, whose other conventions are the reference: both ways compare its two runs."""
    found = of(attribution.effects(study, scattered(study, 0.01)), "mobilenetv2").drop([NATIVE, ALIGNED])
    assert found.index[found.apart.isna()].tolist() == ["dropout"]
    assert found.forth["dropout"] == found.back["dropout"]
    others = found.drop("dropout")
    assert others.apart.to_numpy() == pytest.approx((others.forth - others.back).to_numpy())
    assert (others.apart_low < others.apart).all()
    assert (others.apart < others.apart_high).all()


def test_where_both_frameworks_follow_keras_dropout_has_two_ways(digits, tiny_study):
    """Then every cause changes PyTorch, so that the two ways compare other runs."""
    causes = {"stride": ["stride"], "dropout": ["dropout"], "optimizer": ["weight_decay"]}
    settings = {"pairing": {"shared": True, "reference": "keras"}}
    name = tiny_study("why-keras", settings, causes=causes, models=["mobilenetv2"], seeds=[42, 123])
    study = load_study(name)
    found = attribution.effects(study, scattered(study, 0.01)).set_index("cause").drop([NATIVE, ALIGNED])
    assert found.index.tolist() == [cause for cause in causes if attribution.concerns(study, cause, "mobilenetv2")]
    assert "dropout" in found.index
    assert found.apart.notna().all()


def test_near_chance_the_scatter_of_other_causes_tells_nothing(study):
    gaps = scattered(study, 0.01)
    gaps.loc[(gaps.model == "mobilenetv2") & (gaps.arm == NATIVE), "lowest"] = 0.12
    table = attribution.effects(study, gaps)
    assert of(table, "mobilenetv2").freedom.unique().tolist() == [2]
    assert of(table, "resnet20").freedom.drop([NATIVE, ALIGNED]).unique().tolist() == [6]
    near = attribution.near_chance(gaps)
    assert near[["model", "arm", "lowest"]].to_numpy().tolist() == [["mobilenetv2", NATIVE, 0.12]]


def test_a_run_without_a_value_leaves_out_only_the_parts_that_compare_it(study):
    gaps = scattered(study, 0.01)
    arm = next(name for name in study.way if name.startswith("beyond-"))
    gaps.loc[(gaps.model == "mobilenetv2") & (gaps.arm == arm), "first"] = np.nan
    table = of(attribution.effects(study, gaps), "mobilenetv2")
    assert table.loc[[NATIVE, ALIGNED], ["effect", "low"]].notna().all(axis=None)
    missing = table.effect.drop([NATIVE, ALIGNED]).isna()
    assert 0 < missing.sum() <= 2
    assert table.low.drop([NATIVE, ALIGNED]).isna().equals(missing)


def test_the_pooled_variance_is_the_residual_mean_square_of_a_two_way_layout():
    rng = np.random.default_rng(0)
    tables = [rng.normal(size=(4, runs)) + 10 * rng.normal(size=(4, 1)) for runs in (1, 2, 5)]
    squares = freedom = 0
    for runs in tables:
        seed, run = (index.ravel() for index in np.indices(runs.shape))
        design = np.hstack([np.eye(4)[seed], np.eye(runs.shape[1])[run]])
        squares += ((runs.ravel() - design @ np.linalg.pinv(design) @ runs.ravel()) ** 2).sum()
        freedom += runs.size - np.linalg.matrix_rank(design)
    assert residual_variance(tables) == (pytest.approx(squares / freedom, rel=1e-6), freedom)


def test_log_odds_start_at_chance_and_have_no_value_at_the_ends():
    accuracy = pd.Series([0.05, 0.1, 0.55, 0.1 + 0.9 / 4, 1.0])
    found = attribution.logit(accuracy, pd.Series(0.1, accuracy.index))
    assert found.tolist() == pytest.approx([np.nan, np.nan, 0, -np.log(3), np.nan], nan_ok=True)


def test_a_run_is_near_chance_below_15_percent_of_the_way_and_its_speed_never(study):
    table = invented(study)
    chosen = (table.model == "resnet20") & (table.arm == NATIVE) & (table.framework == "keras")
    table["test_accuracy"] = 0.8
    table.loc[chosen & (table.seed == 42), "test_accuracy"] = 0.234
    table.loc[chosen & (table.seed == 123), "test_accuracy"] = 0.236
    for scale in ("accuracy", "logit"):
        near = attribution.near_chance(attribution.gaps(study, table, scale))
        assert near[["model", "arm", "lowest"]].to_numpy().tolist() == [["resnet20", NATIVE, 0.234]]
    assert attribution.near_chance(attribution.gaps(study, table, "speed")).empty


def test_speeds_are_factors(study):
    table = paired(study, lambda entry: np.log(1.2) / 2)
    found = of(attribution.as_ratios(attribution.effects(study, table)), "resnet20")
    assert found.effect.tolist() == pytest.approx([1.2, 1, 1, 1.2])


def invented(study, missing=()):
    """A table of results: accuracies that tell the number of aligned switches, and speeds that differ by a fifth."""
    rows = [
        study.row(entry)
        | {
            "test_accuracy": len(entry.cell.settings.pairing.align) / 100,
            "images_per_sec_avg_late": 120.0 if entry.cell.framework == "pytorch" else 100.0,
        }
        for entry in study.entries
        if entry.cell.name not in missing
    ]
    return pd.DataFrame(rows, columns=[*study.keys, *results.METRICS])


def test_gaps_pair_the_runs_of_each_arm_also_where_arms_share_a_run(study):
    missing = "keras_cifar10_resnet20_fp32_seed42-attribution-quick-upto-optimizer"
    table = invented(study, [missing])
    found = {gap: attribution.gaps(study, table, gap) for gap in attribution.SCALES}
    points = study.matched("framework")
    without = sum(missing in {cell.name for cell in cells.values()} for cells in points)
    assert without
    assert len(found["accuracy"]) == len(points) - without
    assert found["speed"].gap.to_numpy() == pytest.approx(np.log(1.2))
    table = found["accuracy"]
    row = table[(table.model == "mobilenetv2") & (table.seed == 42) & (table.arm == "upto-optimizer")].iloc[0]
    assert (row["first"], row["second"]) == (0.07, 0.01)
    pairing = attribution.pairing(study, table)
    assert pairing.conventions.unique().tolist() == [NATIVE, ALIGNED]


def test_without_a_run_there_is_nothing_and_no_error(study):
    gaps = attribution.gaps(study, invented(study)[:0], "accuracy")
    assert gaps.empty
    assert attribution.effects(study, gaps).empty
    assert attribution.pairing(study, gaps).correlation.isna().all()


@pytest.mark.parametrize("on_ratio", [False, True])
def test_the_waterfall_s_bars_lead_from_the_whole_gap_to_what_is_left(study, gaps, on_ratio):
    effects = attribution.effects(study, gaps)
    figure = waterfall(effects, on_ratio)
    assert [axis.get_title("left") for axis in figure.axes] == ["cifar10 resnet20 fp32", "cifar10 mobilenetv2 fp32"]
    axis = figure.axes[1]
    assert [label.get_text() for label in axis.get_yticklabels()] == [NATIVE, *study.causes, ALIGNED]
    bars = axis.patches
    ends = [bar.get_x() + bar.get_width() for bar in bars]
    for before, bar in zip(ends[:-2], bars[1:-1], strict=True):
        assert bar.get_x() == pytest.approx(before)
    assert ends[-2] == pytest.approx(ends[-1])


def write_runs(study, arms):
    """Invent a finished run for every cell of these arms."""
    for entry in study.entries:
        if entry.arm in arms:
            cell = entry.cell
            lower = (cell.framework == "keras") * gap(study, entry.arm, cell.model)
            finish(cell, test_accuracy=0.5 - lower + cell.seed * 1e-6)


def outputs_of(path):
    cells = nbformat.read(path, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [output for output in outputs if "text/markdown" in output.get("data", {})]


@pytest.mark.parametrize("finished", ["none", "the native arm", "all"])
def test_the_chapter_can_be_read_however_many_runs_are_finished(finished, digits, tiny_study, tmp_path):
    causes = {"statistics": ["bn_variance", "bn_momentum"], "stride": ["stride"], "optimizer": ["weight_decay"]}
    settings = {"pairing": {"shared": True}}
    name = tiny_study(
        f"why-{finished.replace(' ', '-')}",
        settings,
        causes=causes,
        models=["resnet20", "mobilenetv2"],
        seeds=[42, 123],
    )
    study = load_study(name)
    names = list(study.way)
    write_runs(study, {"none": [], "the native arm": names[:1], "all": names}[finished])
    execute(paths.NOTEBOOKS / "33_attribution.py", tmp_path / "out.ipynb", {"study_name": name})
    said = [output.data["text/markdown"] for output in outputs_of(tmp_path / "out.ipynb")]
    assert any("There is nothing to attribute yet" in text for text in said) == (finished != "all")
    assert any("the largest part is *optimizer*" in text for text in said) == (finished == "all")
    for table in ("effects_accuracy", "order_accuracy", "effects_speed"):
        assert (paths.REPORT / name / f"tables/{table}.csv").exists() == (finished == "all")
    assert (paths.REPORT / name / "figures/waterfall_speed.png").exists() == (finished == "all")
