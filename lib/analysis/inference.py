"""The statistics of a comparison: intervals, tests, power and labels for effect sizes. The tests are SciPy's."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import scipy  # its parts load where they are first used: a run, which draws curves alone, needs none

ALPHA = 0.05
POWER = 0.8

PATTERNS = 10_000
"""The largest number of patterns of a permutation test that are all tried; of more, this many are drawn."""

COHEN = {0.2: "negligible", 0.5: "small", 0.8: "medium", np.inf: "large"}
"""Cohen 1988: the size of |d| below each bound. The bounds are meant for a d in units of the runs' own spread: d_av."""

CLIFF = {0.147: "negligible", 0.33: "small", 0.474: "medium", np.inf: "large"}
"""Romano et al. 2006: the size of |delta| below each bound."""


def wilcoxon_p(differences: np.ndarray) -> float:
    """Return the exact two-sided p of the Wilcoxon signed-rank test; NaN if all differences are zero.

    Zeros are dropped and ties share their mean rank (Wilcoxon 1945). All patterns of signs are counted by the shift
    algorithm of Streitberg and Roehmel (1986): SciPy's test is not exact with ties or zeros above 13 pairs.
    """
    moved = differences[differences != 0]
    if not len(moved):
        return np.nan
    ranks = (2 * scipy.stats.rankdata(np.abs(moved))).astype(int)  # doubled, so that mean ranks are whole
    patterns = np.ones(1)  # how many patterns of signs have each sum of positive ranks
    for rank in ranks:
        patterns = np.pad(patterns, (0, rank)) + np.pad(patterns, (rank, 0))
    positive = ranks[moved > 0].sum()
    tail = min(patterns[: positive + 1].sum(), patterns[positive:].sum())
    return min(1.0, float(2 * tail / patterns.sum()))


def smallest_wilcoxon_p(pairs: int) -> float:
    """Return the smallest two-sided p of that test: all differences have one sign; NaN without a difference."""
    return min(1.0, 2.0 ** (1 - pairs)) if pairs else np.nan


def noncentrality(freedom: np.ndarray, alpha: float = ALPHA) -> np.ndarray:
    """Return the difference in standard errors that a two-sided t test at `alpha` detects with power 0.8.

    The equation is solved for one side at alpha / 2; the other side is negligible at this power.
    """
    return scipy.special.nctdtrinc(freedom, 1 - POWER, scipy.stats.t.isf(alpha / 2, freedom))


def detectable_effect(pairs: int, alpha: float = ALPHA) -> float:
    """Return the smallest d_z that a two-sided paired t test at `alpha` detects with power 0.8; NaN below two pairs."""
    return float(noncentrality(pairs - 1, alpha) / np.sqrt(pairs)) if pairs > 1 else np.nan


def design(pairs: Iterable[int], tests: int) -> pd.DataFrame:
    """Return the limits of each number of pairs: the smallest p, and the smallest detectable effects.

    The effects are in standard deviations of the paired difference, at alpha 0.05 and at alpha 0.05 / `tests`, which
    Holm's correction requires of the smallest p.
    """
    rows = [(n, smallest_wilcoxon_p(n), detectable_effect(n), detectable_effect(n, ALPHA / tests)) for n in pairs]
    return pd.DataFrame(rows, columns=["pairs", "smallest Wilcoxon p", "detectable d_z", "detectable d_z, corrected"])


def rounded(values: np.ndarray) -> np.ndarray:
    """Round to nine digits, since floating-point noise would break ties and add spread."""
    return np.round(values, 9)


def deviation(values: np.ndarray) -> float:
    """Return the sample standard deviation: 0 for values that are equal but for the noise of floats, NaN for one."""
    if len(values) < 2:
        return np.nan
    return float(np.std(values, ddof=1)) if np.ptp(rounded(values)) > 0 else 0.0


def exchanges(pairs: int) -> np.ndarray:
    """Return which pairs exchange their two sides, (patterns, pairs); in the first pattern, the real one, none does.

    These are all patterns, or 10,000 random ones where there are more; they are always the same.
    """
    if 2**pairs <= PATTERNS:
        return (np.arange(2**pairs)[:, None] >> np.arange(pairs)) & 1 == 1
    drawn = np.random.default_rng(0).integers(0, 2, (PATTERNS, pairs), dtype=bool)
    drawn[0] = False
    return drawn


def permutation_p(found: np.ndarray) -> float:
    """Return the share of the values of a statistic (patterns,) that are at least as high as the first, the real one.

    It is exact if the patterns are all that there are, and valid if they are random (Phipson and Smyth 2010).
    """
    return float(np.mean(found >= found[0] - 1e-9 * abs(found[0])))


def residual_variance(tables: Iterable[np.ndarray]) -> tuple[float, int]:
    """Return the variance of a run and its degrees of freedom, pooled over tables `(seeds, runs)` on the same seeds.

    It is the residual variance of a two-way layout without interaction: the means of each run and, in each table, of
    each seed are removed. 0 without a degree of freedom.
    """
    squares, freedom = 0.0, 0
    for runs in tables:
        left = runs - runs.mean(axis=0) - runs.mean(axis=1, keepdims=True) + runs.mean()
        squares += float((rounded(left) ** 2).sum())
        freedom += (runs.shape[0] - 1) * (runs.shape[1] - 1)
    return squares / freedom if freedom else 0.0, freedom


def holm(p_values: pd.Series) -> pd.Series:
    """Return p values after Holm's correction (1979) over those that are not NaN.

    statsmodels has it too, and collects all garbage at each call, which takes longer than the whole table.
    """
    ordered = p_values.dropna().sort_values()
    factors = np.arange(len(ordered), 0, -1)
    return (ordered * factors).cummax().clip(upper=1).reindex(p_values.index)


def size(effect: float, bounds: Mapping[float, str]) -> str:
    """Return the label of an effect's size, by the bounds of `COHEN` or `CLIFF`; empty for NaN."""
    return "" if np.isnan(effect) else next(word for bound, word in bounds.items() if abs(effect) < bound)


def correlation(first: np.ndarray, second: np.ndarray, freedom: int) -> tuple[float, float, float, float]:
    """Return the correlation of two centred samples with these remaining degrees of freedom.

    Returns:
        The correlation with the ends of its 95 % interval (Fisher's z, NaN below three degrees of freedom), and what a
        pair is worth: the variance of the difference of two independent runs over that of a pair. All are NaN without
        a spread.
    """
    if not (freedom and first.any() and second.any()):
        return (np.nan,) * 4
    alike = first @ second / np.sqrt(first @ first * (second @ second))
    reach = scipy.stats.norm.ppf(1 - ALPHA / 2) / np.sqrt(freedom - 2) if freedom > 2 else np.nan
    low, high = np.tanh(np.arctanh(np.clip(alike, -1 + 1e-12, 1 - 1e-12)) + reach * np.array([-1, 1]))
    apart = (first - second) @ (first - second)
    return alike, low, high, (first @ first + second @ second) / apart if apart else np.inf
