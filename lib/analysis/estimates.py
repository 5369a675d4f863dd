"""Estimates with a standard error and degrees of freedom: of a difference from two levels' runs, and of a mean of many.

Every function takes arrays, one entry per comparison, and gives NaN where there is no spread to judge by.
"""

from typing import NamedTuple

import numpy as np
import scipy  # its parts load where they are first used: a run, which draws curves alone, needs none

from lib.analysis.inference import ALPHA, deviation, noncentrality


class Estimate(NamedTuple):
    """Estimated differences with their standard errors and degrees of freedom, arrays of one shape or numbers."""

    value: np.ndarray
    se: np.ndarray
    freedom: np.ndarray

    def interval(self, alpha: float = ALPHA) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends of the t interval of level 1 - alpha."""
        reach = scipy.stats.t.isf(alpha / 2, self.freedom) * self.se
        return self.value - reach, self.value + reach

    def difference_p(self) -> np.ndarray:
        """Return the two-sided p of the t test of no difference."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return 2 * scipy.stats.t.sf(np.abs(np.divide(self.value, self.se)), self.freedom)

    def equivalence_p(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Return the p of two one-sided t tests against the ends of the margin (Schuirmann 1987)."""
        nearer = np.minimum(self.value - low, high - self.value)
        return scipy.stats.t.sf(nearer / self.se, self.freedom)

    def detectable(self, alpha: float = ALPHA) -> np.ndarray:
        """Return the smallest difference that the t test detects with power 0.8."""
        return noncentrality(self.freedom, alpha) * self.se


def paired(delta: np.ndarray, sd_difference: np.ndarray, n: np.ndarray) -> Estimate:
    """Return the estimate from n pairs, with n - 1 degrees of freedom."""
    return _spread(delta, np.sqrt(sd_difference**2 / n), n - 1.0)


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Return the mean of values (n,) and the ends of its 95 % t interval, which are NaN without a spread."""
    if not len(values):
        return np.nan, np.nan, np.nan
    low, high = paired(np.mean(values), deviation(values), len(values)).interval()
    return float(np.mean(values)), float(low), float(high)


def welch(delta: np.ndarray, sd_first: np.ndarray, sd_second: np.ndarray, n: np.ndarray) -> Estimate:
    """Return the estimate from n runs of either level that are no pairs, with Welch's degrees of freedom (1947)."""
    squares = np.array([sd_first**2 / n, sd_second**2 / n])
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = squares.sum(axis=0) ** 2 / (squares**2 / (n - 1.0)).sum(axis=0)
    return _spread(delta, np.sqrt(squares.sum(axis=0)), freedom)


def mean(rows: Estimate) -> Estimate:
    """Return the mean of independent estimates, with Satterthwaite's degrees of freedom (1946)."""
    squares, number = rows.se**2, len(rows.se)
    freedom = squares.sum() ** 2 / (squares**2 / rows.freedom).sum()
    return Estimate(rows.value.mean(), np.sqrt(squares.sum()) / number, freedom)


def _spread(value: np.ndarray, se: np.ndarray, freedom: np.ndarray) -> Estimate:
    """Return the estimate without the standard errors and degrees of freedom that have no spread behind them."""
    spread = se > 0
    return Estimate(value, np.where(spread, se, np.nan), np.where(spread, freedom, np.nan))
