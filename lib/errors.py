"""The errors that a user can cause and mend, each shown as one clear message instead of a traceback."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lib import processes


class UserError(Exception):
    """Something that the user can mend; the message names the thing and the choices."""


class ParameterError(UserError):
    """A parameter, a study or a name is unknown, of the wrong type, or contradicts another."""


class DataError(UserError):
    """A data file is absent, damaged, or not what its dataset should be."""


class TrainingError(UserError):
    """A training run cannot go on: the loss is no number any more, or the machine refused."""


class ParityError(UserError):
    """Weights cannot be carried from one framework's network into the other's."""


class ChapterError(UserError):
    """A notebook stopped at an error, its kernel died, or it cannot be exported."""


def described(error: BaseException) -> str:
    """Return an error as one would say it: a user's or the system's in its own words, any other with its name."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@contextmanager
def one_line() -> Iterator[None]:
    """End the process with one message where the block raises what a user can mend, or where a signal ends it.

    The exit code is 1, or 130 after SIGINT, SIGTERM or SIGHUP.
    """
    processes.interrupt_on_signals()
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has seen enough; Python would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (UserError, OSError, MemoryError) as error:
        sys.exit(f"error: {described(error)}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
