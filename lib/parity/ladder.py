"""The rungs of the ladder by name, and climbing them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import keras
import pandas as pd

from lib.conventions import SWITCHES
from lib.params import load_study
from lib.parity import architecture, inputs, numbers
from lib.parity.twins import twins

CLASSES = (10, 100, 200)


class Rung(NamedTuple):
    """What a rung asks, and the function of a model and an image size that answers it, one row a comparison."""

    question: str
    answer: Callable[[str, int], pd.DataFrame]


def _parameters(model: str, size: int) -> pd.DataFrame:
    return architecture.parameter_table([model], [size], CLASSES)


def _tensors(model: str, size: int) -> pd.DataFrame:
    tables = [architecture.tensor_table(model, size, aligned) for aligned in ((), SWITCHES)]
    return pd.concat(tables, ignore_index=True)


def _feature_maps(model: str, size: int) -> pd.DataFrame:
    return architecture.feature_maps(model, size, classes=10)


def _pixels(model: str, size: int) -> pd.DataFrame:
    store = twins(model, size, "fp32", SWITCHES).store
    return inputs.pixels(store.split("test"), store)


def _stream(model: str, size: int) -> pd.DataFrame:
    pair = twins(model, size, "fp32", SWITCHES)
    table = inputs.stream(pair.batches("keras"), pair.batches("pytorch"))
    return pd.DataFrame({"model": model, "input_size": size} | dict(table))


def _learning_rate(model: str, size: int) -> pd.DataFrame:
    """Run a schedule of 4 epochs with 16 steps through the optimizers, the first epoch a warm-up."""
    learners = twins(model, size, "fp32", SWITCHES).learners
    cell = load_study("quickstart").cells[0]
    settings = cell.settings.model_copy(update={"epochs": 4, "warmup_epochs": 1})
    held = inputs.read_back(learners, settings, steps=16)
    table = inputs.learning_rates(cell.model_copy(update={"settings": settings}), held).drop(columns="dataset")
    return pd.DataFrame({"model": model, "input_size": size} | dict(table))


RUNGS = {
    "parameters": Rung("as many parameters?", _parameters),
    "tensors": Rung("the same weights and buffers, layer by layer?", _tensors),
    "feature-maps": Rung("the same shapes at every stage?", _feature_maps),
    "pixels": Rung("the same pixels in evaluation?", _pixels),
    "stream": Rung("the same images, crops and flips in training?", _stream),
    "initial-weights": Rung("the same first weights?", partial(numbers.judged, "initial-weights")),
    "logits": Rung("the same function of the same weights?", partial(numbers.judged, "logits")),
    "gradients": Rung("the same gradients?", partial(numbers.judged, "gradients")),
    "step": Rung("the same update?", partial(numbers.judged, "step")),
    "trajectory": Rung("the same training, step by step?", partial(numbers.judged, "trajectory")),
    "learning-rate": Rung("the planned rate at every step?", _learning_rate),
    "envelope": Rung("no further apart in float32 than rounding brings one of them?", numbers.envelope),
}
"""Every rung, in the order in which they are climbed: each takes for granted what the ones before it found."""


NETWORK_RUNGS = tuple(rung for rung in RUNGS if rung not in ("parameters", "pixels", "learning-rate"))
"""The rungs that a study climbs on each of its networks; the others it climbs with its own images and schedule."""


class Found(NamedTuple):
    """What a rung found for one network at one size."""

    rung: str
    model: str
    size: int
    table: pd.DataFrame


def climb(models: Iterable[str], sizes: Collection[int], rungs: Collection[str] = tuple(RUNGS)) -> Iterator[Found]:
    """Climb the rungs, network after network, and yield what each found as soon as it is known."""
    for model in models:
        for size in sizes:
            for rung in rungs:
                yield Found(rung, model, size, RUNGS[rung].answer(model, size))
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
        Columns `rung`, `comparisons`, `held`, `passed`. A comparison whose `passed` is missing is shown, not judged.
    """
    counts = [(name, int(table.passed.count()), int(table.passed.sum())) for name, table in rungs.items()]
    table = pd.DataFrame(counts, columns=["rung", "comparisons", "held"])
    table["passed"] = table.held == table.comparisons
    return table
