"""The rungs of the ladder by name."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pandas as pd

from lib.parity import architecture, inputs, numbers
from lib.parity.twins import Twins, twins
from lib.study.conventions import SWITCHES, Framework
from lib.study.kinds import Cosine

CLASSES = (10, 100, 200)
"""The numbers of classes for which parameters are counted."""


Answer = Callable[[str, int, Framework], pd.DataFrame]


class Rung(NamedTuple):
    """A rung: its question, its limit with the reason, and the function of model, size and reference that answers."""

    question: str
    limit: str
    answer: Answer


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
    settings = pair.cell.settings
    peak = settings.optimizer.model_copy(update={"learning_rate": 0.1})
    schedule = {"epochs": 4, "schedule": Cosine(name="cosine", warmup_epochs=1), "optimizer": peak}
    cell = pair.cell.model_copy(update={"settings": settings.model_copy(update=schedule)})
    held = inputs.read_back(pair.learners, cell.settings, steps=16)
    table = inputs.learning_rates(cell, held).drop(columns="dataset")
    return pd.DataFrame({"model": model, "input_size": size} | dict(table))


RUNGS = {
    "parameters": Rung(
        "as many parameters?",
        "the network's own limit, 5 % or less: the libraries' variants differ by biases",
        _parameters,
    ),
    "tensors": Rung(
        "the same weights and buffers, layer by layer?",
        "none, but natively the biases of convolutions, which the batch normalisation behind them removes",
        _tensors,
    ),
    "feature-maps": Rung("the same shapes at every stage?", "none: a shape has no rounding", _feature_maps),
    "pixels": Rung(
        "the same pixels in evaluation?", "1e-5, about ten float32 roundings; one grey level is 0.01", _pixels
    ),
    "stream": Rung("the same images, crops and flips in training?", "none: one stream is drawn for both", _stream),
    "initial-weights": Rung(
        "the same first weights?",
        "none: one stream of numbers for both, mapped by one formula",
        partial(numbers.judged, "initial-weights"),
    ),
    "logits": Rung(
        "the same function of the same weights?",
        "1e-12 in float64, a few thousand roundings; conventions differ by 1e-6 or more. In float32 ten times rounding",
        partial(numbers.judged, "logits"),
    ),
    "gradients": Rung(
        "the same gradients?",
        "1e-10 in float64: the gradient of batch normalisation loses digits. In float32 ten times rounding",
        partial(numbers.judged, "gradients"),
    ),
    "step": Rung(
        "the same update?",
        "1e-9 in float64: the difference of the gradients, in the weights; float32 would have 1e-7",
        partial(numbers.judged, "step"),
    ),
    "trajectory": Rung(
        "the same training, step by step?",
        "1e-6 nats in float64: each of five steps multiplies the difference of the step before",
        partial(numbers.judged, "trajectory"),
    ),
    "learning-rate": Rung(
        "the planned rate at every step?", "1e-6: Keras keeps it in float32, which rounds 0.1 by 4e-9", _learning_rate
    ),
    "envelope": Rung(
        "no further apart in float32 than the effect of rounding?",
        "ten times the larger of two draws of noise, which vary by a small factor",
        numbers.envelope,
    ),
}
"""Every rung, in the order of climbing: each relies on the ones before it."""

DEPTHS = "depths"
"""The name of `numbers.depths`, which is climbed like a rung but not judged."""

NETWORK_RUNGS = (*(rung for rung in RUNGS if rung not in ("parameters", "pixels", "learning-rate")), DEPTHS)
"""The rungs that a study climbs on each of its networks; it climbs the others with its own images and schedule."""

ANSWERS: dict[str, Answer] = {name: rung.answer for name, rung in RUNGS.items()} | {DEPTHS: numbers.depths}
"""The function of every rung, and that of `DEPTHS`."""
