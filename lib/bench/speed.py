"""The speed of training, measured: `python -m lib.bench.speed STUDY`.

For each network of a study, in each framework and precision, the project's own loop, a bare one, and what a user would
take instead are timed side by side on generated images. Each is a process; only one of them works at a time.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lib import environment, errors, processes
from lib.bench import rounds
from lib.bench.loops import IMAGES, WARM
from lib.clock import duration, now
from lib.runs import measured
from lib.study.cells import Cell
from lib.study.loading import load_study
from lib.study.study import Study

ROUND = 2.5
"""The seconds of a loop's turn, without its first steps."""

SECONDS = 120
"""How long the loops of one network and framework are compared, if their ratios are not narrow before."""

QUICK = 20
"""The same for a quick measurement, of the first network only."""

OTHERS = {"pytorch": ("bare", "torchvision", "timm", "lightning"), "keras": ("bare", "fit")}
"""The loops beside the project's own, by framework; of Lightning, if it is installed."""

Row = dict[str, Any]


class Racer:
    """A loop in a process of its own; `start` has the seconds of building it, and of its first steps."""

    def __init__(self, process: subprocess.Popen, cell: Cell) -> None:
        self._process, self._images = process, cell.settings.batch_size
        self.start: dict[str, float] = self._answer()

    def ask(self, **question: int) -> Any:
        """Return the answer of the process."""
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return self._answer()

    def speed(self, steps: int) -> float:
        """Return the images per second of a round of so many steps."""
        return steps * self._images / self.ask(steps=steps)

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        if not line:
            raise errors.TrainingError(f"the loop {' '.join(self._process.args[-2:])} ended; its messages are above")
        return json.loads(line)


def measure(study: Study, cell: Cell, seconds: float) -> tuple[list[Row], list[Row]]:
    """Compare the loops of a cell: return rows of `loop`, `round` and `images_per_second`, and of `part` and `value`.

    A part's value is in seconds, or in images per second. All rows have the cell's `framework`, `dataset`, `model` and
    `precision`.
    """
    keys = cell.model_dump(include={"framework", "dataset", "model", "precision"})
    with _racers(study, cell) as racers:
        most = IMAGES // cell.settings.batch_size - WARM
        step = cell.settings.batch_size / racers["ours"].speed(2)
        steps = rounds.steps_for(ROUND, step, most)
        found = rounds.race({name: lambda one=one: one.speed(steps) for name, one in racers.items()}, seconds)
        parts = racers["ours"].start | racers["ours"].ask(parts=min(100, most))
    rows = [
        keys | {"loop": name, "round": number, "images_per_second": speed}
        for name, speeds in found.items()
        for number, speed in enumerate(speeds, start=1)
    ]
    return rows, [keys | {"part": name, "value": value} for name, value in parts.items()]


@contextmanager
def _racers(study: Study, cell: Cell) -> Iterator[dict[str, Racer]]:
    """Start the loops of a cell, one after another, and end them after the block."""
    others = [name for name in OTHERS[cell.framework] if name != "lightning" or importlib.util.find_spec(name)]
    started: list[subprocess.Popen] = []
    try:
        racers = {}
        for name in ("ours", *others):
            command = [sys.executable, "-W", "ignore", "-m", "lib.bench.loops", study.name, cell.name, name]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            started.append(subprocess.Popen(processes.bound(command), **pipes))
            racers[name] = Racer(started[-1], cell)
        yield racers
    finally:
        for process in started:
            process.stdin.close()
            process.wait()


def cells(study: Study, quick: bool) -> list[Cell]:
    """Return the cells to measure: one for each framework, network and precision; if `quick`, of the first network."""
    found = {(cell.framework, cell.dataset, cell.model, cell.precision): cell for cell in reversed(study.cells)}
    chosen = [cell for cell in study.cells if cell in found.values()]
    return [cell for cell in chosen if not quick or (cell.dataset, cell.model) == (chosen[0].dataset, chosen[0].model)]


def _told(rows: list[Row]) -> str:
    """Return a cell's speed and its ratio to every other loop."""
    speeds = {row["loop"]: [] for row in rows}
    for row in rows:
        speeds[row["loop"]].append(row["images_per_second"])
    ours = speeds.pop("ours")
    ratios = {name: rounds.ratio(ours, others) for name, others in speeds.items()}
    told = [f"{value:.2f} ({low:.2f} to {high:.2f}) of {name}" for name, (value, low, high) in ratios.items()]
    return ", ".join([f"{sum(ours) / len(ours):,.0f} images/s", *told, f"{len(ours)} rounds"])


def main() -> None:
    """Read the command line, and measure."""
    parser = argparse.ArgumentParser(prog="python -m lib.bench.speed", description="Measure the speed of training.")
    parser.add_argument("study", help="a file's stem in params/studies, whose networks are trained")
    parser.add_argument("--quick", action="store_true", help="measure the first network only, and for a shorter time")
    arguments = parser.parse_args()
    with errors.one_line():
        study = load_study(arguments.study)
        todo, seconds = cells(study, arguments.quick), QUICK if arguments.quick else SECONDS
        content = {"started": now(), "quick": arguments.quick, "environment": environment.describe()}
        speeds, parts, start = [], [], time.monotonic()
        for done, cell in enumerate(todo):
            rows, more = measure(study, cell, seconds)
            speeds, parts = speeds + rows, parts + more
            left = (time.monotonic() - start) / (done + 1) * (len(todo) - done - 1)
            print(f"{cell.framework} {cell.model} {cell.precision}: {_told(rows)}; {duration(left)} left", flush=True)
        measured.write(study.name, content | {"finished": now(), "speeds": speeds, "parts": parts})


if __name__ == "__main__":
    main()
