"""Invented runs: what a finished run leaves, without a training."""

import numpy as np
import pandas as pd

from lib.files import sha256 as file_digest
from lib.runs import layers, machine, records
from lib.runs.digests import code_digest, dataset_digest, inputs_digest
from lib.study.datasets import DATASETS

IMAGES = 60
LABELS = np.arange(IMAGES) % 10
STEPS = 20


def log_of(cell, accuracy=0.95, epochs=None):
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


def layers_of(cell, epochs, depth=3):
    """Layers of ten units in three epochs: a deeper layer has one more dead unit."""
    rows = [
        {"epoch": epoch, "depth": place, "layer": f"relu{place}", "activation": "ReLU", "units": 10, "dead": place}
        | {"dormant": place, "saturated": place, "scale": 1 / place, "gradient": 0.1 * place + cell.seed / 1e5}
        for epoch in sorted({0, 1, epochs})
        for place in range(1, depth + 1)
    ]
    return pd.DataFrame(rows)[list(layers.COLUMNS)]


def logits_of(cell, strength=5.0):
    """Noise of the run's own, and the right class raised."""
    classes = DATASETS[cell.dataset].classes
    noise = np.random.default_rng([cell.seed, cell.framework == "keras"]).normal(0, 2, (IMAGES, classes))
    return (noise + strength * np.eye(classes)[LABELS]).astype(np.float16)


def states_of(**values):
    """The states of a machine in a run of two epochs, of 1 s and of 3 s; a value is one for all, or one for each."""
    rows = [{"moment": "start", "epoch": 0}, *({"moment": "epoch", "epoch": epoch} for epoch in (1, 2))]
    table = pd.DataFrame(rows, columns=list(machine.COLUMNS)).assign(seconds=[np.nan, 1.0, 3.0], load=1.0)
    return table.assign(**{"others": 0.0, "steal": 0.0, "other_runs": 0} | values)


def finish(cell, accuracy=0.95, epochs=None, logits=None, labels=LABELS, states=None, **changes):
    """Leave a run's log, logits and record; `changes` are fields of the record."""
    rows = log_of(cell, accuracy) if epochs is None else epochs
    folder = records.folder(cell)
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / "epochs.csv", index=False)
    logits = logits_of(cell) if logits is None else logits
    np.savez_compressed(folder / "logits.npz", logits=logits, labels=labels)
    if cell.settings.measurements.layer_images:
        layers_of(cell, len(rows)).to_csv(folder / "layers.csv", index=False)
        changes |= {"products": {"layers.csv": file_digest(folder / "layers.csv")}}
    if states is not None:
        states.to_csv(folder / "machine.csv", index=False)
        changes |= {"products": {"machine.csv": file_digest(folder / "machine.csv")}}
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
    }
    records.write_record(records.Record(run=cell.name, cell=cell, **fields | changes))
