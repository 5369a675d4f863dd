"""The speed of training, measured side by side.

For each network of a study, in each framework and precision, the project's own loop, a bare one, and what a user would
take instead are timed on generated images, one at a time. They share a process; each arm has one of its own.
"""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from statistics import mean, median
from typing import Any

import pandas as pd
from tqdm import tqdm

from lib import errors, processes
from lib.analysis import speed
from lib.bench import rounds
from lib.bench.loops import IMAGES
from lib.study.cells import Cell
from lib.study.study import Study

TURN = 0.4
"""The seconds of our loop's turn; the others make as many steps."""

WARM = 0.3
"""The seconds of our loop before its turn, in which the pipeline fills its buffers."""

SECONDS = 600
"""About how long the loops of all networks are compared; a network that needs long for the least rounds takes more."""

QUICK = 140
"""The same for a quick measurement, of the first network only."""

ARMS = 25
"""How long arms are compared, if their ratios are not narrow before."""

ALTERNATIVES = {"pytorch": ("torchvision", "timm", "lightning"), "keras": ("fit",)}
"""What a user would take instead, by framework; Lightning, if it is installed."""

TOGETHER, PAIRS = 2.0, 3
"""For how many seconds, and how often, two processes train at the same time."""

Tables = dict[str, list[dict[str, Any]]]
"""Tables by their names, as lists of rows."""


class Loops:
    """A process with loops of a cell, the project's own first.

    `start` has the seconds of building that one, and of its first step; `fallback` says why it is not compiled as its
    settings ask, and is empty if it is.
    """

    def __init__(self, process: subprocess.Popen, cell: Cell) -> None:
        self._process, self._cell = process, cell
        self.fallback: str
        self.start: dict[str, float]
        self.fallback, self.start = self._answer()

    def speed(self, loop: str, warm: int, steps: int) -> float:
        """Return the images per second of so many steps, after some that are not timed."""
        return steps * self._cell.settings.batch_size / self._ask(loop=loop, warm=warm, steps=steps)

    def parts(self, steps: int) -> dict[str, float]:
        """Return the parts of the project's own loop, by name."""
        return self._ask(parts=steps)

    def _ask(self, **question: int | str) -> Any:
        with suppress(BrokenPipeError):  # then there is no answer
            print(json.dumps(question), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise errors.TrainingError(
                f"the process of the loops of {self._cell.name} ended with status {code}; its messages are above"
            )
        return json.loads(line)


def measure(study: Study, quick: bool) -> Tables:
    """Measure a study's networks, each in every framework and precision; if `quick`, the loops of the first one alone.

    Returns:
        `speeds`: rows of `loop`, `kind`, `round` and `images_per_second`. `arms`: the same of our loop and of those
        with a setting changed, for the first network. `parts`: rows of `part` and `value`, in seconds or in images per
        second. `at_once`: of the first network, `speed`, that of two processes which train at the same time, over that
        of one alone, in the mean of `n`. All rows have `framework`, `dataset`, `model` and `precision`.

    Raises:
        TrainingError: a loop ended with an error.
    """
    todo, found = _cells(study, quick), {}
    end = time.monotonic() + (QUICK if quick else SECONDS)
    for done, cell in enumerate(tqdm(todo, "speeds", unit=" networks")):
        share = (end - time.monotonic()) / (len(todo) - done)
        more = _measured(study, cell, share, whole=cell.model == study.models[0] and not quick)
        found = {name: [*found.get(name, []), *rows] for name, rows in more.items()}
        tqdm.write(f"{cell.framework} {cell.model} {cell.precision}: {_told(more['speeds'])}")
    return found


def _cells(study: Study, quick: bool) -> list[Cell]:
    """Return the cells of the study's base, of one seed."""
    found: dict[tuple[str, ...], Cell] = {}
    for cell in study.cells:
        if not quick or cell.model == study.models[0]:
            found.setdefault((cell.framework, cell.dataset, cell.model, cell.precision), cell)
    return list(found.values())


def require_comparable(study: Study) -> None:
    """Require that the other loops can train as the study's base does; else `ParameterError` names what they cannot."""
    for cell in _cells(study, quick=False):
        if alone := _ours_alone(cell):
            raise errors.ParameterError(
                f"{study.name}: no other loop trains with {', '.join(alone)}; leave it to an arm"
            )


def _ours_alone(cell: Cell) -> list[str]:
    """Return what a cell asks for and only the project's own loop can do."""
    settings = cell.settings
    asked = {
        "fp64": cell.precision == "fp64",
        "accumulation_steps": settings.accumulation_steps > 1,
        "mixing": settings.mixing.departures(),
        "regularisation": settings.regularisation.departures(),
        "compile": settings.compile,
        "channels_last": settings.execution.channels_last,
        "fused": settings.execution.fused,
        "devices": settings.devices > 1,
    }
    return [*settings.augmentation.by_image, *(name for name, value in asked.items() if value)]


def _measured(study: Study, cell: Cell, seconds: float, whole: bool) -> Tables:
    """Return the rows of one cell, whose loops take about so many seconds; if `whole`, with arms and two at once."""
    keys, known = cell.model_dump(include={"framework", "dataset", "model", "precision"}), kinds(cell)
    end = time.monotonic() + seconds
    _, *others = known
    with _process(study, cell, others) as main:
        size = cell.settings.batch_size
        most, step = IMAGES // size, size / max(main.speed("ours", 1, 2) for _ in range(2))
        *turn, long = [rounds.steps_for(length, step, most // 2) for length in (WARM, TURN, TOGETHER)]
        loops = {name: partial(main.speed, name, *turn) for name in known}
        speeds = rounds.race(loops, end - time.monotonic())
        changed = _arms(study, cell, loops["ours"], turn) if whole else {}
        at_once = [_at_once(study, cell, main, turn[0], long) / median(speeds["ours"])] if whole else []
        parts = main.start | main.parts(min(100, most // 2))
    return {
        "speeds": [keys | {"kind": known[row["loop"]]} | row for row in _rows(speeds)],
        "arms": [keys | {"kind": "ours" if row["loop"] == "ours" else "arm"} | row for row in _rows(changed)],
        "parts": [keys | {"part": name, "value": value} for name, value in parts.items()],
        "at_once": [keys | {"speed": one, "n": PAIRS} for one in at_once],
    }


def _rows(speeds: dict[str, list[float]]) -> list[dict[str, Any]]:
    return [
        {"loop": name, "round": number, "images_per_second": one}
        for name, each in speeds.items()
        for number, one in enumerate(each, start=1)
    ]


def kinds(cell: Cell) -> dict[str, str]:
    """Return the loops of a cell, its own first, each with its kind: ours, bare or alternative."""
    known = [name for name in ALTERNATIVES[cell.framework] if name != "lightning" or importlib.util.find_spec(name)]
    return {"ours": "ours", "bare": "bare"} | dict.fromkeys(known, "alternative")


def _arms(study: Study, cell: Cell, ours: Callable[[], float], turn: Sequence[int]) -> dict[str, list[float]]:
    """Return the speeds of our loop and of those with a setting changed, which are the other arms of the study."""
    arms = next(arms for arms in study.matched("arm") if cell in arms.values())
    with ExitStack() as stack:
        loops = {"ours": ours}
        for arm, changed in arms.items():
            if changed != cell:
                other = stack.enter_context(_process(study, changed))
                loops[f"{arm} (does not work here)" if other.fallback else arm] = partial(other.speed, "ours", *turn)
        return rounds.race(loops, ARMS) if len(loops) > 1 else {}


def _at_once(study: Study, cell: Cell, main: Loops, warm: int, steps: int) -> float:
    """Return the sum of the speeds of the project's own loop in two processes that work at the same time."""
    with _process(study, cell) as other, ThreadPoolExecutor() as pool:
        both = (main, other)
        return mean(sum(pool.map(lambda loops: loops.speed("ours", warm, steps), both)) for _ in range(PAIRS))


@contextmanager
def _process(study: Study, cell: Cell, others: Iterable[str] = ()) -> Iterator[Loops]:
    """Start a process with the project's own loop of a cell, and others, and end it after the block."""
    command = [sys.executable, "-W", "ignore", "-m", "lib.bench.loops", study.name, cell.name, *others]
    with subprocess.Popen(
        processes.bound(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Loops(process, cell)
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()


def _told(speeds: list[dict[str, Any]]) -> str:
    """Return a cell's speed and its ratio to every other loop."""
    table = speed.ratios(pd.DataFrame(speeds))
    rows = table.itertuples()
    told = [f"{speed.between(row.ratio, row.ratio_low, row.ratio_high)} of {row.loop}" for row in rows]
    return ", ".join([f"{table['ours'].iloc[0]:,.0f} images/s", *told, f"{table['rounds'].iloc[0]} rounds"])
