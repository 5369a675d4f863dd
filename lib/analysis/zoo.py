"""Many networks side by side: families, published numbers, price, and which of them err on the same images."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from lib.analysis import ablations, judgements
from lib.analysis.networks import networks
from lib.study.models import MODELS, Published, find, identity
from lib.study.study import Comparison, Study


class Cost(NamedTuple):
    """The title of a cost with its unit, and the size of that unit."""

    title: str
    unit: float


COSTS = {
    "parameters": Cost("parameters, millions", 1e6),
    "multiply_adds": Cost("multiply-adds of one image, millions", 1e6),
    "train_seconds": Cost("time of training, minutes", 60),
}
"""What accuracy is paid with: columns of `zoo`."""

TIMES = ("train_seconds",)
"""The costs that were measured by the clock."""

COLUMNS = {
    "family": "the title of the model's family",
    "model": "its name",
    "published_accuracy": "in [0, 1]; NaN for none, or on another dataset",
    "test_accuracy": "mean over the seeds",
    "test_accuracy_sd": "sample deviation over the seeds",
    "gap": "test_accuracy - published_accuracy",
    "acc_best": "val accuracy of the best epoch, mean over the seeds",
    "seeds": "runs with results",
    "epochs": "of a run",
    "recipe": "an entry of `params/train.yaml`; empty for none",
    "published_parameters": "NaN for none, or on another dataset",
    "parameters": "of our network",
    "multiply_adds": "of one image; NaN where runs did not count them",
    "seconds": "of a late epoch, without validation, mean over the seeds",
    "train_seconds": "of all epochs, without validation, mean over the seeds",
    "per_million": "test accuracy per million parameters",
    "timing": "why its times are not to be relied on; empty if they are",
}
"""The columns of `zoo`, each with its meaning."""

PUBLISHED_ON = "cifar100"
"""The dataset of the published table."""

STEM = "imagenet-stem"
"""The arm that has the original stem, for images of 224 pixels."""


def first(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Return a table's rows at the first level of every axis but the models."""
    for axis in study.keys:
        if axis not in ("model", "seed"):
            table = table[table[axis] == study.levels(axis)[0]]
    return table


def zoo(study: Study, results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per model with results, in the registry's order, with `COLUMNS`.

    `results` is the table of `analysis.results`. Its rows at the `first` levels count.
    """
    chosen = first(study, results)
    epochs = {entry.cell.model: entry.cell.settings.epochs for entry in reversed(study.entries)}  # the first arm's
    table = networks(study, chosen).astype({"multiply_adds": float})
    places = {model: place for place, model in enumerate(MODELS)}
    order = table["model"].map(lambda model: places.get(model, len(places))).argsort(kind="stable")
    table = table.iloc[order].reset_index(drop=True)
    models = [find(model) for model in table["model"]]
    known = study.datasets[0] == PUBLISHED_ON
    published = [model.published if known and model.published else Published() for model in models]
    table["family"] = [model.kind.title for model in models]
    table["epochs"] = table["model"].map(epochs)
    table["recipe"] = [study.recipe(model) or "" for model in models]
    seconds = chosen.groupby("model")["time_per_epoch_avg"].mean()
    table["train_seconds"] = table["model"].map(seconds) * table["epochs"]
    table["per_million"] = table["test_accuracy"] / (table["parameters"] / 1e6)
    table["published_accuracy"] = np.array([one.accuracy for one in published], dtype=float) / 100
    table["published_parameters"] = 1e6 * np.array([one.parameters for one in published], dtype=float)
    return table.assign(gap=table["test_accuracy"] - table["published_accuracy"])[list(COLUMNS)]


def soft(study: Study) -> list[str]:
    """Return the models of a study that some run trains on mixed or smoothed labels."""
    settings = [(entry.cell.model, entry.cell.settings) for entry in study.entries]
    found = {model for model, one in settings if one.mixing.departures() or one.regularisation.label_smoothing}
    return [model for model in study.models if model in found]


def families(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per family of a table of `zoo`: its number of `networks`, and its best network on val.

    Returns:
        `family`, `networks`, and the columns of `zoo` of the network with the highest `acc_best`.
    """
    by_family = table.groupby("family", sort=False)
    best = table.loc[by_family["acc_best"].idxmax()].reset_index(drop=True)
    best.insert(1, "networks", by_family.size().to_numpy())
    return best


def best_on_val(table: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return two rows of a table of `zoo`, both chosen on val: the best accuracy, and the best for each parameter."""
    accuracy = table["acc_best"]
    return table.loc[accuracy.idxmax()], table.loc[(accuracy / table["parameters"]).idxmax()]


def front(table: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Return the Pareto front of test accuracy and a cost, the cheapest row first.

    A row is on it if no other is at least as accurate and at most as costly, and better in one of both. A row without
    the cost is not.
    """
    known = table[table[cost].notna()]
    accuracy, price = known["test_accuracy"].to_numpy(), known[cost].to_numpy(dtype=float)
    no_worse = (accuracy[:, None] >= accuracy) & (price[:, None] <= price)
    better = (accuracy[:, None] > accuracy) | (price[:, None] < price)
    beaten = (no_worse & better).any(axis=0)
    return known[~beaten].sort_values([cost, "test_accuracy"])


def consistency(answers: pd.DataFrame) -> pd.DataFrame:
    """Return how far two models err on the same images, beyond what their accuracies make likely: Cohen's kappa.

    It is the error consistency of Geirhos et al. 2020 (NeurIPS, eq. 1 to 3): observed agreement of right and wrong
    answers against the agreement expected of independent errors. 1 is the same errors, 0 is independent ones. Two
    models are compared seed by seed, and a model with itself over all pairs of its seeds; the values are means.

    `answers` are rows of `predictions.answers` with one run per model and seed.

    Returns:
        Symmetric (models, models), in the order of the answers; NaN without a common seed, for a model of one seed with
        itself, and where no run errs or none is right.
    """
    wrong = answers.assign(model=answers["model"].astype(str), wrong=answers["label"] != answers["prediction"])
    wide = wrong.pivot(index="image", columns=["model", "seed"], values="wrong")
    values = wide.to_numpy(dtype=float)
    share, both = values.sum(axis=0) / len(values), values.T @ values / len(values)
    observed = 1 - share[:, None] - share + 2 * both
    expected = np.outer(share, share) + np.outer(1 - share, 1 - share)
    room = (1 - expected).round(12)
    kappa = (observed - expected) / np.where(room > 0, room, np.nan)
    models, seeds = (wide.columns.get_level_values(level) for level in ("model", "seed"))
    names = list(dict.fromkeys(wrong["model"]))
    found = pd.DataFrame(np.nan, index=names, columns=names)
    for one in names:
        for other in names:
            matched = (seeds.to_numpy()[:, None] == seeds.to_numpy()) != (one == other)
            chosen = kappa[matched & np.outer(models == one, models == other)]
            if np.isfinite(chosen).any():
                found.loc[one, other] = np.nanmean(chosen)
    return found


def synonyms(models: Iterable[str]) -> list[list[str]]:
    """Return the names of each network that has several among these models."""
    names: dict[tuple, list[str]] = {}
    for model in models:
        names.setdefault(identity(model), []).append(model)
    return [group for group in names.values() if len(group) > 1]


def alike(kappa: pd.DataFrame) -> pd.DataFrame:
    """Return each pair of different networks of a `consistency` that has a value, the most alike first.

    Two names of one network are no pair.

    Returns:
        Columns `model`, `other`, `kappa`, and `kin`: whether both are of one family.
    """
    rows = [
        (one, other, kappa.loc[one, other], find(one).kind == find(other).kind)
        for place, one in enumerate(kappa.index)
        for other in kappa.index[place + 1 :]
        if identity(one) != identity(other)
    ]
    table = pd.DataFrame(rows, columns=["model", "other", "kappa", "kin"]).dropna()
    return table.sort_values("kappa", ascending=False, kind="stable", ignore_index=True)


def clusters(kappa: pd.DataFrame) -> np.ndarray:
    """Return SciPy's linkage of the models of a `consistency`, two or more: average linkage of the distance 1 - kappa.

    The leaves are ordered so that neighbours are near (Bar-Joseph et al. 2001). A pair without a value has the distance
    of independent errors.
    """
    distance = 1 - kappa.fillna(0).to_numpy()
    np.fill_diagonal(distance, 0)
    # Two models that err less alike than by chance are further apart than 1; rounding must not leave one below 0.
    return hierarchy.linkage(squareform(distance.clip(0), checks=False), "average", optimal_ordering=True)


def comparisons(study: Study, results: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """Return every comparison of arms or models that has a pair, group by group, in test accuracy.

    `results` is the table of `analysis.results`.

    Returns:
        The level compared against, the group's values, and the rows of `contrasts.compare` with a `question`: for arms
        those of `ablations.by_question`, for models their family's title. `control`: both sides are one network under
        two names, trained alike, so that their difference is noise.
    """
    found = []
    for one in study.comparisons:
        rows = judgements.judged(study, results, one, ("test_accuracy",)).query("n > 0")
        if one.axis == "arm":
            rows = ablations.by_question(rows, study)
        elif one.axis == "model":
            rows = rows.assign(question=[find(level).kind.title for level in rows["level"]])
        else:
            continue
        rows = rows.assign(control=_controls(study, one, rows))
        found += [(one.against, ", ".join(keys), table) for keys, table in rows.groupby(one.group, sort=False)]
    return found


def _controls(study: Study, comparison: Comparison, rows: pd.DataFrame) -> list[bool]:
    """Return for each row of a comparison whether its two sides have one network and the same other settings."""
    sides = {}
    for entry in study.entries:
        network, others = entry.cell.settings.network, entry.cell.settings.model_dump(exclude={"network"})
        point = study.row(entry) | {"arm": entry.arm}
        key = (*(point[name] for name in comparison.group), point[comparison.axis])
        sides[key] = identity(entry.cell.model, network), others
    points = rows[comparison.group].itertuples(index=False, name=None)
    levels = zip(points, rows["level"], strict=True)
    return [sides[*point, level] == sides[*point, comparison.against] for point, level in levels]


def mends(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return what the stem for small images is worth, from tables of `contrasts.compare`: one row per model.

    Returns:
        `model`, pairs `n`, `delta` of ours minus the original stem with `ci_low` and `ci_high`, and `judgement`.
    """
    columns = ["model", "n", "delta", "ci_low", "ci_high", "judgement"]
    rows = [table[table["level"] == STEM] for table in tables if "model" in table]
    found = pd.concat(rows) if rows else pd.DataFrame(columns=[*columns, "level"])
    turned = {"delta": -found["delta"], "ci_low": -found["ci_high"], "ci_high": -found["ci_low"]}
    return found.assign(**turned)[columns].reset_index(drop=True)
