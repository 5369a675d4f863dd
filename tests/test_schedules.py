"""The learning rate: from 0 to the peak, step by step, then a cosine to 0."""

import math

import pytest

from lib.training.schedules import warmup_cosine

TOTAL, WARMUP = 200 * 175, 5 * 175


def rate(step):
    return warmup_cosine(step, TOTAL, WARMUP, 0.1)


def test_it_starts_at_zero_and_reaches_the_peak_at_the_end_of_the_warm_up():
    assert rate(0) == 0
    assert rate(WARMUP) == pytest.approx(0.1, abs=1e-12)


def test_the_warm_up_is_linear_in_the_step():
    assert rate(1) == pytest.approx(0.1 / WARMUP)
    assert rate(WARMUP // 5) == pytest.approx(0.02)


def test_the_cosine_spans_the_steps_after_the_warm_up():
    assert rate(WARMUP + (TOTAL - WARMUP) // 2) == pytest.approx(0.05, abs=1e-5)
    assert rate(TOTAL) == pytest.approx(0, abs=1e-12)
    assert rate(TOTAL - 1) < 1e-8
    third = WARMUP + (TOTAL - WARMUP) / 3
    assert rate(third) == pytest.approx(0.05 * (1 + math.cos(math.pi / 3)))


def test_without_a_warm_up_it_starts_at_the_peak():
    assert warmup_cosine(0, 10, 0, 0.1) == pytest.approx(0.1)
