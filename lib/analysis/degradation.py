"""The claim of He et al. (2016): a deeper plain network has the higher train error, and a residual one has not."""

from typing import NamedTuple

import pandas as pd

from lib.analysis import judgements
from lib.study.models import identity
from lib.study.study import Study

METRICS = ("train_accuracy_last", "test_accuracy")
"""What the claim is about, and what follows from it."""


class Published(NamedTuple):
    """A test error on CIFAR-10 in percent, and where it is published."""

    error: float
    source: str


PAPER = {
    "resnet20": Published(8.75, "He et al. 2016, table 6"),
    "resnet32": Published(7.51, "He et al. 2016, table 6"),
    "resnet44": Published(7.17, "He et al. 2016, table 6"),
    "resnet56": Published(6.97, "He et al. 2016, table 6"),
    "resnet110": Published(6.43, "He et al. 2016, table 6"),
}
"""The paper's own numbers; those of its plain networks are a figure only."""

REIMPLEMENTED = {
    "plain20": Published(10.08, "techxzen/pytorch-residual-networks"),
    "plain56": Published(15.39, "techxzen/pytorch-residual-networks"),
    "resnet20": Published(8.74, "techxzen/pytorch-residual-networks"),
    "resnet56": Published(7.41, "techxzen/pytorch-residual-networks"),
}
"""Errors of a public reimplementation in PyTorch that has all four networks: one run each, after its last iteration."""


def comparisons(study: Study, results: pd.DataFrame) -> pd.DataFrame:
    """Return every comparison of models that the study states, in train and in test accuracy, with its verdict.

    `results` has the column `train_accuracy_last`. Holm's correction is over the rows of one contrast and metric.

    Returns:
        The columns of `contrasts.compare` and `verdict`: for the train accuracy whether depth "degrades", "does not
        degrade", or "undecided"; empty for the test accuracy, and where the level is not the deeper network.
    """
    models = [one for one in study.comparisons if one.axis == "model"]
    tables = [judgements.judged(study, results, one, METRICS) for one in models]
    table = pd.concat(tables, ignore_index=True)
    return table.assign(verdict=[_verdict(row) for row in table.itertuples()])


def _verdict(row: tuple) -> str:
    if row.metric != "train_accuracy_last" or not _deeper(row.level, row.against):
        return ""
    if row.judgement == "undecided":
        return "undecided"
    return "degrades" if row.judgement == "different" and row.delta < 0 else "does not degrade"


def _deeper(one: str, other: str) -> bool:
    """Return whether two networks differ in depth alone and the first is deeper; a row may have no depth."""
    (family, keywords), (other_family, others) = ((name, dict(words)) for name, words in map(identity, (one, other)))
    depth, least = keywords.pop("depth", 0), others.pop("depth", 0)
    return (family, keywords) == (other_family, others) and depth > least > 0


def summary(study: Study, results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per model and arm: our errors beside the published ones, all in percent.

    Returns:
        The study's keys without the seed, `seeds`, `train_error` of the last epoch, `test_error` of the epoch chosen on
        val with its sample deviation; then `paper_error`, `other_error` (NaN for none) and `other_source`.
    """
    by = [key for key in study.keys if key != "seed"]
    errors = results[[*by, "seed"]].assign(
        train_error=100 * (1 - results["train_accuracy_last"]), test_error=100 * (1 - results["test_accuracy"])
    )
    table = errors.groupby(by, sort=False, as_index=False).agg(
        seeds=("seed", "size"),
        train_error=("train_error", "mean"),
        test_error=("test_error", "mean"),
        test_error_sd=("test_error", "std"),
    )
    none = Published(float("nan"), "")
    paper, other = ([known.get(model, none) for model in table["model"]] for known in (PAPER, REIMPLEMENTED))
    return table.assign(
        paper_error=[one.error for one in paper],
        other_error=[one.error for one in other],
        other_source=[one.source for one in other],
    )


def fading(layers: pd.DataFrame, group: list[str]) -> pd.DataFrame:
    """Return how the gradient changes from the last activation to the first, one row per group and model.

    `layers` is the table of `neurons.measured`.

    Returns:
        Columns `group`, `model`, and the ratio of the gradient's scale at the first activation to that at the last one,
        `before` the training and `after` it, in means over the seeds.
    """
    rows = []
    for keys, found in layers.groupby([*group, "model"], sort=False):
        ratios = []
        for epoch in (found["epoch"].min(), found["epoch"].max()):
            by_depth = found[found["epoch"] == epoch].groupby("depth")["gradient"].mean()
            ratios.append(by_depth.iloc[0] / by_depth.iloc[-1])
        rows.append((*keys, *ratios))
    return pd.DataFrame(rows, columns=[*group, "model", "before", "after"])
