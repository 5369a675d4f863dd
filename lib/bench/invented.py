"""Invented runs: what a finished run leaves, without a training: `python -m lib.bench.invented STUDY [--images N]`.

Tests and measurements of scale read them in a folder of their own (`PAIRED_ROOT`), apart from real runs.
"""

import argparse
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from lib import files, paths
from lib.errors import ParameterError, one_line
from lib.runs import layers, machine, records
from lib.runs.digests import code_digest, dataset_digest, inputs_digest
from lib.study.cells import Cell
from lib.study.datasets import DATASETS
from lib.study.loading import load_study
from lib.study.study import Study

IMAGES = 60
LABELS = np.arange(IMAGES) % 10
STEPS = 20


def log_of(cell: Cell, accuracy: float = 0.95, epochs: int | None = None) -> pd.DataFrame:
    """Return an epoch log: straight lines, up to a best val accuracy in [0, 1]."""
    n = epochs or cell.settings.epochs
    values = {
        "epoch": np.arange(1, n + 1),
        "train_loss": np.linspace(2, 0.1, n) + cell.seed / 1e5,
        "train_accuracy": np.linspace(0.2, 1, n),
        "val_loss": np.linspace(2, 0.2, n),
        "val_accuracy": np.linspace(0.2, accuracy, n),
        "val_macro_f1": np.linspace(0.2, accuracy, n),
        "epoch_time_seconds": np.arange(n, 0, -1.0),
        "learning_rate": np.linspace(0.1, 0, n),
    }
    if cell.settings.measurements.test_each_epoch:
        values["test_accuracy"] = values["val_accuracy"] - 0.02
    return pd.DataFrame(values)


def layers_of(cell: Cell, epochs: int, depth: int = 3) -> pd.DataFrame:
    """Return layers of ten units in three epochs: a deeper layer has one more dead unit."""
    rows = [
        {"epoch": epoch, "depth": place, "layer": f"relu{place}", "activation": "ReLU", "units": 10, "dead": place}
        | {"dormant": place, "saturated": place, "scale": 1 / place, "gradient": 0.1 * place + cell.seed / 1e5}
        for epoch in sorted({0, 1, epochs})
        for place in range(1, depth + 1)
    ]
    return pd.DataFrame(rows)[list(layers.COLUMNS)]


def logits_of(cell: Cell, strength: float = 5.0, labels: np.ndarray = LABELS) -> np.ndarray:
    """Return noise of the run's own, float16 `(n, classes)`, with the right class of `labels` `(n,)` raised."""
    classes = DATASETS[cell.dataset].classes
    noise = np.random.default_rng([cell.seed, cell.framework == "keras"]).normal(0, 2, (len(labels), classes))
    return (noise + strength * np.eye(classes)[labels]).astype(np.float16)


def states_of(**values: Any) -> pd.DataFrame:
    """Return a machine's states in a run of two epochs, of 1 s and of 3 s; a value is one for all, or one for each."""
    rows = [{"moment": "start", "epoch": 0}, *({"moment": "epoch", "epoch": epoch} for epoch in (1, 2))]
    table = pd.DataFrame(rows, columns=list(machine.COLUMNS)).assign(seconds=[np.nan, 1.0, 3.0], load=1.0)
    return table.assign(**{"others": 0.0, "steal": 0.0, "other_runs": 0} | values)


def finish(
    cell: Cell,
    accuracy: float = 0.95,
    epochs: pd.DataFrame | None = None,
    logits: np.ndarray | None = None,
    labels: np.ndarray = LABELS,
    states: pd.DataFrame | None = None,
    sealed: bool = False,
    **changes: Any,
) -> None:
    """Leave a run's log, logits and record; `changes` are fields of the record.

    With `sealed` the record has the checksums of the log and the logits too, as that of a real run.
    """
    rows = log_of(cell, accuracy) if epochs is None else epochs
    folder = records.folder(cell)
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / "epochs.csv", index=False)
    logits = logits_of(cell, labels=labels) if logits is None else logits
    np.savez_compressed(folder / "logits.npz", logits=logits, labels=labels)
    products = ["epochs.csv", "logits.npz"] if sealed else []
    if cell.settings.measurements.layer_images:
        layers_of(cell, len(rows)).to_csv(folder / "layers.csv", index=False)
        products.append("layers.csv")
    if states is not None:
        states.to_csv(folder / "machine.csv", index=False)
        products.append("machine.csv")
    fields = {
        "inputs_digest": inputs_digest(cell, dataset_digest(cell.dataset)),
        "code_digest": code_digest(cell),
        "environment": {"python": "3.11.0", "gpu": "none"},
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:10:00+00:00",
        "parameters": 1000,
        "steps_per_epoch": STEPS,
        "epoch_best": len(rows),
        "acc_best": accuracy,
        "f1_best": accuracy - 0.01,
        "test_accuracy": accuracy - 0.02,
        "test_macro_f1": accuracy - 0.03,
        "test_loss": 0.1,
        "test_images": len(labels),
        "skipped_steps": 0,
        "peak_memory_mb": None,
        "products": {name: files.sha256(folder / name) for name in products},
    }
    records.write_record(records.Record(run=cell.name, cell=cell, **fields | changes))


def finish_all(study: Study, images: int) -> None:
    """Leave all runs of a study, with logits of so many images, and manifests of stores that are not there.

    The accuracies have noise of a point.
    """
    for dataset in study.datasets:
        files.write_sealed(paths.manifest(dataset), {"digest": "invented"})
    for place, cell in enumerate(tqdm(study.cells, "inventing runs", unit=" runs")):
        accuracy = 0.9 + 0.01 * np.random.default_rng(place).normal()
        labels = np.arange(images) % DATASETS[cell.dataset].classes
        finish(cell, accuracy, labels=labels, sealed=True)


def main() -> None:
    """Read the command line and leave the runs, in a folder without results."""
    parser = argparse.ArgumentParser(prog="python -m lib.bench.invented", description="Invent a study's runs.")
    parser.add_argument("study", help="a file's stem in params/studies")
    parser.add_argument("--images", type=int, default=IMAGES, help="the number of test images of each run")
    arguments = parser.parse_args()
    with one_line():
        if next(paths.EXECUTED.glob("*/record.json"), None):
            raise ParameterError(f"{paths.EXECUTED} has results: invented runs need a folder of their own, PAIRED_ROOT")
        finish_all(load_study(arguments.study), arguments.images)


if __name__ == "__main__":
    main()
