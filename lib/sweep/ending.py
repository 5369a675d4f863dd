"""How a run ended without a record: the kind of its end, by the error that ended it, and the limit on its time."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from lib.clock import duration
from lib.errors import ChapterError, described
from lib.runs import status
from lib.runs.state import seconds_so_far
from lib.runs.status import Kind
from lib.study.cells import Cell

_CAUSES = {
    Kind.OUT_OF_MEMORY: ("OutOfMemory", "MemoryError", "OutOfMemoryError", "ResourceExhaustedError"),
    Kind.NOT_FINITE: ("NonFinite",),
    Kind.TIMED_OUT: ("TimedOut",),
    Kind.INTERRUPTED: ("KeyboardInterrupt", "SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"),
}
"""The errors, ours, Python's and the frameworks', and the signals behind each kind; all others are failures."""

_AGAIN_SECONDS = 30
"""The time after which an alarm is repeated: Python drops an error that is raised inside a destructor."""


class TimedOut(KeyboardInterrupt):
    """A run took longer than its limit; an interrupt, since an event loop passes on no other error."""


def kind(error: BaseException) -> Kind:
    """Return the kind of a run's end."""
    cause = error.cause if isinstance(error, ChapterError) else type(error).__name__
    return next((kind for kind, causes in _CAUSES.items() if cause in causes), Kind.FAILED)


def reason(error: BaseException) -> str:
    """Return why a run ended, in words; nothing where a user interrupted it."""
    return "" if isinstance(error, KeyboardInterrupt) else described(error)


@contextmanager
def limited(cell: Cell) -> Iterator[None]:
    """Let the block take what is left of the run's `max_hours` after the whole epochs that it goes on from.

    Raises:
        ChapterError: it took longer.
    """
    hours = cell.settings.max_hours
    if hours is None:
        yield
        return

    def end(signum: int, frame: FrameType | None) -> NoReturn:
        raise TimedOut

    before = signal.signal(signal.SIGALRM, end)
    left = 3600 * hours - seconds_so_far(cell)
    signal.setitimer(signal.ITIMER_REAL, max(left, 0.001), _AGAIN_SECONDS)
    try:
        yield
    except TimedOut:
        raise ChapterError(f"took longer than max_hours: {hours:g} ({duration(3600 * hours)})", "TimedOut") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def note(cell: Cell, error: BaseException) -> None:
    """Write a run's end into its console log and its status."""
    found, why = kind(error), reason(error)
    with status.console(cell).open("a", encoding="utf-8") as log:
        log.write(f"{found}{f': {why}' if why else ''}\n")
    status.write(cell, found, why)
