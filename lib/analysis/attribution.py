"""What explains the gap between the frameworks: from native to aligned one cause after another, and back.

A gap is PyTorch minus Keras on one seed. Where a cause is aligned, its part of the gap goes. Each cause is taken away
twice: on the way forth, with the causes before it aligned already, and on the way back, with only those after it
aligned. The mean over an order and its reverse estimates the Shapley value (Mitchell et al. 2022, JMLR 23, "antithetic
sampling"), and the parts add up to the whole.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from lib.analysis import contrasts as statistics
from lib.analysis import results as records
from lib.analysis.contrasts import mean_interval
from lib.analysis.results import GROUP
from lib.study.conventions import DIFFERENCES, SWITCHES
from lib.study.params import Study

GAPS = {"accuracy": "test_accuracy", "speed": "images_per_sec_avg_late"}
"""What is attributed, and the column of the results that it comes from."""

NATIVE, ALIGNED = "native", "aligned"
"""The two rows that are no causes: the whole gap, and what is left of it between twins."""

EFFECTS = (*GROUP, "cause", "n", "forth", "back", "effect", "low", "high")


def gaps(study: Study) -> pd.DataFrame:
    """Return the gap of every pair that is finished in both frameworks, one row an arm and seed.

    Returns:
        Columns `GROUP`, `seed`, `arm`; `test_accuracy` and `images_per_sec_avg_late`, each with `_keras` and
        `_pytorch`; `accuracy`, a difference of shares, and `speed`, the logarithm of a ratio.
    """
    results = records.results_by_run(study)
    rows = []
    for arm, cells in study.pairs:
        names = {cell.framework: cell.name for cell in cells}
        if set(names.values()) <= set(results.index):
            keys = {key: getattr(cells[0], key) for key in (*GROUP, "seed")}
            values = {f"{column}_{one}": results.loc[names[one], column] for column in GAPS.values() for one in names}
            rows.append(keys | {"arm": arm.name} | values)
    values = [f"{column}_{framework}" for column in GAPS.values() for framework in ("keras", "pytorch")]
    table = pd.DataFrame(rows, columns=[*GROUP, "seed", "arm", *values])
    table["accuracy"] = table.test_accuracy_pytorch - table.test_accuracy_keras
    table["speed"] = np.log(table.images_per_sec_avg_late_pytorch / table.images_per_sec_avg_late_keras)
    return table


def effects(study: Study, gaps: pd.DataFrame, gap: str) -> pd.DataFrame:
    """Return what each cause contributes to a gap, a key of `GAPS`: one row a group and cause, and the two ends.

    The first row of a group, `native`, is the whole gap, and the last, `aligned`, what is left of it; the causes that
    concern the model stand between, and add up to the difference. Only seeds that are finished in every arm count; a
    group without one has no rows.

    Returns:
        Columns `EFFECTS`: the mean on the way forth and on the way back, their mean with its 95 % t interval over the
        `n` seeds.
    """
    rows = []
    for keys, group in gaps.groupby(GROUP, sort=False):
        wide = group.pivot(index="seed", columns="arm", values=gap).reindex(columns=[arm.name for arm in study.arms])
        whole = wide.dropna()
        rows += [(*keys, *row) for row in _effects(study, keys[1], whole)] if len(whole) else []
    return pd.DataFrame(rows, columns=list(EFFECTS))


def _effects(study: Study, model: str, wide: pd.DataFrame) -> Iterator[tuple]:
    """Yield the rows of one group; `wide` has a row a seed and a column an arm, in the order of the arms."""
    causes = list(study.causes)
    forth = wide.iloc[:, : len(causes) + 1].to_numpy()
    back = np.column_stack([forth[:, -1:], wide.iloc[:, len(causes) + 1 :].to_numpy(), forth[:, :1]])
    none = (np.nan, np.nan)
    yield NATIVE, len(wide), *none, *mean_interval(forth[:, 0])
    for step, cause in enumerate(causes):
        if DIFFERENCES[model] & set(study.causes[cause]):
            taken, given = forth[:, step] - forth[:, step + 1], back[:, step + 1] - back[:, step]
            yield cause, len(wide), taken.mean(), given.mean(), *mean_interval((taken + given) / 2)
    yield ALIGNED, len(wide), *none, *mean_interval(forth[:, -1])


def as_ratios(effects: pd.DataFrame) -> pd.DataFrame:
    """Return a table of `effects` on the speed with factors in place of logarithms."""
    columns = ["forth", "back", "effect", "low", "high"]
    return effects.assign(**np.exp(effects[columns].astype(float)))


def pairing(study: Study, gaps: pd.DataFrame) -> pd.DataFrame:
    """Say what pairing buys for the test accuracy, natively and aligned: `conventions`, then `statistics.pairing`'s."""
    arms = {NATIVE: study.arms[0].name, ALIGNED: study.arms[len(study.causes)].name}
    tables = {
        name: statistics.pairing(gaps[gaps.arm == arm].reset_index(drop=True), GAPS["accuracy"])
        for name, arm in arms.items()
    }
    return pd.concat([table.assign(conventions=name) for name, table in tables.items()], ignore_index=True)


def causes(study: Study) -> pd.DataFrame:
    """Return the study's causes with their switches, and the models that each concerns: a row a cause."""
    rows = []
    for cause, switches in study.causes.items():
        concerned = [model for model in study.models if DIFFERENCES[model] & set(switches)]
        rows.append((cause, ", ".join(switches), ", ".join(concerned) or "none"))
    left = [switch for switch in SWITCHES if switch not in {one for group in study.causes.values() for one in group}]
    known = [switch for switch in left if any(switch in DIFFERENCES[model] for model in study.models)]
    rows += [("not attributed", ", ".join(known), "")] if known else []
    return pd.DataFrame(rows, columns=["cause", "switches", "models"])
