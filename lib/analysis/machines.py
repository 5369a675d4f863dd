"""The machines of runs while they trained: other work on them, their GPUs, and the energy of an epoch."""

from functools import cache

import numpy as np
import pandas as pd

from lib.runs import machine, records
from lib.runs.records import Record
from lib.study.cells import Cell
from lib.study.study import Study

COLUMNS = {
    "load": "the system's average of waiting and running processes over a minute",
    "others": "share of its cores' time that other processes took",
    "steal": "share of its cores' time that the host of a virtual machine did not give",
    "other_runs": "the most runs that were seen beside it",
    "gpu_clock": "MHz",
    "gpu_temperature": "the highest, in degrees Celsius",
    "gpu_power": "W",
    "gpu_utilisation": "share of a second in which a kernel ran",
    "gpu_slowed": "1 if a GPU was seen that protected itself from heat or a lack of power, else 0",
    "gpu_energy": "of an epoch, in joules",
}
"""What a run recorded of its machine, each with its meaning; means over the epochs where nothing else is said.

Shares are of all epochs' time. All are NaN for a run that recorded nothing, those of a GPU also where it is unknown.
"""


def machines(study: Study) -> pd.DataFrame:
    """Return one row per entry with results, in the study's order: the study's keys, then `COLUMNS`.

    Raises:
        DataError: a run's `machine.csv` is damaged.
    """
    rows = [study.row(entry) | recorded(record) for entry, record in records.finished(study)]
    return pd.DataFrame(rows, columns=[*study.keys, *COLUMNS])


def recorded(record: Record) -> dict[str, float]:
    """Return what a run recorded of its machine: `COLUMNS`."""
    return _recorded(record.cell, record.products.get("machine.csv"))


@cache
def _recorded(cell: Cell, checksum: str | None) -> dict[str, float]:
    """Reduce the run's states; the checksum, of which there is none in an older record, names the file's content."""
    if checksum is None:
        return dict.fromkeys(COLUMNS, np.nan)
    states = machine.read(records.product(cell, "machine.csv"))
    epochs = states["moment"].to_numpy() == "epoch"
    values = {name: states[name].to_numpy(dtype=float) for name in ("seconds", *COLUMNS)}  # faster than a table's means
    found = {name: values[name][epochs].mean() for name in COLUMNS}
    found |= {name: np.average(values[name][epochs], weights=values["seconds"][epochs]) for name in ("others", "steal")}
    return found | {name: values[name].max() for name in ("other_runs", "gpu_temperature", "gpu_slowed")}


def by_group(study: Study) -> pd.DataFrame:
    """Return `machines` by group of runs that differ in the seed alone: the worst of each value, the mean energy.

    The worst clock and utilisation of a GPU are the lowest, all else the highest. A column that no run has a value in
    is left out.
    """
    keys = [key for key in study.keys if key != "seed"]
    how = dict.fromkeys(COLUMNS, "max") | {"gpu_clock": "min", "gpu_utilisation": "min", "gpu_energy": "mean"}
    table = machines(study).groupby(keys, sort=False, as_index=False).agg({"seed": "size"} | how)
    return table.rename(columns={"seed": "seeds"}).dropna(axis="columns", how="all")
