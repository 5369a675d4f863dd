"""Many arms against one: simultaneous intervals, questions, and their figure."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from lib.analysis import ablations, contrasts
from lib.figures.ablations import draw_ablations
from lib.figures.style import MARGIN
from lib.study.study import Comparison, Matrix

GROUP = ["dataset", "model", "precision"]
SEEDS = [42, 123, 456, 789, 1024]
ARMS = ("noop", "adam", "gelu", "adamw")
COMPARISON = Comparison("arm", "base", ARMS, GROUP)
QUESTIONS = {"optimizer": ("adamw", "adam"), "activation": ("gelu",)}
STUDY = Matrix.model_construct(questions=QUESTIONS, arms={arm: {} for arm in ("base", *ARMS)})


def results(arms=("base", *ARMS), seeds=SEEDS):
    rng = np.random.default_rng(0)
    base = rng.normal(0.9, 0.003, len(seeds))
    rows = []
    for place, arm in enumerate(arms):
        values = base if arm in ("base", "noop") else base + rng.normal(-0.002 * place, 0.002, len(seeds))
        group = {"dataset": "digits", "model": "resnet20", "precision": "fp32", "arm": arm}
        rows += [group | {"seed": seed, "test_accuracy": value} for seed, value in zip(seeds, values, strict=True)]
    return pd.DataFrame(rows)


def compared(table, comparison=COMPARISON):
    return ablations.simultaneous(contrasts.compare(table, comparison, metrics=("test_accuracy",)))


def test_simultaneous_intervals_are_t_intervals_at_one_minus_alpha_over_the_rows_that_have_one():
    found = results()
    wide = found.pivot(index="seed", columns="arm", values="test_accuracy")
    table = compared(found).set_index("level")
    for arm in ("adam", "gelu", "adamw"):
        low, high = DescrStatsW(wide[arm] - wide["base"]).tconfint_mean(0.05 / 3)
        assert table.loc[arm, ["simultaneous_low", "simultaneous_high"]].tolist() == pytest.approx([low, high])
    assert table.loc["noop", ["simultaneous_low", "simultaneous_high"]].isna().all()


def test_a_single_row_has_its_own_interval():
    table = compared(results(), Comparison("arm", "base", ("adam",), GROUP))
    assert table[["simultaneous_low", "simultaneous_high"]].to_numpy() == pytest.approx(
        table[["ci_low", "ci_high"]].to_numpy()
    )


def test_rows_with_fewer_pairs_have_their_own_degrees_of_freedom():
    found = results()
    table = compared(found[(found["arm"] != "adam") | (found["seed"] > 100)]).set_index("level")
    half = stats.t.isf(0.025 / 3, 3) * table.loc["adam", "sd_difference"] / np.sqrt(4)
    assert table.loc["adam", "simultaneous_high"] - table.loc["adam", "delta"] == pytest.approx(half)


def test_all_of_25_arms_with_a_common_base_are_covered_95_times_in_100():
    rng, freedom = np.random.default_rng(0), 4
    base, arms = rng.normal(0, 1, (2000, 1, 5)), rng.normal(0, 1, (2000, 25, 5))
    differences = arms - base
    se = differences.std(axis=2, ddof=1).ravel() / np.sqrt(5)
    rows = pd.DataFrame({"freedom": freedom, "delta": differences.mean(axis=2).ravel(), "se": se})
    covered = []
    for study in range(2000):
        table = ablations.simultaneous(rows.iloc[25 * study : 25 * (study + 1)])
        covered.append(((table["simultaneous_low"] < 0) & (table["simultaneous_high"] > 0)).all())
    assert np.mean(covered) >= 0.95


def test_arms_are_in_the_order_of_the_questions_and_the_rest_comes_last():
    table = ablations.by_question(compared(results()), STUDY)
    assert table["level"].tolist() == ["adamw", "adam", "gelu", "noop"]
    assert table["question"].tolist() == ["optimizer", "optimizer", "activation", "without a question"]


def test_without_questions_the_arms_have_one_heading_that_claims_none():
    study = Matrix.model_construct(questions={}, arms=dict.fromkeys(("base", *ARMS)))
    assert set(ablations.by_question(compared(results()), study)["question"]) == {"arms"}


def test_the_figure_has_a_heading_a_question_a_row_an_arm_and_the_margin_as_a_band():
    table = ablations.by_question(compared(results()), STUDY)
    (axis,) = draw_ablations(table).axes
    labels = axis.get_yticklabels()
    names = ["optimizer", "adamw", "adam", "activation", "gelu", "without a question", "noop"]
    assert [label.get_text() for label in labels] == names
    assert [label.get_text() for label in labels if label.get_fontweight() == "bold"] == [
        *QUESTIONS,
        "without a question",
    ]
    dots = axis.lines[0]
    assert dots.get_ydata() == pytest.approx([1, 2, 4, 6])
    assert dots.get_xdata() == pytest.approx(100 * table["delta"].to_numpy())
    drawn = np.array([segment[:, 0] for segment in axis.collections[0].get_segments()[:3]])
    expected = 100 * table[["simultaneous_low", "simultaneous_high"]].to_numpy()
    assert drawn == pytest.approx(expected[:3])
    band = axis.patches[0]
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((-0.5, 0.5))
    assert to_hex(band.get_facecolor()).upper() == MARGIN


def test_an_interval_ends_at_100_points():
    table = ablations.by_question(compared(results()), STUDY).assign(simultaneous_low=-2.5)
    (axis,) = draw_ablations(table).axes
    assert {segment[0, 0] for segment in axis.collections[0].get_segments() if len(segment)} == {-100}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("arms", [("base", *ARMS), ("base", "adam"), ("adam",)], ids=["one seed", "one arm", "no base"])
def test_rows_without_an_interval_can_be_drawn(arms):
    table = ablations.by_question(compared(results(arms, seeds=[42])), STUDY)
    assert draw_ablations(table)._repr_png_().startswith(b"\x89PNG")


def test_25_arms_fit_on_a_page():
    arms = [f"arm-{number}" for number in range(25)]
    comparison = Comparison("arm", "base", tuple(arms), GROUP)
    study = Matrix.model_construct(
        questions={f"q{place}": tuple(arms[3 * place : 3 * place + 3]) for place in range(8)}, arms=dict.fromkeys(arms)
    )
    figure = draw_ablations(ablations.by_question(compared(results(["base", *arms]), comparison), study))
    width, height = 2.54 * figure.get_size_inches()
    assert width == pytest.approx(16)
    assert height < 22
