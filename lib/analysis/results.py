"""From the folders of the runs to tidy tables: what ran, how it went, and whether stage 1's gates are passed."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from lib.doctor import installed
from lib.errors import DataError
from lib.runs import state as runs
from lib.study.params import Cell, Study
from lib.training.resume import COLUMNS

KEYS = ["framework", "dataset", "model", "precision", "seed"]
GROUP = ["dataset", "model", "precision"]

RESULTS = [
    *KEYS,
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

LOG = dict.fromkeys(COLUMNS, "float64") | {"epoch": "int64"}
"""The columns of an epoch log, each with its type."""

FRAMEWORK_GAP = 0.05
"""The largest gap in val accuracy that stage 1 allows between the two frameworks on one seed: 5 points."""


def results(study: Study) -> pd.DataFrame:
    """Return one row a finished run, in the study's order, with the columns `RESULTS`.

    Accuracies and F1 are shares in [0, 1], times seconds of training alone, speeds images a second. An average is over
    all epochs or, where it is called late, over their last half; the average speed is the images of those epochs over
    their seconds. `DataError` names an epoch log that is not what it should be.
    """
    return results_by_run(study).reset_index(drop=True)


def results_by_run(study: Study) -> pd.DataFrame:
    """Return the table of `results` with the runs' names as its index."""
    found = {cell.name: _result(cell, record) for cell, record in _finished(study)}
    return pd.DataFrame(found.values(), index=list(found), columns=RESULTS)


def epochs(study: Study) -> pd.DataFrame:
    """Return the epoch logs of all finished runs, one row an epoch: the columns `KEYS`, then those of `LOG`.

    `DataError` names an epoch log that is not what it should be.
    """
    logs = [_keyed(cell, read_log(runs.product(cell, "epochs.csv"))) for cell, _ in _finished(study)]
    return pd.concat(logs, ignore_index=True) if logs else pd.DataFrame(columns=[*KEYS, *LOG])


def states(study: Study) -> pd.DataFrame:
    """Return how each cell of the study stands: `run`, `state` and `reason`, in the study's order."""
    found = [(cell.name, runs.state(cell)) for cell in study.cells]
    rows = [(name, str(state.kind), state.reason) for name, state in found]
    return pd.DataFrame(rows, columns=["run", "state", "reason"])


def environments(study: Study) -> pd.DataFrame:
    """Return the finished runs' distinct environments: `framework`, number of `runs`, and a column of text an item."""
    found = pd.DataFrame([{"framework": cell.framework} | record.environment for cell, record in _finished(study)])
    if found.empty:
        return pd.DataFrame(columns=["framework", "runs"])
    counted = found.fillna("not recorded").value_counts(sort=False).reset_index(name="runs")
    return counted[["framework", "runs", *found.columns[1:]]]


def environment_items(study: Study) -> pd.DataFrame:
    """Count each item of the finished runs' environments: `item`, `value`, and a column of runs for each framework."""
    items = environments(study).melt(["framework", "runs"], var_name="item")
    return items.pivot_table(
        "runs", ["item", "value"], "framework", aggfunc="sum", fill_value=0, sort=False
    ).reset_index()


def libraries_note(study: Study) -> str:
    """Return a sentence for where speeds are compared: which pairs ran on unlike CUDA or cuDNN; empty if none did."""
    environments = {cell: record.environment for cell, record in _finished(study)}
    unlike = defaultdict(list)
    for _, cells in study.pairs:
        pair = [(cell.framework, environments[cell]) for cell in cells if cell in environments]
        majors = {_majors(environment) for _, environment in pair}
        if len(majors) > 1 and not any("none" in major for major in majors):
            versions = [f"{framework} CUDA {one['cuda']} and cuDNN {one['cudnn']}" for framework, one in pair]
            unlike[", ".join(versions)].append(cells[0].name)
    if not unlike:
        return ""
    listed = "; ".join(f"{versions} ({len(names)} in all, such as `{names[0]}`)" for versions, names in unlike.items())
    return f"**Not only the frameworks differ in speed here.** These pairs ran on unlike major versions: {listed}."


def _majors(environment: dict[str, str]) -> tuple[str, ...]:
    return tuple(environment.get(library, "none").partition(".")[0] for library in ("cuda", "cudnn"))


def sets_note() -> str:
    """Return a sentence on the versions that this project pins differently for machines with and without a GPU."""
    listed = ", ".join(f"{name} {cpu} or {gpu}" for name, (cpu, gpu) in installed.differing_pins().items())
    return f"This project pins other versions for machines without a GPU than with one: {listed}."


def accumulated(study: Study) -> list[str]:
    """Return the names of the finished runs that ran out of memory and took more micro-batches than their cell says."""
    found = _finished(study)
    return [cell.name for cell, record in found if record.accumulation_steps != cell.settings.accumulation_steps]


def settings_table(cell: Cell) -> pd.DataFrame:
    """Return all that makes one cell, its settings resolved: `setting` and `value`."""
    parts = cell.model_dump(exclude={"settings"}) | cell.settings.model_dump()
    return pd.DataFrame([(name, str(value)) for name, value in parts.items()], columns=["setting", "value"])


def means(results: pd.DataFrame) -> pd.DataFrame:
    """Reduce the table of `results` to one row a group and framework: `seeds`, means, and their sample deviations."""
    return results.groupby([*GROUP, "framework"], sort=False, as_index=False).agg(
        seeds=("seed", "size"),
        test_accuracy=("test_accuracy", "mean"),
        test_accuracy_sd=("test_accuracy", "std"),
        test_macro_f1=("test_macro_f1", "mean"),
        test_macro_f1_sd=("test_macro_f1", "std"),
        images_per_sec_avg=("images_per_sec_avg", "mean"),
        images_per_sec_avg_sd=("images_per_sec_avg", "std"),
    )


def mixed_precision(study: Study) -> pd.DataFrame:
    """Return what mixed precision brings, a row a network and framework, over the seeds that finished in both.

    Returns:
        Columns `dataset`, `model`, `framework`, `seeds`, `speed_ratio` and `memory_ratio` (means of AMP / fp32, the
        speed that of the late epochs, the memory the peak), and `skipped_steps`, all that the loss scale skipped.
    """
    rows = [
        _result(cell, record) | {"memory": record.peak_memory_mb, "skipped": record.skipped_steps}
        for cell, record in _finished(study)
    ]
    keys = ["dataset", "model", "framework", "seed"]
    runs_of = pd.DataFrame(rows, columns=[*RESULTS, "memory", "skipped"]).groupby("precision")
    if not {"fp32", "amp"} <= runs_of.groups.keys():
        return pd.DataFrame(columns=[*keys[:3], "seeds", "speed_ratio", "memory_ratio", "skipped_steps"])
    pairs = runs_of.get_group("amp").merge(runs_of.get_group("fp32"), on=keys, suffixes=("", "_fp32"))
    pairs["speed_ratio"] = pairs.images_per_sec_avg_late / pairs.images_per_sec_avg_late_fp32
    pairs["memory_ratio"] = pairs.memory / pairs.memory_fp32
    return pairs.groupby(keys[:3], sort=False, as_index=False).agg(
        seeds=("seed", "size"),
        speed_ratio=("speed_ratio", "mean"),
        memory_ratio=("memory_ratio", "mean"),
        skipped_steps=("skipped", "sum"),
    )


def read_log(path: Path) -> pd.DataFrame:
    """Read one run's epoch log strictly.

    Columns other than those of `LOG`, text where a number should be, and epochs that do not count from 1 without a gap
    are each a `DataError` that names the file. A value that is no number (NaN) is let through: a gate shows it.
    """
    try:
        log = pd.read_csv(path)
        if set(log.columns) != set(LOG):
            raise DataError(f"{path}: its columns are {', '.join(log.columns)}; they must be {', '.join(LOG)}")
        log = log[list(LOG)].astype(LOG)
    except ValueError as error:
        raise DataError(f"{path}: not an epoch log: {error}") from None
    if log["epoch"].tolist() != list(range(1, len(log) + 1)) or log.empty:
        raise DataError(f"{path}: the epochs must count 1, 2, 3 and so on without a gap")
    return log


def gates(study: Study, results: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Return stage 1's gates, one a row: `gate`, `threshold`, `found`, `cells concerned` and `passed`.

    `results` and `epochs` are those of the same study. `cells concerned` names the runs that do not pass, and `passed`
    is NA where there is nothing yet to judge. A study without gates on accuracy has the other gates all the same.
    """
    named = results.assign(run=_run_names(study, results))
    logs = epochs.assign(run=_run_names(study, epochs))
    rows = [
        _complete_logs(study, logs),
        _no_nan(named, logs),
        *(_accuracy(named, dataset, least) for dataset, least in study.gates.items()),
        _seeds_differ(logs),
        _frameworks_agree(named),
    ]
    table = pd.DataFrame(rows, columns=["gate", "threshold", "found", "cells concerned", "passed"])
    return table.astype({"passed": "boolean"})


def _finished(study: Study) -> Iterator[tuple[Cell, runs.Record]]:
    for cell in study.cells:
        record = runs.read_record(cell)
        if record and runs.state(cell).kind in runs.WITH_RESULTS:
            yield cell, record


def _keys(cell: Cell) -> dict[str, str | int]:
    return {key: getattr(cell, key) for key in KEYS}


def _keyed(cell: Cell, log: pd.DataFrame) -> pd.DataFrame:
    return log.assign(**_keys(cell))[[*KEYS, *LOG]]


def _result(cell: Cell, record: runs.Record) -> dict[str, str | float]:
    seconds = read_log(runs.product(cell, "epochs.csv"))["epoch_time_seconds"]
    average, late = seconds.mean(), seconds[len(seconds) // 2 :].mean()
    images = record.steps_per_epoch * cell.settings.batch_size
    return _keys(cell) | {
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


def _run_names(study: Study, table: pd.DataFrame) -> list[str]:
    names = {tuple(_keys(cell).values()): cell.name for cell in study.cells}
    return [names[keys] for keys in table[KEYS].itertuples(index=False, name=None)]


def _gate(gate: str, threshold: str, found: str, concerned: list[str], judged: bool = True) -> tuple:
    return gate, threshold, found, ", ".join(concerned), not concerned if judged else pd.NA


def _complete_logs(study: Study, logs: pd.DataFrame) -> tuple:
    lengths = logs.groupby("run").size()
    wrong = [cell.name for cell in study.cells if lengths.get(cell.name, 0) != cell.settings.epochs]
    total = len(study.cells)
    return _gate("every epoch logged", f"{total} of {total} runs", f"{total - len(wrong)} of {total} runs", wrong)


def _no_nan(named: pd.DataFrame, logs: pd.DataFrame) -> tuple:
    broken = [*named.loc[named.isna().any(axis=1), "run"], *logs.loc[logs.isna().any(axis=1), "run"]]
    concerned = list(dict.fromkeys(broken))
    return _gate("no NaN in logs and results", "0 runs", f"{len(concerned)} runs", concerned, judged=not named.empty)


def _accuracy(named: pd.DataFrame, dataset: str, least: float) -> tuple:
    runs_of = named[named["dataset"] == dataset]
    found = f"lowest {100 * runs_of['acc_best'].min():.1f} %" if len(runs_of) else "no run"
    below = runs_of.loc[~(runs_of["acc_best"] > least), "run"].tolist()
    return _gate(f"val accuracy on {dataset}", f"above {100 * least:.1f} %", found, below, judged=not runs_of.empty)


def _seeds_differ(logs: pd.DataFrame) -> tuple:
    """Compare whole courses of the train loss: accuracies on a small test set may well agree by chance."""
    group = ["framework", *GROUP]
    courses = logs.groupby([*group, "run"], sort=False)["train_loss"].agg(tuple).reset_index()
    twins = courses.loc[courses.duplicated([*group, "train_loss"], keep=False), "run"].tolist()
    several = courses.duplicated(group).any()
    found = f"{len(twins)} runs" if several else "no two seeds"
    return _gate("seeds differ", "0 runs with the train loss of another seed", found, twins, judged=several)


def _frameworks_agree(named: pd.DataFrame) -> tuple:
    keras, pytorch = (named[named["framework"] == framework] for framework in ("keras", "pytorch"))
    pairs = keras.merge(pytorch, on=[*GROUP, "seed"], suffixes=("_keras", "_pytorch"))
    gap = (pairs["acc_best_keras"] - pairs["acc_best_pytorch"]).abs().round(9)
    apart = pairs.loc[~(gap <= FRAMEWORK_GAP), ["run_keras", "run_pytorch"]].to_numpy().ravel().tolist()
    found = f"largest gap {100 * gap.max():.1f} points" if len(pairs) else "no pair"
    threshold = f"at most {100 * FRAMEWORK_GAP:.0f} points of val accuracy"
    return _gate("frameworks agree on each seed", threshold, found, apart, judged=not pairs.empty)
