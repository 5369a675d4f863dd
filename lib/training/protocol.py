"""One training protocol, driven through each framework's `Learner`.

Each epoch is reseeded from the seed and its number, timed without its validation, logged, and kept. A stopped run goes
on from its last whole epoch and ends with the same numbers as one that was never stopped.
"""

import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from lib import environment, files, sensors
from lib.clock import now
from lib.errors import NonFinite, OutOfMemory, TrainingError
from lib.runs import layers, logits, machine, records, tracking
from lib.runs import log as epoch_log
from lib.runs.digests import code_digest, inputs_digest, refuse_edited_code
from lib.runs.live import Progress
from lib.runs.logits import Predictions
from lib.runs.records import Record
from lib.study.cells import Cell
from lib.training import metrics
from lib.training.learner import Learner, the_network_fits
from lib.training.resume import Log, Resume, checkpoint
from lib.training.schedules import learning_rate

TEST_RESULTS = ("test_loss", "test_accuracy", "test_macro_f1", "test_images")
"""The results of a test: the loss in nats, shares in [0, 1], and the number of images."""


def fit(cell: Cell, learner: Learner, dataset_digest: str, rerun: str = "") -> Log:
    """Train the cell's epochs, from the start or from where an earlier attempt was stopped, and return their log.

    A run that has a result is shown and not trained, unless other code made it and `rerun` is "code": its log is
    returned with its record. A new result replaces an older one only when it is whole. Where memory runs out and the
    settings allow it, the run begins again with micro-batches of half the size.

    Raises:
        NonFinite: a loss is not finite.
        OutOfMemory: memory ran out.
        TrainingError: the code was edited after it was loaded.
        ParameterError: the cell's `tracking` needs a package that is not installed.
    """
    records.settle(cell)
    record = records.matching_record(cell, dataset_digest)
    if record and (rerun != "code" or record.code_digest == code_digest(cell)):
        print(f"{cell.name} is done, finished {record.finished}: nothing is trained")
        return Log.of(record)
    tracking.require(cell)
    refuse_edited_code(cell)
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
    progress = Progress(cell, len(log.rows), learner.steps_per_epoch)
    tracking.begin(cell, log.rows)
    log.watch("start", sensors.state())
    if not log.rows:
        _measure_layers(cell, learner, log, epoch=0)
    for epoch in range(len(log.rows) + 1, cell.settings.epochs + 1):
        before = sensors.counters()
        row, updates = _train_epoch(cell, learner, epoch, progress)
        state = sensors.state(since=before)  # before the validation, while the GPU is as the training left it
        row = {"epoch": epoch} | row | _validate(learner)
        _refuse_non_finite(cell, row)
        if cell.settings.measurements.test_each_epoch:
            row |= {"test_accuracy": _score(learner.predict("test"), learner.classes)["accuracy"]}
        log.append(row, skipped=learner.steps_per_epoch - updates)
        log.watch("epoch", state)
        if epoch in (1, cell.settings.epochs) or epoch % cell.settings.measurements.layers_every == 0:
            _measure_layers(cell, learner, log, epoch)
        resume.save(learner, log)
        tracking.epoch(cell, log.rows[-1])
        progress.epoch(_summary(row, learner.steps_per_epoch - updates))
    return log


def _measure_layers(cell: Cell, learner: Learner, log: Log, epoch: int) -> None:
    """Add the rows of `layers.csv` of the weights after an epoch, once, where the settings ask for them."""
    images = cell.settings.measurements.layer_images
    if images and all(row["epoch"] != epoch for row in log.layers):
        log.layers += [{"epoch": epoch} | row for row in learner.layers(images)]


def _summary(row: dict[str, float], skipped: int) -> str:
    summary = f"loss {row['train_loss']:.3f}, val accuracy {row['val_accuracy']:.1%}"
    return f"{summary}, {skipped} steps skipped by the loss scale" if skipped else summary


def _more_micro_batches(cell: Cell, parts: int) -> int:
    """Return twice as many micro-batches an update; `OutOfMemory` where that is not allowed, or not possible."""
    batch, devices, more = cell.settings.batch_size, cell.settings.devices, 2 * parts
    problem = f"{cell.name}: out of memory with {batch // parts // devices} images at a time"
    if batch % (more * devices):
        raise OutOfMemory(f"{problem}, and these cannot be halved: lower `batch_size`")
    if devices > 1:
        raise OutOfMemory(f"{problem} on each device: set `accumulation_steps: {more}` for all runs alike")
    if cell.settings.on_oom == "fail":
        raise OutOfMemory(f"{problem}: set `on_oom: accumulate`, or `accumulation_steps: {more}` for all runs alike")
    print(f"{problem}: beginning again with {more} micro-batches of {batch // more}", flush=True)
    return more


def _train_epoch(cell: Cell, learner: Learner, epoch: int, progress: Progress) -> tuple[dict[str, float], int]:
    """Train one epoch; pipeline construction and Keras tracing are not timed."""
    settings, steps = cell.settings, learner.steps_per_epoch
    learner.reseed(cell.seed, epoch)
    rates = [learning_rate(settings, steps, step) for step in range((epoch - 1) * steps, epoch * steps)]
    seconds = timed_steps(learner, learner.batches(), rates, progress.step)
    sums = learner.take_sums()
    images = steps * settings.batch_size
    row = {
        "train_loss": sums.loss / images,
        "train_accuracy": sums.correct / images,
        "epoch_time_seconds": seconds,
        "learning_rate": rates[-1],
    }
    return row, sums.updates


def timed_steps(
    learner: Learner, batches: Iterable[Any], rates: Sequence[float], after_step: Callable[[], None]
) -> float:
    """Make a step at each of the rates, each from its batch, and return their seconds.

    The clock runs from the request for the first batch to the end of the device's last step.
    """
    learner.synchronize()
    start = time.perf_counter()
    for rate, batch in zip(rates, batches, strict=True):
        learner.step(batch, rate)
        after_step()
    learner.synchronize()
    return time.perf_counter() - start


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
            raise NonFinite(
                f"{cell.name}: {name} became {row[name]} in epoch {row['epoch']} at learning rate "
                f"{row['learning_rate']:.4g}: lower `optimizer.learning_rate`, or warm up for longer"
            )


def test(cell: Cell, learner: Learner, log: Log) -> dict[str, float]:
    """Evaluate the best epoch's weights on the test set, and return the `TEST_RESULTS`.

    Stages the weights as `best.*`, the results as `test.json` and the logits as `logits.npz`. For a run that is shown
    and not trained, the results of its record are returned.

    Raises:
        NonFinite: the test loss is not finite.
        TrainingError: the weights were damaged since they were written.
    """
    if log.record:
        return {name: getattr(log.record, name) for name in TEST_RESULTS}
    weights, best = checkpoint(cell, learner, log), _best(cell, learner)
    if not files.is_intact(weights, log.checkpoint):
        raise TrainingError(f"{cell.name}: {weights.name} was damaged after it was written: run the cell again")
    learner.load_weights(weights)
    with files.replacing(best) as temporary:
        shutil.copyfile(weights, temporary)
    _measure_layers(cell, learner, log, log.best["epoch"])
    predictions = learner.predict("test")
    result = {f"test_{name}": value for name, value in _score(predictions, learner.classes).items()}
    result |= {"test_images": len(predictions.labels)}
    if not math.isfinite(result["test_loss"]):
        raise NonFinite(f"{cell.name}: test_loss is {result['test_loss']} with the weights of the best epoch")
    logits.write(best.with_name("logits.npz"), predictions)
    content = result | {"epoch_best": log.best["epoch"], "checkpoint": best.name}
    files.write_text(best.with_name("test.json"), json.dumps(content, indent=2) + "\n")
    return result


def finish(cell: Cell, learner: Learner, dataset_digest: str, log: Log, result: dict[str, float]) -> Record:
    """Write the record, by which the run is done, and put it in place with all products.

    The record of a run that is shown and not trained is returned as it is.
    """
    if log.record:
        return log.record
    log.watch("end", sensors.state())
    log.count_seconds()
    products = _products(cell, learner)
    epoch_log.write(products["epochs.csv"], log.rows)
    machine.write(products["machine.csv"], log.machine)
    if log.layers:
        layers.write(products["layers.csv"], log.layers)
    record = Record(
        run=cell.name,
        cell=cell,
        inputs_digest=inputs_digest(cell, dataset_digest),
        code_digest=code_digest(cell),
        environment=environment.describe() | environment.slot() | learner.describe(),
        started=log.started,
        finished=now(),
        parameters=learner.parameters,
        multiply_adds=learner.multiply_adds,
        steps_per_epoch=learner.steps_per_epoch,
        accumulation_steps=log.accumulation_steps,
        epoch_best=log.best["epoch"],
        acc_best=log.best["val_accuracy"],
        f1_best=log.best["val_macro_f1"],
        skipped_steps=log.skipped_steps,
        peak_memory_mb=learner.peak_memory_mb(),
        working_seconds=log.seconds,
        products={name: files.sha256(path) for name, path in products.items()},
        **result,
    )
    tracking.end(cell, log.rows, result, record.epoch_best)
    records.write_record(record)
    return record


def _best(cell: Cell, learner: Learner) -> Path:
    return records.unfinished(cell) / f"best{learner.weights_suffix}"


def _products(cell: Cell, learner: Learner) -> dict[str, Path]:
    """Return the staged files that a finished run is read from, by name."""
    best = _best(cell, learner)
    names = [best.name, "epochs.csv", "machine.csv", "logits.npz", "test.json"]
    if cell.settings.measurements.layer_images:
        names.append("layers.csv")
    return {name: best.with_name(name) for name in names}
