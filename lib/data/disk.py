"""Space on the disk: checked before writing, and one clear error if the disk is full all the same."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lib.errors import DataError


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Raise `DataError` if `folder`'s disk has less than `needed` bytes free for `purpose`."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(f"{purpose} needs {_size(needed)} in {folder}, and its disk has {_size(free)} free")


def is_full_disk(error: Exception) -> bool:
    """Return whether the operating system raised an error because the disk, or the user's quota of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def full_disk_as_data_error(purpose: str, folder: Path) -> Iterator[None]:
    """Turn the operating system's "no space left on device" inside the block into a `DataError`."""
    try:
        yield
    except OSError as error:
        if not is_full_disk(error):
            raise
        raise DataError(f"{purpose}: the disk of {folder} is full; make room and run the same command again") from error


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
