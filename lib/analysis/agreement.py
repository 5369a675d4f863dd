"""The images on which two runs differ: churn within a level and across two, and whether the level adds to it."""

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations, compress
from math import comb
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist

from lib.analysis.contrasts import title
from lib.analysis.inference import PATTERNS, exchanges, holm, permutation_p, rounded
from lib.study.study import Comparison


def kinds(comparison: Comparison) -> tuple[list[str], list[str]]:
    """Return the kinds of pairs of runs: those within a level, and those across, from `against` to another level."""
    _, against, others, _ = comparison
    across = [f"{_across(level, comparison)}, {seed}" for level in others for seed in ("same seed", "other seeds")]
    return [f"within {title(level)}" for level in (against, *others)], across


def _across(level: str, comparison: Comparison) -> str:
    return "across" if len(comparison.others) == 1 else f"{title(comparison.against)} to {title(level)}"


def disagreements(answers: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """Return the `churn` of each pair of runs of a group, within a level or between `against` and another.

    Churn is the share of the test images for which the two predict different classes (Milani Fard et al. 2016).

    Returns:
        The group's columns, `comparison` (the kind of pair), `level` and `seed` of the one run, `other_level` and
        `other_seed` of the other, and `churn`.
    """
    axis, against, others, group = comparison
    rows = []
    for keys, answered in answers[answers[axis].isin([against, *others])].groupby(group):
        wide = answered.pivot(index=[axis, "seed"], columns="image", values="prediction")
        for (one, other), share in zip(combinations(wide.index, 2), pdist(wide, "hamming"), strict=True):
            if one[0] == other[0] or against in (one[0], other[0]):
                rows.append((*keys, _kind(one, other, comparison), *one, *other, share))
    columns = [*group, "comparison", "level", "seed", "other_level", "other_seed", "churn"]
    within, across = kinds(comparison)
    types = answers.dtypes[group].to_dict() | {"comparison": pd.CategoricalDtype([*within, *across])}
    return pd.DataFrame(rows, columns=columns).astype(types)


def _kind(one: tuple[str, int], other: tuple[str, int], comparison: Comparison) -> str:
    (level, seed), (other_level, other_seed) = one, other
    if level == other_level:
        return f"within {title(level)}"
    name = _across(other_level if level == comparison.against else level, comparison)
    return f"{name}, {'same seed' if seed == other_seed else 'other seeds'}"


def churn(disagreements: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """Return one row per group and kind of pair: the number of pairs, and mean, smallest and largest churn."""
    return disagreements.groupby([*comparison.group, "comparison"], as_index=False).agg(
        pairs=("churn", "size"), churn=("churn", "mean"), lowest=("churn", "min"), highest=("churn", "max")
    )


class Splits(NamedTuple):
    """The mean churn of a group within two levels and across them, for every split of its runs; the real one first."""

    keys: tuple
    level: str
    within: np.ndarray
    across: np.ndarray

    @property
    def excess(self) -> np.ndarray:
        """The excess of every split."""
        return rounded(self.across - self.within)

    @property
    def p(self) -> float:
        """The share of splits with an excess at least as high as the real one."""
        return permutation_p(self.excess)


def excess(splits: Sequence[Splits], comparison: Comparison) -> pd.DataFrame:
    """Return one row per group and other level: churn `within` a level (the mean of both), `across`, and `excess`.

    Over the seeds, a level predicts each class of an image with some probability. The excess of `across` over `within`
    is an unbiased estimate of half the squared distance of the two levels' probabilities, averaged over the images (the
    energy distance of Szekely and Rizzo 2013 for Hamming distances). The p is that of a permutation test, exact if all
    splits are tried: the share of the `splits` with an excess at least as high.

    Returns:
        The group's columns, `level`, `within`, `across`, `excess`, `splits` and `split_p`.
    """
    found = [
        (*one.keys, one.level, one.within[0], one.across[0], one.excess[0], len(one.excess), one.p) for one in splits
    ]
    return pd.DataFrame(found, columns=[*comparison.group, "level", "within", "across", "excess", "splits", "split_p"])


def pooled_excess(splits: Sequence[Splits], comparison: Comparison) -> pd.DataFrame:
    """Return one row per other level: the number of `groups`, their mean `excess`, and a `p` for all together.

    The p is that of a permutation test of the mean excess, for which all groups are split at random; that of a single
    group is exact. Groups that differ in precision or arm alone are split alike, because their runs have seeds in
    common; others are taken to be independent. With several levels the p are corrected by Holm's method.
    """
    rows = []
    kin = [key not in ("precision", "arm") for key in comparison.group]
    for level in comparison.others:
        groups = [one for one in splits if one.level == level]
        if groups:
            p = _pooled_p([(tuple(compress(one.keys, kin)), one) for one in groups])
            rows.append((level, len(groups), np.mean([one.excess[0] for one in groups]), p))
    table = pd.DataFrame(rows, columns=["level", "groups", "excess", "p"])
    return table.assign(p=holm(table["p"]))


def _pooled_p(groups: list[tuple[tuple, Splits]]) -> float:
    """Return the p of the sum of all groups' excesses; groups of the same kin are split by the same random numbers."""
    if len(groups) == 1:
        return groups[0][1].p
    rng = np.random.default_rng(0)
    places = {kin: rng.random(PATTERNS - 1) for kin in dict.fromkeys(kin for kin, _ in groups)}
    drawn = sum(one.excess[(places[kin] * len(one.excess)).astype(int)] for kin, one in groups)
    total = sum(one.excess[0] for _, one in groups)
    return permutation_p(rounded(np.array([total, *drawn])))


def splits(
    disagreements: pd.DataFrame, comparison: Comparison, native: Collection[tuple[str, ...]]
) -> Iterator[Splits]:
    """Yield the splits of the runs of each group and other level in which both levels have two seeds.

    In `native` groups, those of `judgements.native`, runs of one seed share its number alone: a split is any division
    of the runs with the same number of runs in each level. In all others they are no independent pair, so that only
    pairs with different seeds count across, and a split exchanges the levels of some seeds.
    """
    for keys, found in disagreements.groupby(comparison.group):
        for level in comparison.others:
            two = [level, comparison.against]
            pairs = found[found["level"].isin(two) & found["other_level"].isin(two)]
            ones = list(zip(pairs["level"], pairs["seed"], strict=True))
            others = list(zip(pairs["other_level"], pairs["other_seed"], strict=True))
            runs = sorted({*ones, *others}, key=lambda run: (run[0] != level, run[1]))
            if min(sum(run[0] == one for run in runs) for one in two) > 1:
                churn = np.zeros((len(runs), len(runs)))
                rows, columns = ([runs.index(run) for run in side] for side in (ones, others))
                churn[rows, columns] = churn[columns, rows] = pairs["churn"]
                seeds, shared = np.array([seed for _, seed in runs]), keys not in native
                counted = seeds[:, None] != seeds if shared else ~np.eye(len(runs), dtype=bool)
                labels = _labels(np.array([run[0] == level for run in runs]), seeds, shared)
                yield Splits(keys, level, *_means(churn, counted, labels))


def _means(churn: np.ndarray, counted: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean churn within the two levels and across them, for each row of `labels` `(splits, runs)`."""

    def mean(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        total, pairs = (((one @ matrix) * other).sum(axis=1) for matrix in (churn * counted, counted.astype(float)))
        return total / pairs

    level, against = labels.astype(float), 1.0 - labels
    return (mean(level, level) + mean(against, against)) / 2, mean(level, against)


def _labels(level: np.ndarray, seeds: np.ndarray, shared: bool) -> np.ndarray:
    """Return the splits of runs, `(splits, runs)`, true for a run of the level; the real one, `level`, is the first.

    The runs of the level stand before the others, so that the real split is the first combination.
    """
    if shared:
        both = np.array([seed for seed in np.unique(seeds) if (seeds == seed).sum() == 2])
        return level ^ (exchanges(len(both)) @ (both[:, None] == seeds))
    if comb(len(level), level.sum()) > PATTERNS:
        drawn = np.random.default_rng(0).permuted(np.tile(level, (PATTERNS, 1)), axis=1)
        drawn[0] = level
        return drawn
    places = np.array(list(combinations(range(len(level)), level.sum())))
    return (places[:, :, None] == np.arange(len(level))).any(axis=1)
