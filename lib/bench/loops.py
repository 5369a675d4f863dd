"""Training loops of one cell in a process, each of which makes a turn of steps when it is asked.

`python -m lib.bench.loops STUDY RUN LOOP ...` is started by `lib.bench.speed`, with the names of the loops beside the
project's own. It answers each line of its standard input, JSON, with one of its standard output:
`{"loop": "bare", "warm": 4, "steps": 20}` with the seconds of the 20 steps, and `{"parts": 20}` with the parts of the
project's own loop. In two processes the same loop can differ by some percent, by where its arrays lie; loops that are
compared share one where they can.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import islice
from statistics import median
from typing import Any

from lib.data import generated
from lib.data.store import Store
from lib.errors import one_line
from lib.study.cells import Cell
from lib.study.datasets import DATASETS
from lib.study.loading import load_study
from lib.training.learner import Learner
from lib.training.protocol import timed_steps

Loop = Callable[[int, int], float]
"""A loop makes so many steps to fill its pipeline, then so many more, and returns the seconds of the latter."""

RATE = 0.01
"""The learning rate of every step; no speed depends on it."""

LEARNERS = {"pytorch": "lib.pytorch.learner:PyTorchLearner", "keras": "lib.keras.learner:KerasLearner"}

IMAGES = 12_800
"""The generated images of each split: 400 batches of 32."""


class Ours:
    """The project's own loop: `protocol.timed_steps` on the learner's batches, an epoch for each turn."""

    def __init__(self, cell: Cell, store: Store) -> None:
        self._cell, self._epoch = cell, 0
        self._learner = learner_class(cell)(cell, store)

    def __call__(self, warm: int, steps: int) -> float:
        """Make a turn, no longer than an epoch, and return the seconds of its timed steps."""
        batches = self._batches()
        self._train(batches, warm)
        return self._train(batches, steps)

    def parts(self, steps: int) -> dict[str, float]:
        """Return the seconds to an epoch's first batch, and the images per second of pipeline and evaluation."""
        first = [self._seconds(lambda: next(self._batches())) for _ in range(3)]
        batches = self._batches()
        next(batches)
        loading = self._seconds(lambda: sum(1 for _ in islice(batches, steps)))
        evaluated = len(self._learner.predict("val").labels)
        evaluating = self._seconds(lambda: self._learner.predict("val"))
        images = steps * self._cell.settings.batch_size
        return {"first batch": median(first), "pipeline": images / loading, "evaluation": evaluated / evaluating}

    def fallback(self) -> str:
        """Return why the learner, after its first step, has not compiled what it should; empty if it has."""
        found = self._learner.describe().get("compiled", "on")
        return "" if found == "on" else found

    def _batches(self) -> Iterator[Any]:
        self._epoch += 1
        self._learner.reseed(self._cell.seed, self._epoch)
        return iter(self._learner.batches())

    def _train(self, batches: Iterator[Any], steps: int) -> float:
        return timed_steps(self._learner, islice(batches, steps), [RATE] * steps, lambda: None)

    def _seconds(self, work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        self._learner.synchronize()
        return time.perf_counter() - start


def learner_class(cell: Cell) -> type[Learner]:
    """Import the learner of the cell's framework."""
    module, _, name = LEARNERS[cell.framework].partition(":")
    return getattr(import_module(module), name)


def loop(cell: Cell, name: str, store: Store) -> Loop:
    """Make a loop that the project's own is compared with, by its name."""
    import_module(f"lib.{cell.framework}")  # before the framework's own packages
    return import_module(f"lib.bench.{cell.framework}_loops").LOOPS[name](cell, store)


def unlimited(cell: Cell) -> Cell:
    """Return a cell without the limits of its study on training, which could make an epoch shorter than a turn."""
    limits = cell.settings.limits.model_copy(update={"train_samples": None, "max_steps_train": None})
    return cell.model_copy(update={"settings": cell.settings.model_copy(update={"limits": limits})})


def images(cell: Cell) -> Store:
    """Return generated images with the shape and the number of classes of the cell's dataset."""
    facts = DATASETS[cell.dataset]
    return generated.store(facts.size, facts.classes, IMAGES // facts.classes, facts.channels)


def main() -> None:
    """Make the loops, ours first, say how long that one and its first step took, and answer lines until the end."""
    study_name, run, *others = sys.argv[1:]
    answers, sys.stdout = sys.stdout, sys.stderr  # a library's prints are no answers
    with one_line():
        cell = unlimited(load_study(study_name).cell(run))
        store = images(cell)
        learner_class(cell)  # a framework's import is no part of building
        start = time.perf_counter()
        ours = Ours(cell, store)
        built = time.perf_counter() - start
        ours(0, 1)
        first = time.perf_counter() - start - built
        made: dict[str, Loop] = {"ours": ours} | {name: loop(cell, name, store) for name in others}
        for name in others:
            made[name](0, 1)
        print(json.dumps([ours.fallback(), {"built": built, "first": first}]), file=answers, flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            if "loop" in asked:
                answer = made[asked["loop"]](asked["warm"], asked["steps"])
            else:
                answer = ours.parts(asked["parts"])
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
