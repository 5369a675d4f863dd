"""The sentences of the first page: accuracy by its verdict, speed by ratios, whatever a study compares."""

import numpy as np
import pandas as pd
import pytest

from lib.analysis import contrasts, findings, headline
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


def speed(found, comparison, unreliable=None):
    rows = contrasts.compare(found, comparison, ["images_per_sec_avg"], unreliable=unreliable)
    return findings.speed(found, rows, comparison)


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
    assert end in speed(found, FRAMEWORKS)


def test_several_groups_have_the_mean_of_their_means_and_its_range():
    first, second = [("keras", "a", 100.0, 100.0), ("pytorch", "a", 200.0, 200.0)], ("keras", "b", 100.0)
    found = runs(FRAMEWORKS, *first, second, ("pytorch", "b", 50.0))
    assert speed(found, FRAMEWORKS) == (
        "PyTorch trained 1.00 times as many images a second as Keras, in the geometric mean of 2 groups; single groups "
        "from 0.50 to 2.00."
    )


def test_several_levels_have_the_slowest_and_the_fastest():
    found = runs(ARMS, ("base", "a", 100.0), ("adamw", "a", 50.0), ("step", "a", 110.0))
    assert speed(found, ARMS) == ("2 arms trained 0.50 (adamw) to 1.10 (step) times as many images a second as base.")


def test_a_study_that_compares_nothing_has_the_range_of_its_runs():
    alone = Comparison("framework", "keras", (), ["dataset", "model"])
    found = runs(alone, ("keras", "a", 1000.4, 2000.0)).assign(timing="")
    assert speed(found, alone) == "The runs trained 1,000 to 2,000 images a second."
    told = speed(found.assign(timing=["", "too hot"]), alone)
    assert told == "The runs trained 1,000 to 2,000 images a second (timing not reliable: too hot)."


def test_speeds_that_cannot_be_relied_on_say_why_before_they_are_told():
    found = runs(FRAMEWORKS, ("keras", "a", 100.0), ("pytorch", "a", 150.0))
    text = speed(found, FRAMEWORKS, {("digits", "a", "pytorch"): "the runs were made on different machines"})
    assert text.startswith("Not decided, since the times cannot be relied on: the runs were made on different machines")
    assert ". Measured: PyTorch trained 1.50 times" in text


@pytest.mark.parametrize(
    ("verdict", "pairs", "of_mean", "told"),
    [
        ("equivalent", [], "", "The differences in accuracy are decided for these networks and images."),
        ("undecided", [], "", "Differences in accuracy without a spread cannot be judged: more seeds are needed."),
        ("undecided", [12.0], "", "To call the test accuracy equivalent takes 12 pairs instead of 3."),
        ("undecided", [12.0, 30.0], "", "2 differences in accuracy are undecided; they take 12 to 30 pairs each."),
        (
            "undecided",
            [12.0, np.nan],
            "",
            "2 differences in accuracy are undecided; they take 12 to more than 10,000 pairs each.",
        ),
        (
            "undecided",
            [np.nan] * 2,
            "",
            "2 differences in accuracy are undecided; they take more than 10,000 pairs each.",
        ),
        ("undecided", [12.0], "The mean takes 4 pairs.", "The mean takes 4 pairs."),
    ],
)
def test_the_next_step_settles_what_is_open(verdict, pairs, of_mean, told):
    need = {"metric": "test_accuracy", "aim": "equivalent", "n": 3, "hours": np.nan, "pairs_shared": np.nan}
    undecided = pd.DataFrame(need | {"pairs": pairs})
    rows = pd.DataFrame({"metric": ["test_accuracy", "images_per_sec_avg"], "judgement": [verdict, "equivalent"]})
    assert findings.next_step(undecided, of_mean, rows) == told
    slow = rows.assign(judgement=[verdict, contrasts.UNRELIABLE])
    told_too = f"{told} Speeds need runs that have a machine to themselves."
    assert findings.next_step(undecided, of_mean, slow) == told_too


def accuracies(comparison, *values):
    found = runs(comparison, *values).rename(columns={"images_per_sec_avg": "test_accuracy"})
    return found, headline.chosen(contrasts.compare(found, comparison, ["test_accuracy"]), "pytorch", "test_accuracy")


def test_the_accuracy_of_a_single_group_is_its_row():
    _, rows = accuracies(FRAMEWORKS, ("keras", "a", 0.90, 0.90, 0.91), ("pytorch", "a", 0.95, 0.96, 0.95))
    text = findings.accuracy(None, rows, FRAMEWORKS)
    assert text == "PyTorch minus Keras: +5.00 points (95 % +2.52 to +7.48), 3 pairs: different."


def test_the_accuracy_of_several_groups_is_their_headline():
    values = [
        (level, model, *(start + gap + step for step in (0.0, 0.001, 0.002)))
        for level, gap in (("keras", 0.0), ("pytorch", 0.0005))
        for model, start in (("a", 0.9), ("b", 0.8), ("c", 0.7))
    ]
    found, rows = accuracies(FRAMEWORKS, *values)
    table = contrasts.compare(found, FRAMEWORKS, ["test_accuracy"], native={("digits", one) for one in "abc"})
    text = findings.accuracy(headline.headline(table, found, FRAMEWORKS, "pytorch"), rows, FRAMEWORKS)
    assert text.startswith("Over 3 groups PyTorch minus Keras averages +0.05 points (95 % ")
    assert ": equivalent, within ±0.5 points. Group by group: " in text


def test_the_headline_of_one_arm_is_not_told_as_that_of_all():
    values = [
        (arm, model, *(0.9 + gap + step for step in (0.0, 0.001, 0.002)))
        for arm, gap in (("base", 0.0), ("adamw", 0.05), ("step", -0.05))
        for model in "abc"
    ]
    found = runs(ARMS, *values).rename(columns={"images_per_sec_avg": "test_accuracy"})
    rows = contrasts.compare(found, ARMS, ["test_accuracy"])
    text = findings.accuracy(headline.headline(rows, found, ARMS, "adamw"), rows, ARMS)
    assert text.startswith("Of 6 differences to base: ")


def test_the_accuracies_of_arms_are_counted_and_the_different_ones_named():
    rows = pd.DataFrame(
        {
            "dataset": "digits",
            "model": "a",
            "level": ["adamw", "step"],
            "delta": [-0.05, 0.001],
            "metric": "test_accuracy",
            "judgement": ["different", "undecided"],
        }
    )
    assert findings.accuracy(None, rows, ARMS) == (
        "Of 2 differences to base: 1 different (adamw -5.00 points), 1 undecided."
    )
