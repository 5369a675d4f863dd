"""The parts of the gap between the frameworks: one cause after another is aligned, and then made native again.

A gap is PyTorch minus Keras on one seed. Aligning a cause removes its part of the gap. Each part is measured twice: on
the way forth, with the causes before it aligned, and on the way back, with only those after it aligned. The mean over
an order and its reverse estimates the Shapley value (Mitchell et al. 2022, JMLR 23, "antithetic
sampling"), and the parts add up to the whole.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from lib.analysis import contrasts
from lib.analysis.inference import mean_interval
from lib.study.conventions import SWITCHES
from lib.study.models import find
from lib.study.study import Study

GROUP = ["dataset", "model", "precision"]

GAPS = {"accuracy": "test_accuracy", "speed": "images_per_sec_avg_late"}
"""The gaps, and the column of the results for each."""

NATIVE, ALIGNED = "native", "aligned"
"""The two rows that are not causes: the native gap, and the gap between twins."""

EFFECTS = (*GROUP, "cause", "n", "forth", "back", "effect", "low", "high")


def gaps(study: Study, results: pd.DataFrame, gap: str) -> pd.DataFrame:
    """Return the gap of every pair in a table of results that is finished in both frameworks, one row per arm and seed.

    Returns:
        Columns `GROUP`, `arm`, `level`, `seed`, `first` (Keras), `second` (PyTorch) and `gap`: a difference of shares
        for the accuracy, the logarithm of a ratio for the speed.
    """
    found = contrasts.pairs(results, study.main, GAPS[gap]).dropna().reset_index(drop=True)
    first, second = found["first"].astype(float), found["second"].astype(float)
    return found.assign(gap=second - first if gap == "accuracy" else np.log(second / first))


def effects(study: Study, gaps: pd.DataFrame) -> pd.DataFrame:
    """Return each cause's part of a gap: one row per group and cause, with the native and the aligned gap.

    The first row of a group, `native`, is the native gap, and the last, `aligned`, the gap between twins. Between them
    are the causes that concern the model; their parts add up to the difference of the two. Only seeds that are finished
    in every arm count; a group without such a seed has no rows.

    Returns:
        Columns `EFFECTS`: the mean on the way forth and on the way back, their mean with its 95 % t interval over the
        `n` seeds.
    """
    rows = []
    for keys, group in gaps.groupby(GROUP, sort=False):
        whole = group.pivot(index="seed", columns="arm", values="gap").reindex(columns=list(study.way)).dropna()
        rows += [(*keys, *row) for row in _effects(study, keys[1], whole)] if len(whole) else []
    return pd.DataFrame(rows, columns=list(EFFECTS))


def _effects(study: Study, model: str, wide: pd.DataFrame) -> Iterator[tuple]:
    """Yield the rows of one group; `wide` has one row per seed and one column per arm."""
    causes = list(study.causes)
    native, twins = "native", f"upto-{causes[-1]}"
    forth = [native, *(f"upto-{cause}" for cause in causes)]
    back = [twins, *(f"beyond-{cause}" for cause in causes[:-1]), native]
    none = (np.nan, np.nan)
    yield NATIVE, len(wide), *none, *mean_interval(wide[native].to_numpy())
    for step, cause in enumerate(causes):
        if concerns(study, cause, model):
            taken = (wide[forth[step]] - wide[forth[step + 1]]).to_numpy()
            given = (wide[back[step + 1]] - wide[back[step]]).to_numpy()
            yield cause, len(wide), taken.mean(), given.mean(), *mean_interval((taken + given) / 2)
    yield ALIGNED, len(wide), *none, *mean_interval(wide[twins].to_numpy())


def concerns(study: Study, cause: str, model: str) -> bool:
    """Return whether a cause changes anything in a model."""
    return bool(find(model).twin.differences & set(study.causes[cause]))


def as_ratios(effects: pd.DataFrame) -> pd.DataFrame:
    """Return a table of `effects` on the speed with factors instead of logarithms."""
    columns = ["forth", "back", "effect", "low", "high"]
    return effects.assign(**np.exp(effects[columns].astype(float)))


def pairing(study: Study, gaps: pd.DataFrame) -> pd.DataFrame:
    """Return the gain of pairing in test accuracy, native and aligned: `conventions`, then `contrasts.pairing`'s."""
    arms = {NATIVE: "native", ALIGNED: f"upto-{list(study.causes)[-1]}"}
    tables = {name: contrasts.pairing(gaps[gaps.arm == arm], GROUP) for name, arm in arms.items()}
    return pd.concat([table.assign(conventions=name) for name, table in tables.items()], ignore_index=True)


def causes(study: Study) -> pd.DataFrame:
    """Return the study's causes with their switches, and the models that each concerns: one row per cause."""
    rows = []
    for cause, switches in study.causes.items():
        concerned = [model for model in study.models if concerns(study, cause, model)]
        rows.append((cause, ", ".join(switches), ", ".join(concerned) or "none"))
    left = [switch for switch in SWITCHES if switch not in {one for group in study.causes.values() for one in group}]
    known = [switch for switch in left if any(switch in find(model).twin.differences for model in study.models)]
    rows += [("not attributed", ", ".join(known), "")] if known else []
    return pd.DataFrame(rows, columns=["cause", "switches", "models"])
