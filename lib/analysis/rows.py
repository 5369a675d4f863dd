"""The rows of a comparison: from the pairs of runs of each group to its estimates, p values and sizes.

A row is judged by the paired t test where its pairs share more than the number of their seed, and by Welch's test where
they do not. Both are computed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.analysis import estimates
from lib.analysis.estimates import Estimate
from lib.analysis.inference import deviation, rounded, smallest_wilcoxon_p, wilcoxon_p


class Sample(NamedTuple):
    """The values of the runs of a group's whole pairs, (n,) each, and the number of seeds without a partner."""

    first: np.ndarray
    second: np.ndarray
    lost: int


def samples(found: pd.DataFrame, by: Sequence[str]) -> list[Sample]:
    """Return the sample of each group of the columns `by`, in their order, from a table of `contrasts.pairs`."""
    groups = found.groupby(list(by), sort=False).ngroup().to_numpy()
    first, second = (found[side].to_numpy(dtype=float) for side in ("first", "second"))
    whole = np.isfinite(first) & np.isfinite(second)
    chosen = [(groups == group) for group in range(groups.max(initial=-1) + 1)]
    return [Sample(first[one & whole], second[one & whole], int((one & ~whole).sum())) for one in chosen]


def measure(found: Sequence[Sample], unpaired: np.ndarray, on_ratio: bool) -> pd.DataFrame:
    """Return one row per sample with the statistics of `contrasts.COLUMNS` that need no margin and no other row.

    `unpaired` (rows,) says which rows Welch's test judges. Besides those columns the table has `estimate`, on the scale
    of `se`; `p`, the uncorrected p of the judging test; and `inspected`: at least two runs on either side, no spread to
    test against, and no difference.
    """
    moments = _moments(found)
    pairs, apart = _both(moments)
    difference = judged = _chosen(unpaired, apart, pairs)
    columns = {"t_p": pairs.difference_p(), "welch_p": apart.difference_p(), "p": difference.difference_p()}
    columns |= _by_rank(found) | _ends("ci", difference) | _ends("paired", pairs) | _ends("welch", apart)
    columns["detectable"] = difference.detectable()
    columns["cohens_d_z"] = moments["delta"] / moments["sd_difference"].replace(0, np.nan)
    columns["cohens_d_av"] = moments["delta"] / moments[["sd_against", "sd_level"]].mean(axis=1).replace(0, np.nan)
    if on_ratio:
        logs = [Sample(np.log(one.first), np.log(one.second), one.lost) for one in found]
        judged = _chosen(unpaired, *reversed(_both(_moments(logs))))
        columns |= {name: np.exp(ends) for name, ends in _ends("ratio", judged).items()} | {
            "ratio": np.exp(judged.value)
        }
    columns |= {"estimate": judged.value, "se": judged.se, "freedom": judged.freedom}
    columns["test"] = np.where(unpaired, "Welch", "paired")
    columns["inspected"] = (moments["n"] > 1) & np.isnan(judged.se) & (judged.value == 0)
    none = np.isnan(difference.se)
    columns["reason"] = [_reason(*one) for one in zip(found, none, difference.value == 0, unpaired, strict=True)]
    return pd.concat([moments, pd.DataFrame(columns)], axis=1)


def _ends(name: str, estimate: Estimate) -> dict[str, np.ndarray]:
    """Return the two columns of an interval."""
    return dict(zip((f"{name}_low", f"{name}_high"), estimate.interval(), strict=True))


def _moments(found: Sequence[Sample]) -> pd.DataFrame:
    rows = [_moments_of(one.first, one.second) for one in found]
    columns = ["n", "mean_against", "mean_level", "delta", "sd_against", "sd_level", "sd_difference"]
    return pd.DataFrame(rows, columns=columns)


def _moments_of(first: np.ndarray, second: np.ndarray) -> tuple[float, ...]:
    if not len(first):
        return 0, *[np.nan] * 6
    differences = rounded(second - first)
    return len(first), first.mean(), second.mean(), differences.mean(), *map(deviation, (first, second, differences))


def _both(moments: pd.DataFrame) -> tuple[Estimate, Estimate]:
    """Return the estimates of the paired t test and of Welch's test."""
    n, _, _, delta, sd_first, sd_second, sd_difference = moments.to_numpy(dtype=float).T
    return estimates.paired(delta, sd_difference, n), estimates.welch(delta, sd_first, sd_second, n)


def _chosen(unpaired: np.ndarray, apart: Estimate, pairs: Estimate) -> Estimate:
    return Estimate(*(np.where(unpaired, one, other) for one, other in zip(apart, pairs, strict=True)))


def _by_rank(found: Sequence[Sample]) -> dict[str, list[float]]:
    """Return the exact tests of signs and ranks, and Cliff's delta; NaN below two pairs."""
    columns = ("wilcoxon_p", "wilcoxon_p_min", "cliffs_delta")
    rows = [_ranks(one.first, one.second) if len(one.first) > 1 else (np.nan,) * 3 for one in found]
    return {name: [row[place] for row in rows] for place, name in enumerate(columns)}


def _ranks(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    differences = rounded(second - first)
    smallest = smallest_wilcoxon_p(np.count_nonzero(differences))
    return wilcoxon_p(differences), smallest, float(np.sign(rounded(second[:, None] - first)).mean())


def _reason(found: Sample, no_spread: bool, no_difference: bool, unpaired: bool) -> str:
    n, reasons = len(found.first), []
    if n == 0:
        reasons.append("no seed is finished in both")
    elif n == 1:
        reasons.append("one pair has no spread to test against")
    elif no_spread and no_difference:
        reasons.append("all differences are zero: judged by inspection, not by a test")
    elif no_spread:
        reasons.append(
            f"{'neither side varies' if unpaired else 'all differences are equal'}: no spread to test against"
        )
    if found.lost and n:
        reasons.append(f"left out: {found.lost} seed{'s' if found.lost > 1 else ''} not finished in both")
    return "; ".join(reasons)
