"""The measurements of activation layers over a study: dead, dormant and saturated units, and scales by depth."""

import pandas as pd

from lib.runs import layers, records
from lib.study.study import Study

KINDS = ("dead", "dormant", "saturated")
"""The kinds of units that are counted; `lib.runs.layers` defines them."""


def measured(study: Study) -> pd.DataFrame:
    """Return the measured layers of all entries with results, one row per run, epoch and layer.

    Returns:
        The study's keys, the columns of `layers.csv`, and `best`, whether the epoch is the run's best.

    Raises:
        DataError: a run's `layers.csv` is damaged.
    """
    found = [
        layers.read(records.product(record.cell, "layers.csv")).assign(
            **study.row(entry), best=lambda table, record=record: table["epoch"] == record.epoch_best
        )
        for entry, record in records.finished(study)
        if "layers.csv" in record.products
    ]
    columns = [*study.keys, *layers.COLUMNS, "best"]
    table = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=columns)
    return table[columns].astype({"best": bool})


def regular(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the epochs of a table of `measured` that every run has; a best epoch may be one run's alone.

    `keys` are the columns that identify a run.
    """
    runs = len(table[keys].drop_duplicates())
    having = table[[*keys, "epoch"]].drop_duplicates()["epoch"].value_counts()
    return table[table["epoch"].isin(having[having == runs].index)]


def shares(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return the shares of dead, dormant and saturated units among all units of a table of `measured`, one row a group.

    Returns:
        Columns `by`, then `dead_share`, `dormant_share` and `saturated_share`, in [0, 1].
    """
    sums = table.groupby(by, sort=False, as_index=False)[["units", *KINDS]].sum()
    found = {f"{kind}_share": sums[kind] / sums["units"] for kind in KINDS}
    return sums[by].assign(**found)


def scales(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return the mean `scale` and `gradient` over the seeds, one row per group of the columns `by`, epoch and depth."""
    return table.groupby([*by, "epoch", "depth"], sort=False, as_index=False)[["scale", "gradient"]].mean()
