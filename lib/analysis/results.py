"""Tidy tables of the runs: their states, results and epochs.

Every table of runs has the study's `keys` first. The arm is one of them if the study states arms.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pandas as pd

from lib.analysis import timing
from lib.runs import log, records, state
from lib.study.cells import Cell
from lib.study.nested import flat
from lib.study.study import Entry, Study

METRICS = [
    "acc_best",
    "f1_best",
    "test_accuracy",
    "test_macro_f1",
    "epoch_best",
    "time_per_epoch_avg",
    "time_per_epoch_avg_late",
    "images_per_sec_avg",
    "images_per_sec_avg_late",
]
"""A run's results: shares in [0, 1], the best epoch's number, seconds of training only, and images per second.

An average is over all epochs or, if it is called late, over the last half. The average speed is the images of those
epochs divided by their seconds.
"""


def results(study: Study) -> pd.DataFrame:
    """Return one row per entry with results, in the study's order: the study's keys, then `METRICS`.

    Raises:
        DataError: an epoch log is damaged.
    """
    found = list(records.finished(study))
    runs = {record.run: record for _, record in found}  # arms may share a run, whose log is read once
    reached = {run: _metrics(record) for run, record in runs.items()}
    rows = [study.row(entry) | reached[record.run] for entry, record in found]
    return pd.DataFrame(rows, columns=[*study.keys, *METRICS])


def epochs(study: Study) -> pd.DataFrame:
    """Return the epoch logs of all entries with results, one row per epoch: the study's keys, then the log's columns.

    A column that not every run measured is left out.

    Raises:
        DataError: an epoch log is damaged.
    """
    logs = [(entry, _log(record)) for entry, record in records.finished(study)]
    return stacked(study, logs, log.columns(one for _, one in logs))


def stacked(study: Study, found: Sequence[tuple[Entry, pd.DataFrame]], columns: Sequence[str]) -> pd.DataFrame:
    """Return the tables of entries one below the other: the study's keys, then these columns of the tables."""
    if not found:
        return pd.DataFrame(columns=[*study.keys, *columns])
    keys = pd.DataFrame([study.row(entry) for entry, _ in found], columns=study.keys)
    each = keys.loc[keys.index.repeat([len(table) for _, table in found])].reset_index(drop=True)
    return each.join(pd.concat([table for _, table in found], ignore_index=True)[columns])


def with_train_accuracy(results: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `results` with `train_accuracy_last`, the train accuracy of each run's last epoch, in [0, 1].

    `epochs` is the table of the same study. The log's accuracy is a running average over the epoch's augmented batches
    against the hard labels, each batch with the weights before its step and the network in training mode. It is no
    evaluation of the train split with the last weights.
    """
    keys = [column for column in results.columns if column not in METRICS]
    last = epochs.drop_duplicates(keys, keep="last")[[*keys, "train_accuracy"]]
    return results.merge(last.rename(columns={"train_accuracy": "train_accuracy_last"}), on=keys, how="left")


def states(study: Study) -> pd.DataFrame:
    """Return the state of each cell of the study: `run`, `state` and `reason`, in the study's order."""
    rows = [(cell.name, str(one.kind), one.reason) for cell, one in state.states(study.cells)]
    return pd.DataFrame(rows, columns=["run", "state", "reason"])


def accumulated(study: Study) -> list[str]:
    """Return the names of the finished runs that ran out of memory and used more micro-batches than their cell."""
    found = {entry.cell: record for entry, record in records.finished(study)}
    return [
        cell.name for cell, record in found.items() if record.accumulation_steps != cell.settings.accumulation_steps
    ]


def settings_table(cell: Cell) -> pd.DataFrame:
    """Return all parameters of a cell with its resolved settings: `setting` and `value`."""
    content = cell.model_dump(mode="json")
    parts = {key: value for key, value in content.items() if key != "settings"} | flat(content["settings"])
    return pd.DataFrame([(name, str(value)) for name, value in parts.items()], columns=["setting", "value"])


def times(study: Study) -> pd.DataFrame:
    """Return how long finished runs took, without pauses: axes, `runs`, `minutes` a run (mean), and `hours` in all."""
    rows = {
        record.run: entry.cell.model_dump(include={"framework", "dataset", "model", "precision"})
        | {"seconds": record.seconds}
        for entry, record in records.finished(study)
    }
    axes = ["framework", "dataset", "model", "precision"]
    table = pd.DataFrame(rows.values(), columns=[*axes, "seconds"])
    grouped = table.groupby(axes, sort=False, as_index=False)["seconds"].agg(["size", "mean", "sum"])
    found = grouped.rename(columns={"size": "runs"})
    return found.assign(minutes=found["mean"] / 60, hours=found["sum"] / 3600).drop(columns=["mean", "sum"])


def means(study: Study, results: pd.DataFrame) -> pd.DataFrame:
    """Reduce the table of `results` to one row per group and level.

    Returns:
        The keys, `seeds`, means and their sample deviations, and `timing` as in `timing.marked`.
    """
    by = [*study.main.group, study.main.axis]
    return (
        timing.marked(study, results)
        .groupby(by, sort=False, as_index=False)
        .agg(
            seeds=("seed", "size"),
            test_accuracy=("test_accuracy", "mean"),
            test_accuracy_sd=("test_accuracy", "std"),
            test_macro_f1=("test_macro_f1", "mean"),
            test_macro_f1_sd=("test_macro_f1", "std"),
            images_per_sec_avg=("images_per_sec_avg", "mean"),
            images_per_sec_avg_sd=("images_per_sec_avg", "std"),
            timing=("timing", "first"),
        )
    )


def mixed_precision(study: Study) -> pd.DataFrame:
    """Return the effect of mixed precision, one row per network and framework, over the seeds finished in both.

    Returns:
        The study's keys without precision and seed, `seeds`, `speed_ratio` and `memory_ratio` (means of AMP / fp32:
        the late epochs' speed, the peak memory), `skipped_steps`, the total of the loss scale, and `timing` as in
        `timing.marked`, of either precision.
    """
    rows = [
        study.row(entry) | _metrics(record) | {"memory": record.peak_memory_mb, "skipped": record.skipped_steps}
        for entry, record in records.finished(study)
    ]
    by = [key for key in study.keys if key not in ("precision", "seed")]
    runs = pd.DataFrame(rows, columns=[*study.keys, *METRICS, "memory", "skipped"])
    found = timing.marked(study, runs).groupby("precision")
    if not {"fp32", "amp"} <= found.groups.keys():
        return pd.DataFrame(columns=[*by, "seeds", "speed_ratio", "memory_ratio", "skipped_steps", "timing"])
    pairs = found.get_group("amp").merge(found.get_group("fp32"), on=[*by, "seed"], suffixes=("", "_fp32"))
    pairs["speed_ratio"] = pairs.images_per_sec_avg_late / pairs.images_per_sec_avg_late_fp32
    pairs["memory_ratio"] = pairs.memory / pairs.memory_fp32
    pairs["timing"] = pairs.timing.where(pairs.timing != "", pairs.timing_fp32)
    return pairs.groupby(by, sort=False, as_index=False).agg(
        seeds=("seed", "size"),
        speed_ratio=("speed_ratio", "mean"),
        memory_ratio=("memory_ratio", "mean"),
        skipped_steps=("skipped", "sum"),
        timing=("timing", "first"),
    )


def _log(record: records.Record) -> pd.DataFrame:
    path = records.product(record.cell, "epochs.csv")
    return _read(path, records.changed(path))


@cache
def _read(path: Path, changed: int) -> pd.DataFrame:
    """Read an epoch log as it was `changed` last, once, since several tables need it."""
    return log.read(path)


def _metrics(record: records.Record) -> dict[str, float]:
    seconds = _log(record)["epoch_time_seconds"]
    average, late = seconds.mean(), seconds[len(seconds) // 2 :].mean()
    images = record.steps_per_epoch * record.cell.settings.batch_size
    return {
        "acc_best": record.acc_best,
        "f1_best": record.f1_best,
        "test_accuracy": record.test_accuracy,
        "test_macro_f1": record.test_macro_f1,
        "epoch_best": record.epoch_best,
        "time_per_epoch_avg": average,
        "time_per_epoch_avg_late": late,
        "images_per_sec_avg": images / average,
        "images_per_sec_avg_late": images / late,
    }
