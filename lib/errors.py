"""The errors that a user can cause and correct, each shown as one message instead of a traceback."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lib import processes


class UserError(Exception):
    """An error that the user can correct; the message names its cause and the choices."""


class ParameterError(UserError):
    """A parameter, a study or a name is unknown, of the wrong type, or contradicts another."""


class DataError(UserError):
    """A data file is absent, damaged, or not what its dataset should be."""


class TrainingError(UserError):
    """Training cannot continue."""


class OutOfMemory(TrainingError):
    """A training needs more memory than there is."""


class NonFinite(TrainingError):
    """A loss is not a finite number."""


class ParityError(UserError):
    """Weights cannot be transplanted from one framework's network into the other's."""


class ChapterError(UserError):
    """A notebook raised an error, its kernel died, or it cannot be exported.

    `cause` is the name of the error that a cell of the notebook raised, or of the signal that ended its kernel.
    """

    def __init__(self, message: str, cause: str = "") -> None:
        super().__init__(message)
        self.cause = cause


def described(error: BaseException) -> str:
    """Return an error's message; errors that are neither a user's nor the system's are given with their names."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@contextmanager
def one_line() -> Iterator[None]:
    """End the process with a one-line message where the block raises a user's error, or where a signal ends it.

    The exit code is 1, or 130 after SIGINT, SIGTERM or SIGHUP.
    """
    processes.interrupt_on_signals()
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe; without this, Python prints an error while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (UserError, OSError, MemoryError) as error:
        sys.exit(f"error: {described(error)}")
    except KeyboardInterrupt:
        processes.ignore_signals()
        sys.unraisablehook = lambda _: None  # objects that the interrupt left half made complain when they are removed
        print("interrupted", file=sys.stderr)
        sys.exit(130)
