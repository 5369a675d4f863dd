"""The sentence on speed: ratios in the geometric mean over pairs, whatever a study compares."""

import pandas as pd
import pytest

from lib.analysis import speeds
from lib.study.study import Comparison

FRAMEWORKS = Comparison("framework", "keras", ("pytorch",), ["dataset", "model"])
ARMS = Comparison("arm", "base", ("adamw", "step"), ["dataset", "model"])


def runs(comparison, *values):
    """Results of one dataset; `values` are level, model, and the speed of each seed."""
    rows = [
        {"dataset": "digits", "model": model, comparison.axis: level, "seed": seed, "images_per_sec_avg": speed}
        for level, model, *found in values
        for seed, speed in enumerate(found)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("pytorch", "end"),
    [
        ((190.0, 210.0), "trained 2.00 times as many images a second as Keras (95 % 1.06 to 3.77, 2 pairs of runs)."),
        ((300.0, 300.0), "trained 3.00 times as many images a second as Keras (2 pairs of runs)."),
        ((150.0,), "trained 1.50 times as many images a second as Keras (1 pair of runs)."),
        ((), "No pair of runs has finished yet, so no speeds are compared."),
    ],
)
def test_one_group_has_its_ratio_with_interval_and_number_of_pairs(pytorch, end):
    found = runs(FRAMEWORKS, ("keras", "a", 100.0, 100.0), ("pytorch", "a", *pytorch))
    assert end in speeds.finding(found, FRAMEWORKS)


def test_several_groups_have_the_mean_of_their_means_and_its_range():
    first, second = [("keras", "a", 100.0, 100.0), ("pytorch", "a", 200.0, 200.0)], ("keras", "b", 100.0)
    found = runs(FRAMEWORKS, *first, second, ("pytorch", "b", 50.0))
    assert speeds.finding(found, FRAMEWORKS) == (
        "PyTorch trained 1.00 times as many images a second as Keras, in the geometric mean of 2 groups; single groups "
        "from 0.50 to 2.00."
    )


def test_several_levels_have_the_slowest_and_the_fastest():
    found = runs(ARMS, ("base", "a", 100.0), ("adamw", "a", 50.0), ("step", "a", 110.0))
    assert speeds.finding(found, ARMS) == (
        "Against base, the 2 other arms trained 0.50 (adamw) to 1.10 (step) times as many images a second."
    )


def test_a_study_that_compares_nothing_has_the_range_of_its_runs():
    alone = Comparison("framework", "keras", (), ["dataset", "model"])
    found = runs(alone, ("keras", "a", 1000.4, 2000.0))
    assert speeds.finding(found, alone) == "The runs trained 1,000 to 2,000 images a second."
