"""Tables of what `make bench` measured: the speeds of training loops, side by side."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

KEYS = ["framework", "dataset", "model", "precision"]

GOALS = {"bare": 0.97, "alternative": 1.0}
"""The least ratio of the project's own loop to the others, by their kind."""

WIDTH = 0.03
"""How far an interval reaches to either side of its middle at most, to be narrow, as a share of it."""


def ratio(speeds: Sequence[float], others: Sequence[float]) -> tuple[float, float, float]:
    """Return the ratio of two loops' speeds in the same rounds, and its 95 % interval, which needs 6 rounds.

    Both are those of the signed-rank test. It supposes that rounds are independent, and that the logarithms of their
    ratios are symmetric around the true one: that a neighbour on the machine slows either loop's turn alike. Where one
    loop's turns take much longer, they are slowed more often. Source: Hollander, Wolfe and Chicken, Nonparametric
    Statistical Methods (2014), sections 3.2 and 3.3.
    """
    logs = np.log(np.asarray(speeds) / np.asarray(others))
    means = np.sort(np.add.outer(logs, logs)[np.triu_indices(len(logs))] / 2)
    outside = _means_outside(len(logs))
    low, high = (means[outside - 1], means[-outside]) if outside else (np.nan, np.nan)
    return float(np.exp(np.median(means))), float(np.exp(low)), float(np.exp(high))


def _means_outside(rounds: int) -> int:
    """Return how many of the pairs' means lie at or beyond each end of a 95 % interval, from the exact distribution."""
    chances = np.ones(1)
    for rank in range(1, rounds + 1):
        chances = np.convolve(chances, [0.5, *[0] * (rank - 1), 0.5])
    return int(np.sum(np.cumsum(chances) <= 0.025))


def is_narrow(low: float, high: float) -> bool:
    """Return whether the interval of a ratio is no wider than one that reaches `WIDTH` to either side of its middle.

    The ratio itself need not be in the middle.
    """
    return high / low <= (1 + WIDTH) ** 2


def ratios(speeds: pd.DataFrame) -> pd.DataFrame:
    """Return each other loop beside the project's own, one row per network and loop.

    `speeds` has `KEYS`, `loop`, `kind`, `round` and `images_per_second`.

    Returns:
        `KEYS`, `loop`, `kind`, `ours` and `other` (median images per second), `ratio` (ours / other) with its 95 %
        interval `ratio_low` to `ratio_high`, `rounds`, and whether the interval is `narrow`.
    """
    rows = []
    for keys, table in speeds.groupby(KEYS, sort=False):
        wide = table.pivot(index="round", columns="loop", values="images_per_second")
        for name, kind in table.drop_duplicates("loop").set_index("loop")["kind"].drop("ours").items():
            value, low, high = ratio(wide["ours"], wide[name])
            found = (value, low, high, len(wide), is_narrow(low, high))
            rows.append((*keys, name, kind, wide["ours"].median(), wide[name].median(), *found))
    columns = [*KEYS, "loop", "kind", "ours", "other", "ratio", "ratio_low", "ratio_high", "rounds", "narrow"]
    return pd.DataFrame(rows, columns=columns)


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `ratios` that have a goal: the bare loop, and the fastest alternative.

    `verdict` is "met" or "missed" where the whole interval is on one side of the `goal`, else "undecided".
    """
    bare, alternatives = (table[table["kind"] == kind] for kind in GOALS)
    fastest = alternatives.loc[alternatives.groupby(KEYS, sort=False)["ratio"].idxmin()]
    found = pd.concat([bare, fastest]).sort_index()
    goal = found["kind"].map(GOALS)
    verdict = np.select([found["ratio_low"] >= goal, found["ratio_high"] < goal], ["met", "missed"], "undecided")
    return found.assign(goal=goal, verdict=verdict).reset_index(drop=True)


def arms(table: pd.DataFrame) -> pd.DataFrame:
    """Return the `ratios` of arms, turned around: the arm's speed over that of the study's base."""
    ends = {"ratio_low": 1 / table["ratio_high"], "ratio_high": 1 / table["ratio_low"]}
    return table.assign(ratio=1 / table["ratio"], **ends).rename(columns={"loop": "arm"})


def parts(rows: pd.DataFrame, speeds: pd.DataFrame) -> pd.DataFrame:
    """Return the parts of a training, one row per network: `KEYS`, then a column for each part.

    `rows` has `KEYS`, `part` and `value`. The `pipeline` and the `evaluation` are in images per second, beside the
    `training` of `speeds`; the others are in seconds.
    """
    wide = rows.pivot(index=KEYS, columns="part", values="value")[rows["part"].drop_duplicates()]
    ours = speeds[speeds["loop"] == "ours"].groupby(KEYS, sort=False)["images_per_second"].median()
    return ours.rename("training").to_frame().join(wide).reset_index()


def between(value: float, low: float, high: float) -> str:
    """Write a ratio with its interval."""
    return f"{value:.2f} ({low:.2f} to {high:.2f})"
