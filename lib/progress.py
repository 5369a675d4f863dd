"""Progress of a training and its remaining time, in plain lines that every log can hold."""

import time

from lib.clock import duration

_QUIET_SECONDS = 30


class Progress:
    """Prints one line per epoch, and within a long epoch one every half minute."""

    def __init__(self, name: str, done: int, epochs: int, steps: int) -> None:
        self._name, self._epoch, self._epochs, self._steps = name, done, epochs, steps
        self._first, self._step = done, 0
        self._start = self._spoke = time.monotonic()
        if done:
            print(f"{name}: goes on after epoch {done} of {epochs}", flush=True)

    def step(self) -> None:
        """Count a step; print a line if the last one is half a minute old."""
        self._step += 1
        if time.monotonic() - self._spoke > _QUIET_SECONDS:
            self._say(f"epoch {self._epoch + 1}/{self._epochs}, step {self._step} of {self._steps}")

    def epoch(self, summary: str) -> None:
        """Count an epoch and print its summary."""
        self._epoch, self._step = self._epoch + 1, 0
        self._say(f"epoch {self._epoch}/{self._epochs}, {summary}")

    def _say(self, text: str) -> None:
        self._spoke = time.monotonic()
        epochs_made = self._epoch - self._first + self._step / self._steps
        left = (self._spoke - self._start) / epochs_made * (self._epochs - self._epoch - self._step / self._steps)
        print(f"{self._name}: {text}, {duration(left)} left", flush=True)
