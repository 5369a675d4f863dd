"""The training protocol, written once; a framework's learner obeys it.

An epoch is reseeded from the seed and its number, timed alone, logged, and kept: a run that is stopped goes on from
its last whole epoch, and ends as if it had never been stopped.
"""

import json
import math
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from lib import environment, files
from lib.errors import ParameterError, TrainingError
from lib.progress import Progress
from lib.runs import state as runs
from lib.runs.digests import code_digest, inputs_digest, refuse_edited_code
from lib.study.params import Cell, Settings
from lib.training import metrics
from lib.training.resume import Log, Resume, checkpoint
from lib.training.schedules import warmup_cosine


TEST_RESULTS = ("test_loss", "test_accuracy", "test_macro_f1", "test_images")
"""What a test gives: the loss in nats, shares in [0, 1], and the number of images."""


def learning_rate(settings: Settings, steps: int, step: int) -> float:
    """Return the rate of a run's step, counted from 0, where an epoch has `steps` steps."""
    return warmup_cosine(step, settings.epochs * steps, settings.warmup_epochs * steps, settings.learning_rate)


def fit(cell: Cell, learner: Learner, dataset_digest: str) -> Log:
    """Train the cell's epochs, from the start or from where an earlier attempt came to.

    The log stays in `epochs.csv`, the best epoch's weights and what a resume needs in `last/`. A run that is
    finished is not trained again: its log is returned. Where memory runs out and the settings say so, the run begins
    again with micro-batches of half the size.

    Raises:
        TrainingError: the loss is not finite, memory ran out, or the code was edited after it was loaded.
    """
    if record := runs.finished(cell, dataset_digest):
        print(f"{cell.name} is done, finished {record.finished}: nothing is trained")
        return Log.of(record)
    refuse_edited_code(cell.framework)
    runs.forget_record(cell)
    resume = Resume(cell, dataset_digest)
    with the_network_fits(cell, learner.out_of_memory):
        log = resume.load(learner)
    while True:
        try:
            return _fit(cell, learner, log, resume)
        except learner.out_of_memory:
            log = Log(_more_micro_batches(cell, log.accumulation_steps))
            resume.drop()
        learner.restart(log.accumulation_steps)


def _fit(cell: Cell, learner: Learner, log: Log, resume: Resume) -> Log:
    progress = Progress(cell.name, len(log.rows), cell.settings.epochs, learner.steps_per_epoch)
    for epoch in range(len(log.rows) + 1, cell.settings.epochs + 1):
        row, updates = _train_epoch(cell, learner, epoch, progress)
        row = {"epoch": epoch} | row | _validate(learner)
        _refuse_non_finite(cell, row)
        log.append(row, skipped=learner.steps_per_epoch - updates)
        log.write(cell)
        resume.save(learner, log)
        progress.epoch(_summary(row, learner.steps_per_epoch - updates))
    return log


def _summary(row: dict[str, float], skipped: int) -> str:
    summary = f"loss {row['train_loss']:.3f}, val accuracy {row['val_accuracy']:.1%}"
    return f"{summary}, {skipped} steps skipped by the loss scale" if skipped else summary


def _more_micro_batches(cell: Cell, parts: int) -> int:
    """Return twice as many micro-batches an update; `TrainingError` where that is not asked for, or not possible."""
    batch, more = cell.settings.batch_size, 2 * parts
    problem = f"{cell.name}: out of memory with {batch // parts} images at a time"
    if batch % more:
        raise TrainingError(f"{problem}, and these cannot be halved: lower `batch_size`")
    if cell.settings.on_oom == "fail":
        raise TrainingError(f"{problem}: set `on_oom: accumulate`, or `accumulation_steps: {more}` for all runs alike")
    print(f"{problem}: beginning again with {more} micro-batches of {batch // more}", flush=True)
    return more


def _train_epoch(cell: Cell, learner: Learner, epoch: int, progress: Progress) -> tuple[dict[str, float], int]:
    """Train one epoch; the clock runs from the first batch asked for until the device has done the last step.

    What builds the pipeline comes before it, and so does Keras' tracing, which PyTorch has not.
    """
    settings, steps = cell.settings, learner.steps_per_epoch
    learner.reseed(cell.seed, epoch)
    batches = learner.batches()
    learner.synchronize()
    start = time.perf_counter()
    for step, batch in enumerate(batches, start=(epoch - 1) * steps):
        rate = learning_rate(settings, steps, step)
        learner.step(batch, rate)
        progress.step()
    learner.synchronize()
    seconds = time.perf_counter() - start
    sums = learner.take_sums()
    images = steps * settings.batch_size
    row = {
        "train_loss": sums.loss / images,
        "train_accuracy": sums.correct / images,
        "epoch_time_seconds": seconds,
        "learning_rate": rate,
    }
    return row, sums.updates


def _validate(learner: Learner) -> dict[str, float]:
    return {f"val_{name}": value for name, value in _score(learner.predict("val"), learner.classes).items()}


def _score(predictions: Predictions, classes: int) -> dict[str, float]:
    labels, guesses = predictions.labels, predictions.logits.argmax(axis=1)
    return {
        "loss": metrics.cross_entropy(labels, predictions.logits),
        "accuracy": metrics.accuracy(labels, guesses),
        "macro_f1": metrics.macro_f1(labels, guesses, classes),
    }


def _refuse_non_finite(cell: Cell, row: dict[str, float]) -> None:
    for name in ("train_loss", "val_loss"):
        if not math.isfinite(row[name]):
            raise TrainingError(
                f"{cell.name}: {name} became {row[name]} in epoch {row['epoch']} at learning rate "
                f"{row['learning_rate']:.4g}: lower `learning_rate` or lengthen `warmup_epochs`"
            )


def test(cell: Cell, learner: Learner, log: Log) -> dict[str, float]:
    """Evaluate the best epoch's weights on the test set.

    They are kept as `best.*`, the result as `test.json`, and the logits, in float16, as `logits.npz`. Of a finished
    run, what its record says is returned.

    Raises:
        TrainingError: the weights were damaged since they were written, or the test loss is not finite.
    """
    if record := runs.read_record(cell):
        return {name: getattr(record, name) for name in TEST_RESULTS}
    weights = checkpoint(cell, learner, log)
    if not files.is_intact(weights, log.checkpoint):
        raise TrainingError(f"{cell.name}: {weights.name} was damaged after it was written: run the cell again")
    learner.load_weights(weights)
    with files.replacing(_best(cell, learner)) as temporary:
        shutil.copyfile(weights, temporary)
    predictions = learner.predict("test")
    result = {f"test_{name}": value for name, value in _score(predictions, learner.classes).items()}
    result |= {"test_images": len(predictions.labels)}
    if not math.isfinite(result["test_loss"]):
        raise TrainingError(f"{cell.name}: test_loss is {result['test_loss']} with the weights of the best epoch")
    with files.replacing(runs.folder(cell) / "logits.npz") as temporary:
        np.savez_compressed(temporary, logits=predictions.logits.astype(np.float16), labels=predictions.labels)
    content = result | {"epoch_best": log.best["epoch"], "checkpoint": _best(cell, learner).name}
    files.write_text(runs.folder(cell) / "test.json", json.dumps(content, indent=2) + "\n")
    return result


def finish(cell: Cell, learner: Learner, dataset_digest: str, log: Log, result: dict[str, float]) -> runs.Record:
    """Write the record, by which the run is done, and drop what only a resume needed; a finished run keeps its own."""
    if record := runs.read_record(cell):
        return record
    log.count_seconds()
    log.write(cell)
    record = runs.Record(
        run=cell.name,
        cell=cell,
        inputs_digest=inputs_digest(cell, dataset_digest),
        code_digest=code_digest(cell.framework),
        environment=environment.describe() | learner.describe(),
        started=log.started,
        finished=runs.now(),
        parameters=learner.parameters,
        steps_per_epoch=learner.steps_per_epoch,
        accumulation_steps=log.accumulation_steps,
        epoch_best=log.best["epoch"],
        acc_best=log.best["val_accuracy"],
        f1_best=log.best["val_macro_f1"],
        skipped_steps=log.skipped_steps,
        peak_memory_mb=learner.peak_memory_mb(),
        working_seconds=log.seconds,
        products={path.name: files.sha256(path) for path in _products(cell, learner)},
        **result,
    )
    runs.write_record(record)
    Resume(cell, dataset_digest).drop()
    return record


def _best(cell: Cell, learner: Learner) -> Path:
    return runs.folder(cell) / f"best{learner.weights_suffix}"


def _products(cell: Cell, learner: Learner) -> list[Path]:
    """Return the files that a finished run is read from."""
    names = ("epochs.csv", "logits.npz", "test.json")
    return [_best(cell, learner), *(runs.folder(cell) / name for name in names)]
