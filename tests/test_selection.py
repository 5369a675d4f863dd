"""What a choice on test flatters beyond one on val."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lib.analysis.selection import SELECTION, selection
from lib.study.study import Comparison

GROUP = {"dataset": "digits", "model": "resnet20", "precision": "fp32"}
ARMS = Comparison("arm", "base", ("plain",), list(GROUP))
CURVES = {
    ("base", 42): ([0.80, 0.91, 0.90], 3),
    ("base", 123): ([0.80, 0.90, 0.93], 3),
    ("base", 456): ([0.85, 0.84, 0.82], 3),
    ("plain", 42): ([0.70, 0.75, 0.74], 2),
}
"""The test accuracy of each epoch, and the epoch that the val split chose, by arm and seed."""


def tables(curves):
    keys = [GROUP | {"arm": arm, "seed": seed} for arm, seed in curves]
    results = [
        key | {"epoch_best": chosen, "test_accuracy": 0.5}
        for key, (_, chosen) in zip(keys, curves.values(), strict=True)
    ]
    epochs = [
        key | {"epoch": epoch, "val_accuracy": 0.5, "test_accuracy": accuracy}
        for key, (accuracies, _) in zip(keys, curves.values(), strict=True)
        for epoch, accuracy in enumerate(accuracies, start=1)
    ]
    return pd.DataFrame(epochs), pd.DataFrame(results)


def test_the_flattery_is_the_best_epoch_on_test_minus_the_one_chosen_on_val_paired_by_seed():
    table = selection(*tables(CURVES), ARMS).set_index("arm")
    row = table.loc["base"]
    assert row[["n", "chosen", "best", "flattery"]].tolist() == pytest.approx([3, 2.65 / 3, 2.69 / 3, 0.04 / 3])
    low, high = stats.ttest_1samp([0.01, 0, 0.03], 0).confidence_interval(0.95)
    assert row[["low", "high"]].tolist() == pytest.approx([low, high])


@pytest.mark.filterwarnings("error")
def test_one_seed_has_a_flattery_without_an_interval():
    row = selection(*tables(CURVES), ARMS).set_index("arm").loc["plain"]
    assert row[["n", "chosen", "best", "flattery"]].tolist() == [1, 0.75, 0.75, 0]
    assert row[["low", "high"]].isna().all()


def test_runs_that_did_not_record_their_test_accuracy_do_not_count():
    epochs, results = tables(CURVES)
    epochs.loc[(epochs["arm"] == "plain") | (epochs["seed"] == 456), "test_accuracy"] = np.nan
    table = selection(epochs, results, ARMS)
    assert table[["arm", "n"]].to_numpy().tolist() == [["base", 2]]


def test_without_the_column_or_without_runs_the_table_is_empty():
    epochs, results = tables(CURVES)
    for some in (epochs.drop(columns="test_accuracy"), epochs[:0]):
        table = selection(some, results, ARMS)
        assert table.empty
        assert list(table.columns) == [*GROUP, "arm", *SELECTION]
    empty = pd.DataFrame(columns=[*GROUP, "arm", "seed", "epoch_best", "epoch"])
    assert selection(empty, empty, ARMS).empty
