"""Every folder of the project, each as one documented `Path`.

`PAIRED_ROOT` in the environment moves the whole project: tests work in a temporary one, a cluster on a shared disk.
"""

import os
from pathlib import Path

ROOT = Path(os.environ.get("PAIRED_ROOT") or Path(__file__).parents[1]).resolve()
"""The project's folder; every other folder is below it."""

NOTEBOOKS = ROOT / "notebooks"
"""The chapters, as jupytext pairs."""

PARAMS = ROOT / "params"
"""`train.yaml` (settings), the studies, and `dataset_stats.yaml` (statistics; `make data` writes it)."""

STUDIES = PARAMS / "studies"
"""One experiment matrix per file."""

DATA = ROOT / "data"
"""The stores: NumPy arrays that load by memory map."""

SPLITS = DATA / "splits"
"""Indices of the train and val split of each dataset."""

EXECUTED = ROOT / "executed"
"""One folder per run."""

REPORT = ROOT / "report"
"""What `make report` exports."""

LIB = Path(__file__).parent
"""The package's own source: what a code digest reads. It does not move with `PAIRED_ROOT`."""


def manifest(dataset: str) -> Path:
    """Return the path of a dataset's manifest, which exists once its store is prepared."""
    return DATA / f"{dataset}.json"
