"""The speed of training, measured side by side.

For each network of a study, in each framework and precision, the project's own loop, a bare one, and what a user would
take instead are timed on generated images, one at a time. They share a process; each arm has one of its own.
"""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import mean, median
from typing import Any, NamedTuple

import pandas as pd

from lib import errors, processes
from lib.analysis import speed
from lib.bench import rounds
from lib.bench.loops import IMAGES
from lib.clock import duration
from lib.study.cells import Cell
from lib.study.study import Study

TURN = 0.4
"""The seconds of a loop's turn; a neighbour's burst of work lasts longer."""

WARM = 0.3
"""The seconds before it, in which the pipeline fills its buffers."""

SECONDS = 60
"""How long the loops of one network and framework are compared, if their ratios are not narrow before."""

QUICK = 20
"""The same for a quick measurement, of the first network only."""

ALTERNATIVES = {"pytorch": ("torchvision", "timm", "lightning"), "keras": ("fit",)}
"""What a user would take instead, by framework; Lightning, if it is installed."""

PAIRS = 3
"""How often two processes train at the same time."""

Tables = dict[str, list[dict[str, Any]]]
"""Tables by their names, as lists of rows."""


class Loops:
    """A process with loops of a cell; `start` has the seconds of building the first one, and of its first steps."""

    def __init__(self, process: subprocess.Popen, cell: Cell) -> None:
        self._process, self._images = process, cell.settings.batch_size
        self.start: dict[str, float] = self._answer()

    def speed(self, loop: str, warm: int, steps: int) -> float:
        """Return the images per second of so many steps, after some that are not timed."""
        return steps * self._images / self._ask(loop=loop, warm=warm, steps=steps)

    def parts(self, steps: int) -> dict[str, float]:
        """Return the parts of the project's own loop, by name."""
        return self._ask(parts=steps)

    def _ask(self, **question: int | str) -> Any:
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        if not line:
            command = " ".join(self._process.args[-3:])
            raise errors.TrainingError(f"the process of these loops ended: {command}; its messages are above")
        return json.loads(line)


class Entrant(NamedTuple):
    """A loop that takes part: its `kind` (ours, bare, alternative or arm), and the cell that it trains."""

    kind: str
    cell: Cell


def measure(study: Study, quick: bool) -> Tables:
    """Measure a study's networks, each in every framework and precision; if `quick`, the first one alone.

    Returns:
        `speeds`: rows of `loop`, `kind`, `round` and `images_per_second`. `parts`: rows of `part` and `value`, in
        seconds or in images per second. `at_once`: of the first network, `speed`, that of two processes which train at
        the same time, over that of one alone. All rows have `framework`, `dataset`, `model` and `precision`.

    Raises:
        ParameterError: the study has runs in float64.
        TrainingError: a loop ended with an error.
    """
    if "fp64" in study.precisions:
        raise errors.ParameterError(f"{study.name}: no other loop trains in float64; leave fp64 out of `precisions`")
    todo, found, start = _cells(study, quick), {}, time.monotonic()
    for done, cell in enumerate(todo, start=1):
        more = _measured(study, cell, quick)
        found = {name: [*found.get(name, []), *rows] for name, rows in more.items()}
        left = (time.monotonic() - start) / done * (len(todo) - done)
        print(f"{cell.framework} {cell.model} {cell.precision}: {_told(more['speeds'])}", flush=True)
        print(f"{len(todo) - done} networks left, about {duration(left)}", flush=True)
    return found


def _cells(study: Study, quick: bool) -> list[Cell]:
    found = {(cell.framework, cell.dataset, cell.model, cell.precision): cell for cell in reversed(study.cells)}
    return [cell for cell in study.cells if cell in found.values() and (not quick or cell.model == study.models[0])]


def _measured(study: Study, cell: Cell, quick: bool) -> Tables:
    """Return the rows of one cell."""
    keys = cell.model_dump(include={"framework", "dataset", "model", "precision"})
    first, among = cell.model == study.models[0], entrants(study, cell, quick)
    shared = [name for name, one in among.items() if one.kind != "arm"]
    with ExitStack() as stack:
        main = stack.enter_context(_process(study, cell, shared))
        loops = {name: partial(main.speed, name) for name in shared}
        for name, (kind, arm) in among.items():
            if kind == "arm":
                loops[name] = partial(stack.enter_context(_process(study, arm, ["ours"])).speed, "ours")
        most, step = IMAGES // cell.settings.batch_size, cell.settings.batch_size / loops["ours"](1, 2)
        turn = [rounds.steps_for(seconds, step, most // 2) for seconds in (WARM, TURN)]
        found = rounds.race({name: partial(loop, *turn) for name, loop in loops.items()}, QUICK if quick else SECONDS)
        parts = main.start | main.parts(min(100, most // 2))
        at_once = _at_once(stack.enter_context(_process(study, cell, ["ours"])), main, turn) if first else None
    speeds = [
        keys | {"loop": name, "kind": among[name].kind, "round": number, "images_per_second": one}
        for name, each in found.items()
        for number, one in enumerate(each, start=1)
    ]
    return {
        "speeds": speeds,
        "parts": [keys | {"part": name, "value": value} for name, value in parts.items()],
        "at_once": [keys | {"speed": at_once / median(found["ours"])}] if at_once else [],
    }


def entrants(study: Study, cell: Cell, quick: bool) -> dict[str, Entrant]:
    """Return the loops to compare with a cell's own, which comes first; arms for the study's first network alone."""
    known = [name for name in ALTERNATIVES[cell.framework] if name != "lightning" or importlib.util.find_spec(name)]
    found = {"ours": Entrant("ours", cell), "bare": Entrant("bare", cell)}
    found |= {name: Entrant("alternative", cell) for name in known}
    if cell.model == study.models[0] and not quick:
        axes = {"framework", "dataset", "model", "precision", "seed"}
        same = [one for one in study.cells if one.model_dump(include=axes) == cell.model_dump(include=axes)]
        found |= {one.arm: Entrant("arm", one) for one in same if one != cell}
    return found


def _at_once(one: Loops, other: Loops, turn: Sequence[int]) -> float:
    """Return the sum of the speeds of the project's own loop in two processes that work at the same time."""
    with ThreadPoolExecutor() as pool:
        return mean(sum(pool.map(lambda loops: loops.speed("ours", *turn), (one, other))) for _ in range(PAIRS))


@contextmanager
def _process(study: Study, cell: Cell, names: Sequence[str]) -> Iterator[Loops]:
    """Start a process with loops of a cell, and end it after the block."""
    command = [sys.executable, "-W", "ignore", "-m", "lib.bench.loops", study.name, cell.name, *names]
    with subprocess.Popen(
        processes.bound(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Loops(process, cell)
        finally:
            process.stdin.close()


def _told(speeds: list[dict[str, Any]]) -> str:
    """Return a cell's speed and its ratio to every other loop."""
    table = speed.ratios(pd.DataFrame(speeds))
    rows = table.itertuples()
    told = [f"{speed.between(row.ratio, row.ratio_low, row.ratio_high)} of {row.loop}" for row in rows]
    return ", ".join([f"{table['ours'].iloc[0]:,.0f} images/s", *told, f"{table['rounds'].iloc[0]} rounds"])
