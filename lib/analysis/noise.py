"""What an interval of accuracies means: the noise of the test images, that of the training, and other images.

The intervals of `contrasts` are for these test images and for seeds like those seen. The kept test predictions tell how
much of the scatter is images that are now right and now wrong, and how much wider an interval for new images is.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.analysis.estimates import Estimate
from lib.analysis.headline import Headline
from lib.study.study import Comparison


class Hits(NamedTuple):
    """Which test images the runs of a group's two levels classify correctly: (seeds, images) each, seed by seed."""

    first: np.ndarray
    second: np.ndarray


def hits(answers: pd.DataFrame, comparison: Comparison, level: str) -> dict[tuple[str, ...], Hits]:
    """Return the hits of each group with a seed on both sides, from the table of `predictions.answers`."""
    axis, against, _, group = comparison
    right = answers.assign(right=(answers["label"] == answers["prediction"]).astype(float))
    found = {}
    for keys, rows in right[right[axis].isin([against, level])].groupby(group, sort=False, observed=True):
        wide = rows.astype({axis: str}).pivot(index="image", columns=[axis, "seed"], values="right")
        sides = [wide[side].T if side in wide.columns.get_level_values(0) else None for side in (against, level)]
        if all(side is not None for side in sides):
            seeds = sides[0].index.intersection(sides[1].index)
            if len(seeds):
                found[keys] = Hits(*(side.loc[seeds].to_numpy() for side in sides))
    return found


def parts(answers: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """Return the scatter between seeds and its two parts, pooled over the groups and levels of each dataset.

    Images that flip independently give the variance sum p (1 - p) / n^2, whose unbiased estimate from K runs is
    K / (K - 1) times that of the observed shares p (Jordan, ICLR 2024, arXiv 2304.01910). What remains is the variance
    of the training, which other images would show too. One set of runs tells it too roughly, so the sets are pooled; a
    remainder below 0 is shown as 0.

    Returns:
        `dataset` (the last row is "all" if there are several), the number of `sets` of at least two runs, and the
        standard deviations `sd_seeds`, `sd_images` and `sd_training`.
    """
    by, rows = [*comparison.group, comparison.axis], []
    right = answers.assign(right=(answers["label"] == answers["prediction"]).astype(float))
    for keys, of_set in right.groupby(by, sort=False, observed=True):
        runs = of_set.pivot(index="seed", columns="image", values="right").to_numpy()
        if len(runs) > 1:
            flips = runs.var(axis=0, ddof=1).sum() / runs.shape[1] ** 2
            rows.append((dict(zip(by, keys, strict=True))["dataset"], runs.mean(axis=1).var(ddof=1), flips))
    table = pd.DataFrame(rows, columns=["dataset", "seeds", "images"])
    if table["dataset"].nunique() > 1:
        table = pd.concat([table, table.assign(dataset="all")])
    by_dataset = table.groupby("dataset", sort=False)
    pooled = by_dataset.agg(sets=("seeds", "size"), seeds=("seeds", "mean"), images=("images", "mean"))
    pooled["training"] = (pooled["seeds"] - pooled["images"]).clip(lower=0)
    roots = np.sqrt(pooled[["seeds", "images", "training"]]).add_prefix("sd_")
    return pooled[["sets"]].join(roots).reset_index()


def for_new_images(rows: pd.DataFrame, found: dict[tuple[str, ...], Hits], group: list[str]) -> pd.DataFrame:
    """Add `new_low` and `new_high` to accuracy rows of one level: the 95 % interval for seeds and images like these.

    NaN for a row without hits or without an interval.
    """
    ends = []
    for row, keys in zip(rows.itertuples(), rows[group].itertuples(index=False, name=None), strict=True):
        estimate = Estimate(row.delta, row.se, row.freedom)
        extra = image_variance([found[keys]], row.test == "paired") if keys in found else np.nan
        ends.append(widened(estimate, extra).interval())
    low, high = zip(*ends, strict=True) if ends else ((), ())
    return rows.assign(new_low=low, new_high=high)


def mean_for_new_images(
    found: Headline, rows: pd.DataFrame, hits_of: dict[tuple[str, ...], Hits], group: list[str]
) -> Estimate:
    """Return the mean of a headline with a standard error for new images; the groups of a dataset share theirs."""
    extra, used = 0.0, rows[rows["se"].notna()]
    for _, same in used.groupby("dataset", sort=False):
        sets = [hits_of[keys] for keys in same[group].itertuples(index=False, name=None) if keys in hits_of]
        share = len(same) / len(used)
        extra += share**2 * image_variance(sets, (same["test"] == "paired").all()) if sets else np.nan
    return widened(found.mean, extra)


def widened(estimate: Estimate, extra: float) -> Estimate:
    """Return an estimate with a further variance that is known well, and Satterthwaite's degrees of freedom."""
    variance = estimate.se**2 + extra
    return Estimate(estimate.value, np.sqrt(variance), estimate.freedom * (variance / estimate.se**2) ** 2)


def image_variance(sets: list[Hits], paired: bool) -> float:
    """Return the variance that the choice of images adds to the mean difference over sets of runs on the same images.

    It is that of the images' mean differences, less the part of it that is the seeds' (two-way random effects, Searle
    et al. 1992, ch. 5), which the standard error between seeds has already; 0 or more. A bootstrap over seeds and
    images would count that part twice, and five seeds are too few to draw from.
    """
    differences = [one.second - one.first for one in sets]
    images = differences[0].shape[1]
    by_image = np.mean([one.mean(axis=0) for one in differences], axis=0)
    flips = np.sum([_flips(one, paired) for one in sets], axis=0) / len(sets) ** 2
    return max(0.0, float(by_image.var(ddof=1) - flips.mean()) / images)


def _flips(one: Hits, paired: bool) -> np.ndarray:
    """Return the variance of each image's mean difference over the seeds, (images,); 0 for one seed."""
    seeds = len(one.first)
    if seeds < 2:
        return np.zeros(one.first.shape[1])
    sides = (one.second - one.first,) if paired else one
    return np.sum([side.var(axis=0, ddof=1) for side in sides], axis=0) / seeds
