"""The rungs of the ladder by name, and climbing them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import keras
import pandas as pd

from lib.parity import architecture, inputs, numbers
from lib.parity.twins import Twins, twins
from lib.study.conventions import SWITCHES, Framework

CLASSES = (10, 100, 200)


class Rung(NamedTuple):
    """What a rung asks, what it allows and why, and the function of model, image size and reference that answers."""

    question: str
    limit: str
    answer: Callable[[str, int, Framework], pd.DataFrame]


def _in_float32(model: str, size: int, reference: Framework) -> Twins:
    return twins(model, size, "fp32", SWITCHES, reference)


def _parameters(model: str, size: int, _reference: Framework) -> pd.DataFrame:
    return architecture.parameter_table([model], [size], CLASSES)


def _tensors(model: str, size: int, reference: Framework) -> pd.DataFrame:
    tables = [architecture.tensor_table(model, size, aligned, reference) for aligned in ((), SWITCHES)]
    return pd.concat(tables, ignore_index=True)


def _feature_maps(model: str, size: int, _reference: Framework) -> pd.DataFrame:
    return architecture.feature_maps(model, size, classes=10)


def _pixels(model: str, size: int, reference: Framework) -> pd.DataFrame:
    store = _in_float32(model, size, reference).store
    return inputs.pixels(store.split("test"), store)


def _stream(model: str, size: int, reference: Framework) -> pd.DataFrame:
    pair = _in_float32(model, size, reference)
    table = inputs.stream(pair.batches("keras"), pair.batches("pytorch"))
    return pd.DataFrame({"model": model, "input_size": size} | dict(table))


def _learning_rate(model: str, size: int, reference: Framework) -> pd.DataFrame:
    """Run a schedule of 4 epochs with 16 steps through the optimizers, the first epoch a warm-up."""
    pair = _in_float32(model, size, reference)
    schedule = {"epochs": 4, "warmup_epochs": 1, "learning_rate": 0.1}
    cell = pair.cell.model_copy(update={"settings": pair.cell.settings.model_copy(update=schedule)})
    held = inputs.read_back(pair.learners, cell.settings, steps=16)
    table = inputs.learning_rates(cell, held).drop(columns="dataset")
    return pd.DataFrame({"model": model, "input_size": size} | dict(table))


RUNGS = {
    "parameters": Rung(
        "as many parameters?",
        "1 % (ConvNeXt-Tiny 5 %, ResNet-20 none): the libraries' variants differ by biases, a stem is less",
        _parameters,
    ),
    "tensors": Rung(
        "the same weights and buffers, layer by layer?",
        "none, but natively ResNet-50's biases, which the batch normalisation behind them takes out",
        _tensors,
    ),
    "feature-maps": Rung("the same shapes at every stage?", "none: a shape has no rounding", _feature_maps),
    "pixels": Rung(
        "the same pixels in evaluation?", "1e-5, some ten float32 roundings; one grey level is 0.01", _pixels
    ),
    "stream": Rung("the same images, crops and flips in training?", "none: one stream is drawn for both", _stream),
    "initial-weights": Rung(
        "the same first weights?",
        "none: one stream of numbers for both, mapped by one formula",
        partial(numbers.judged, "initial-weights"),
    ),
    "logits": Rung(
        "the same function of the same weights?",
        "1e-12 in float64, some thousand roundings; a convention shows above 1e-6. In float32 ten times its rounding",
        partial(numbers.judged, "logits"),
    ),
    "gradients": Rung(
        "the same gradients?",
        "1e-10 in float64: batch normalisation costs digits on the way back. In float32 ten times its rounding",
        partial(numbers.judged, "gradients"),
    ),
    "step": Rung(
        "the same update?",
        "1e-9 in float64: a gradient's difference, carried into the weights; float32 would show 1e-7",
        partial(numbers.judged, "step"),
    ),
    "trajectory": Rung(
        "the same training, step by step?",
        "1e-6 nats in float64: each of five steps multiplies what the one before it left",
        partial(numbers.judged, "trajectory"),
    ),
    "learning-rate": Rung(
        "the planned rate at every step?", "1e-6: Keras holds it in float32, which rounds 0.1 by 4e-9", _learning_rate
    ),
    "envelope": Rung(
        "no further apart in float32 than rounding brings one of them?",
        "ten times the larger of two draws of noise, which vary by some units",
        numbers.envelope,
    ),
}
"""Every rung, in the order in which they are climbed: each takes for granted what the ones before it found."""

DEPTHS = "depths"
"""No rung: what `numbers.depths` shows of the same twins."""

NETWORK_RUNGS = (*(rung for rung in RUNGS if rung not in ("parameters", "pixels", "learning-rate")), DEPTHS)
"""What a study climbs on each of its networks; the other rungs it climbs with its own images and schedule."""


class Found(NamedTuple):
    """What a rung found for one network at one size."""

    rung: str
    model: str
    size: int
    table: pd.DataFrame


def climb(
    models: Iterable[str],
    sizes: Collection[int],
    rungs: Collection[str] = tuple(RUNGS),
    reference: Framework = "pytorch",
) -> Iterator[Found]:
    """Climb the rungs, network after network, and yield what each found as soon as it is known.

    The twins follow the reference's conventions.
    """
    answers = {name: rung.answer for name, rung in RUNGS.items()} | {DEPTHS: numbers.depths}
    for model in models:
        for size in sizes:
            for rung in rungs:
                yield Found(rung, model, size, answers[rung](model, size, reference))
            twins.cache_clear()
            keras.backend.clear_session()


def gathered(found: Iterable[Found]) -> dict[str, pd.DataFrame]:
    """Return each rung's table for all networks together."""
    tables: dict[str, list[pd.DataFrame]] = {}
    for rung, _, _, table in found:
        tables.setdefault(rung, []).append(table)
    return {rung: pd.concat(parts, ignore_index=True) for rung, parts in tables.items()}


def summary(rungs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Count how many comparisons of each rung held; a rung holds where all that are judged do.

    Returns:
        Columns `rung`, `allowed` (the limit and why), `comparisons`, `held`, `passed`. A comparison whose `passed` is
        missing is shown, not judged.
    """
    counts = [(name, RUNGS[name].limit, table.passed.count(), table.passed.sum()) for name, table in rungs.items()]
    table = pd.DataFrame(counts, columns=["rung", "allowed", "comparisons", "held"])
    table["passed"] = table.held == table.comparisons
    return table
