"""What a run records of its machine, `machine.csv`: its columns, how it is written, and how it is read."""

from pathlib import Path
from typing import Any

import pandas as pd

from lib.runs import tables

COLUMNS = {
    "moment": "str",
    "epoch": "int64",
    "seconds": "float64",
    "load": "float64",
    "steal": "float64",
    "others": "float64",
    "other_runs": "int64",
    "gpu_clock": "float64",
    "gpu_temperature": "float64",
    "gpu_power": "float64",
    "gpu_utilisation": "float64",
    "gpu_slowed": "float64",
    "gpu_energy": "float64",
}
"""The columns, each with its type: one row at the `start` of each attempt, after the steps of each `epoch`, and at the
`end`; `moment` says which, and `epoch` how many epochs are trained.

`seconds` is an epoch's time, with the start of its pipeline. `steal` and `others` are shares of the CPU time of the
cores that the run may use meanwhile: what the host of a virtual machine did not give, and what other processes than the
run and its children took. `gpu_energy` is what the run's GPUs used meanwhile, in joules. These four are of an epoch,
and NaN at the start and the end. `load` is the average of a minute, and `other_runs` are those that train on the
machine. Clock (MHz), temperature (degrees Celsius), power (W) and utilisation (a share) of the GPUs are those of the
moment; `gpu_slowed` is 1 if one has lowered its clock to protect itself, else 0. All of a GPU is NaN where it is not
known.
"""


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write the states whole or not at all, in their order."""
    tables.write(path, rows, COLUMNS)


def read(path: Path) -> pd.DataFrame:
    """Read what `write` wrote, with the columns `COLUMNS`.

    Raises:
        DataError: the columns are others, or text stands for a number.
    """
    return tables.read(path, COLUMNS, "a table of a machine's states")
