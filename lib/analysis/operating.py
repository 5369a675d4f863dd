"""The operating characteristics of the judgement: how often the functions that judge a report are wrong, and right.

They are called on generated results, and not rebuilt here. The design is that of the project's largest study: 18 groups
with five native pairs each. An experiment is one such study with a known truth.
"""

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product, repeat

import numpy as np
import pandas as pd

from lib import imports, kept, paths
from lib.analysis import contrasts, headline, settling
from lib.analysis.inference import ALPHA
from lib.runs.digests import digest_of
from lib.study.study import Comparison

SD = {"cifar10": 0.0025, "cifar100": 0.005, "tiny_imagenet": 0.005}
"""The standard deviation of test accuracy between the seeds of a dataset, a share."""

GROUPS = list(product(SD, ("resnet50", "mobilenetv2", "convnext_tiny"), ("fp32", "amp")))
COMPARISON = Comparison("framework", "keras", ("pytorch",), ["dataset", "model", "precision"])
METRIC = "test_accuracy"

EXPERIMENTS = 200
"""Experiments of a scenario; a rate of 0.05 then has a standard error of 0.015."""

_MOST = 80  # the largest number of seeds that can be drawn
_CELLS = pd.DataFrame(
    [(place, *group, side, seed) for place, group in enumerate(GROUPS) for side in (0, 1) for seed in range(_MOST)],
    columns=["place", *COMPARISON.group, "side", "seed"],
).assign(framework=lambda table: np.where(table["side"], "pytorch", "keras"))

ANSWERS = {
    "row_different": "any row different (Holm)",
    "row_equivalent": "any row equivalent (Holm)",
    "rows_different": "one row different (Holm)",
    "rows_equivalent": "one row equivalent (Holm)",
    "every": "every group within the margin",
    "mean_different": "the mean is other than zero",
    "mean_equivalent": "the mean is within the margin",
    "anywhere": "a difference in any group (signs)",
    "unlike": "the groups differ among themselves",
    "beyond": "a mean difference beyond these networks (clusters)",
    "random_different": "a mean difference beyond these networks (random effects)",
    "rows_cover": "interval of a row",
    "shrunken_cover": "interval of a row, drawn to the mean",
    "mean_cover": "interval of the mean",
    "random_cover": "interval of the mean over groups like these",
}
"""What is counted in every experiment, each with its title."""


@dataclass(frozen=True)
class Scenario:
    """A truth, and which of `ANSWERS` are wrong in it, which are right, and which intervals should contain it.

    `effect` is the mean true difference, and `between` its standard deviation between the groups. By the `rule` for
    adding seeds, those of each dataset are fixed after five; without it five are all.
    """

    title: str
    effect: float
    wrong: Sequence[str] = ()
    right: Sequence[str] = ()
    cover: Sequence[str] = ()
    between: float = 0.0
    rule: bool = False


SCENARIOS = (
    Scenario(
        "no difference in any group",
        effect=0,
        wrong=("row_different", "mean_different", "anywhere", "unlike", "beyond", "random_different"),
        right=("rows_equivalent", "mean_equivalent"),
        cover=("rows_cover", "shrunken_cover", "mean_cover", "random_cover"),
    ),
    Scenario(
        "half a point in every group, which is the margin",
        effect=0.005,
        wrong=("row_equivalent", "mean_equivalent", "every"),
        right=("anywhere", "beyond"),
        cover=("rows_cover", "mean_cover"),
    ),
    Scenario(
        "no mean difference, but true differences with an SD of 0.3 points",
        effect=0,
        between=0.003,
        wrong=("beyond", "random_different"),
        right=("unlike", "anywhere", "mean_equivalent"),
        cover=("rows_cover", "shrunken_cover", "mean_cover", "random_cover"),
    ),
    Scenario(
        "a mean of 0.3 points, with an SD of 0.3 points",
        effect=0.003,
        between=0.003,
        right=("row_different", "anywhere", "beyond", "random_different"),
        cover=("rows_cover", "shrunken_cover", "mean_cover", "random_cover"),
    ),
    Scenario("one point in every group", effect=0.01, right=("rows_different", "mean_different", "anywhere", "beyond")),
    Scenario("no difference, seeds added by the rule", effect=0, rule=True, wrong=("row_different",), right=("every",)),
    Scenario("half a point, seeds added by the rule", effect=0.005, rule=True, wrong=("row_equivalent", "every")),
)


def characteristics() -> pd.DataFrame:
    """Return how often each answer is given in each scenario, from the cache if the code of the statistics is the same.

    Returns:
        `scenario`; `kind`: "wrong", "right" or "covers"; `answer`; its `rate` among the experiments, or among their
        rows; the `error` of this rate by Monte Carlo, a standard error; and the number `n` of experiments.
    """
    path = paths.EXECUTED / ".operating" / "characteristics.json"
    return kept.table(path, _digest(), lambda: simulated(SCENARIOS, EXPERIMENTS))[0]


def _digest() -> str:
    """Return the digest of the code of the statistics and of the margins."""
    inside = ("lib.analysis.", "lib.study.margins")
    code = imports.closure([__name__], imports.modules(), lambda name: name.startswith(inside))
    return digest_of(code | {"margins": repr((paths.PARAMS / "margins.yaml").read_bytes()).encode()})


def simulated(scenarios: Sequence[Scenario], experiments: int) -> pd.DataFrame:
    """Return the table of `characteristics`, simulated; the same each time, by one process a processor."""
    streams = np.random.default_rng(0).spawn(len(scenarios))
    workers = min(len(os.sched_getaffinity(0)), len(scenarios))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        found = pool.map(_rates, scenarios, streams, repeat(experiments))
        rows = [row for of_scenario in found for row in of_scenario]
    return pd.DataFrame(rows, columns=["scenario", "kind", "answer", "rate", "error", "n"])


def _rates(scenario: Scenario, rng: np.random.Generator, experiments: int) -> list[tuple]:
    found = pd.DataFrame([_experiment(scenario, rng) for _ in range(experiments)])
    errors = found.std(ddof=1) / np.sqrt(experiments)
    kinds = {"wrong": scenario.wrong, "right": scenario.right, "covers": scenario.cover}
    return [
        (scenario.title, kind, ANSWERS[name], found[name].mean(), errors[name], experiments)
        for kind, names in kinds.items()
        for name in names
    ]


def _experiment(scenario: Scenario, rng: np.random.Generator) -> dict[str, float]:
    """Return which of `ANSWERS` are given in one experiment, 0 or 1, or the share of the rows that give it."""
    truth = scenario.effect + scenario.between * rng.normal(size=len(GROUPS))
    noise = rng.normal(size=(len(GROUPS), 2, _MOST))
    results, rows = _judged(truth, noise, np.full(len(GROUPS), settling.FIRST))
    if scenario.rule:
        fixed = settling.rule(rows).set_index("dataset")["seeds"]
        results, rows = _judged(truth, noise, np.array([fixed[dataset] for dataset, *_ in GROUPS]))
    told = headline.headline(rows, results, COMPARISON, "pytorch", METRIC)
    drawn = headline.shrunken(rows)
    verdicts = {name: rows["judgement"] == name for name in ("different", "equivalent")}
    return {
        **{f"row_{name}": float(given.any()) for name, given in verdicts.items()},
        **{f"rows_{name}": given.mean() for name, given in verdicts.items()},
        "every": float(told.every_p < ALPHA),
        "mean_different": float(told.mean.difference_p() < ALPHA),
        "mean_equivalent": float(told.tost_p < ALPHA),
        "anywhere": float(told.any_p < ALPHA),
        "unlike": float(told.unlike_p < ALPHA),
        "beyond": float(told.clusters_p < ALPHA),
        "random_different": float(told.random.difference_p() < ALPHA),
        "rows_cover": _cover(rows["ci_low"], truth, rows["ci_high"]),
        "shrunken_cover": _cover(drawn["shrunken_low"], truth, drawn["shrunken_high"]),
        "mean_cover": _cover(*_around(told.mean.interval(), truth.mean())),
        "random_cover": _cover(*_around(told.random.interval(), scenario.effect)),
    }


def _judged(truth: np.ndarray, noise: np.ndarray, seeds: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the results of an experiment with so many seeds in each group, and their judged rows in its order."""
    cells = _CELLS[_CELLS["seed"].to_numpy() < seeds[_CELLS["place"]]]
    place, side = cells["place"].to_numpy(), cells["side"].to_numpy()
    scatter = cells["dataset"].map(SD).to_numpy() * noise[place, side, cells["seed"]]
    results = cells.assign(**{METRIC: 0.8 + truth[place] * side + scatter})
    return results, contrasts.compare(results, COMPARISON, (METRIC,), native=set(GROUPS))


def _around(ends: tuple[np.ndarray, np.ndarray], value: float) -> tuple[float, float, float]:
    low, high = ends
    return float(low), value, float(high)


def _cover(low: pd.Series | float, value: np.ndarray | float, high: pd.Series | float) -> float:
    """Return the share of intervals that contain their values."""
    return float(np.mean((low <= value) & (value <= high)))
