"""Files that are written whole or not at all, with checksums that reveal later damage."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lib.errors import DataError


@contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` when the block ends well, and is removed when it fails.

    The temporary name keeps the suffix, by which several libraries choose the format. It is the same each time, so that
    the next process overwrites what a killed one left. A file that is not `durable` may be lost in a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    try:
        yield temporary
        if durable:
            sync(temporary)
        temporary.replace(path)
        if durable:
            sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk; otherwise a renamed file may be empty after a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def held(path: Path, refusal: Exception, seconds: float = 0, mode: int = 0o644) -> Iterator[None]:
    """Hold a lock file during the block, or raise `refusal` where another process holds it for longer than `seconds`.

    The operating system releases it when the process ends, even if it is killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, mode=mode)
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        raise refusal from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def shared(path: Path, refusal: Exception) -> Iterator[None]:
    """Share a lock file with other processes during the block, or raise `refusal` where one holds it alone, as `held`.

    The operating system releases it when the process ends, even if it is killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:  # NFS shares a lock only of a file that is open for reading
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise refusal from None
        yield


def is_held(path: Path) -> bool:
    """Return whether a process holds a lock file, which has to be readable and not writable."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def write_text(path: Path, text: str, durable: bool = True) -> None:
    """Write a small text file whole or not at all."""
    with replacing(path, durable) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_intact(path: Path, checksum: str) -> bool:
    """Return whether a file exists and has this SHA-256."""
    return path.is_file() and sha256(path) == checksum


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write JSON together with its own checksum, its `seal`."""
    write_text(path, json.dumps(content | {"seal": _seal(content)}, indent=2) + "\n")


def read_sealed(path: Path) -> dict[str, Any]:
    """Return what `write_sealed` wrote.

    Raises:
        OSError: there is no such file, or it cannot be read.
        DataError: the file is not JSON, or its content does not match its seal.
    """
    return unsealed(path.read_bytes(), path.name)


def unsealed(content: bytes, name: str) -> dict[str, Any]:
    """Return what `write_sealed` wrote, from the content of its file of this name; `DataError` as `read_sealed`."""
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.pop("seal", None) != _seal(found):
        raise DataError(f"{name} was damaged or edited, or an earlier version of this code wrote it")
    return found


def _seal(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
