"""The errors that a user can cause and mend, each shown as one clear message instead of a traceback."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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


@contextmanager
def one_line() -> Iterator[None]:
    """End the process with one message, and exit code 1, where the block raises a `UserError`."""
    try:
        yield
        sys.stdout.flush()
    except UserError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has seen enough; Python would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
