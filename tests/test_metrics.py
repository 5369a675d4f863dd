"""Metrics on predictions small enough to count by hand."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from lib.training import metrics

LABELS = np.array([0, 0, 1, 1, 2, 2])
GUESSES = np.array([0, 1, 1, 1, 0, 2])


def test_accuracy_is_the_share_of_hits():
    assert metrics.accuracy(LABELS, GUESSES) == pytest.approx(4 / 6)


def test_macro_f1_is_the_plain_mean_of_the_classes():
    f1 = [2 * 1 / (2 + 2), 2 * 2 / (2 + 3), 2 * 1 / (2 + 1)]
    assert metrics.macro_f1(LABELS, GUESSES, 3) == pytest.approx(sum(f1) / 3)


def test_a_class_that_is_nowhere_counts_as_zero():
    assert metrics.macro_f1(LABELS, GUESSES, 4) == pytest.approx(metrics.macro_f1(LABELS, GUESSES, 3) * 3 / 4)


def test_macro_f1_has_the_bits_of_scikit_learn():
    random = np.random.default_rng(0)
    for classes in (2, 10, 100, 200):
        for images in (1, 7, 100, 10_000):
            labels, guesses = random.integers(0, classes, (2, images))
            guesses = np.where(random.random(images) < 0.7, labels, guesses)
            expected = f1_score(labels, guesses, labels=range(classes), average="macro", zero_division=0)
            assert metrics.macro_f1(labels, guesses, classes) == expected


def test_cross_entropy_of_equal_logits_is_the_log_of_the_classes():
    assert metrics.cross_entropy(LABELS, np.zeros((6, 3), np.float32)) == pytest.approx(np.log(3))


def test_cross_entropy_survives_large_logits():
    logits = np.full((1, 3), -1e4, np.float32)
    logits[0, 1] = 1e4
    assert metrics.cross_entropy(np.array([1]), logits) == pytest.approx(0)
