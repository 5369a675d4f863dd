"""The progress of a training: plain lines that every log can hold, and a small file that `make status` reads."""

import time
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from lib import files
from lib.clock import duration
from lib.runs import records
from lib.study.cells import Cell
from lib.study.strict import Strict

_QUIET_SECONDS = 30
_STILL_SECONDS = 5


class Live(Strict):
    """How far a training is: whole epochs, the steps of the next one, and its speed in this attempt.

    `images_per_second` and `seconds_left` count everything from the attempt's first epoch on, validation too.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    images_per_second: float
    seconds_left: float

    def __str__(self) -> str:
        """Return the progress in words."""
        step = f", step {self.step} of {self.steps}" if self.step else ""
        speed = f"{self.images_per_second:,.0f} images/s"
        return f"epoch {self.epoch} of {self.epochs} done{step}, {speed}, {duration(self.seconds_left)} left"


def path(cell: Cell) -> Path:
    """Return the path of a training's progress, which is there while the training is not finished."""
    return records.unfinished(cell) / "live.json"


def read(cell: Cell) -> Live | None:
    """Return how far a run's unfinished training is, or was when it ended, or None where that is not known."""
    try:
        return Live.model_validate_json(path(cell).read_bytes())
    except (OSError, ValidationError):
        return None


class Progress:
    """Prints one line per epoch, and within a long epoch one every half minute; the file follows every few seconds."""

    def __init__(self, cell: Cell, done: int, steps: int) -> None:
        self._cell, self._epoch, self._epochs, self._steps = cell, done, cell.settings.epochs, steps
        self._first, self._step = done, 0
        self._start = self._spoke = self._wrote = time.monotonic()
        if done:
            print(f"{cell.name}: goes on after epoch {done} of {self._epochs}", flush=True)

    def step(self) -> None:
        """Count a step; write the file and print a line if the last ones are old."""
        self._step += 1
        instant = time.monotonic()
        if instant - self._wrote > _STILL_SECONDS:
            self._write(instant)
        if instant - self._spoke > _QUIET_SECONDS:
            self._say(f"epoch {self._epoch + 1}/{self._epochs}, step {self._step} of {self._steps}", instant)

    def epoch(self, summary: str) -> None:
        """Count an epoch, write the file and print the epoch's summary."""
        self._epoch, self._step = self._epoch + 1, 0
        instant = time.monotonic()
        self._write(instant)
        self._say(f"epoch {self._epoch}/{self._epochs}, {summary}", instant)

    def _seconds(self, instant: float) -> tuple[float, float]:
        """Return the seconds of an epoch in this attempt, and those that are left."""
        begun = self._epoch + self._step / self._steps
        each = (instant - self._start) / (begun - self._first)
        return each, each * (self._epochs - begun)

    def _say(self, text: str, instant: float) -> None:
        self._spoke = instant
        print(f"{self._cell.name}: {text}, {duration(self._seconds(instant)[1])} left", flush=True)

    def _write(self, instant: float) -> None:
        self._wrote = instant
        each, left = self._seconds(instant)
        live = Live(
            epoch=self._epoch,
            epochs=self._epochs,
            step=self._step,
            steps=self._steps,
            images_per_second=self._steps * self._cell.settings.batch_size / max(each, 1e-9),
            seconds_left=left,
        )
        with suppress(OSError):  # a full disk must not end a training for its display
            files.write_text(path(self._cell), live.model_dump_json(), durable=False)
