"""Official archives and their extracted folders: the files in them, read without unpacking anything to the disk."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.errors import DataError


class Part(NamedTuple):
    """The train or the test part of a dataset: `labels` (N,) and N `images`, uint8 (H, W, C), which are read once."""

    labels: np.ndarray
    images: Iterable[np.ndarray]


@dataclass(frozen=True)
class Members:
    """The files of an archive or of its extracted folder; `names` are relative to the archive's one folder."""

    origin: Path
    names: frozenset[str]
    load: Callable[[str], bytes]

    def read(self, name: str) -> bytes:
        """Return the bytes of one file; `DataError` if it does not exist."""
        if name not in self.names:
            raise DataError(f"{self.origin} has no file {name}")
        return self.load(name)


_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, OSError)
"""What reading a damaged archive raises; `NotImplementedError` is a zip directory that asks for an unknown version."""


@contextmanager
def members(path: Path, folder: str) -> Iterator[Members]:
    """Open an archive whose files are in `folder`, or this folder itself, for reading.

    A tar archive can only be read from its beginning, so its few files are held in memory (CIFAR: 180 MB).

    Raises:
        DataError: `path` is truncated, damaged or no archive; raised on opening it or inside the block.
    """
    try:
        if path.is_dir():
            names = (file.relative_to(path).as_posix() for file in path.rglob("*"))
            yield Members(path, frozenset(names), lambda name: (path / name).read_bytes())
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                inside = {_below(folder, name): name for name in file.namelist()}
                yield Members(path, frozenset(inside), lambda name: _unzip(file, inside[name]))
        else:
            contents = _untar(path, folder)
            yield Members(path, frozenset(contents), contents.__getitem__)
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno:  # the system's own; gzip and bz2 raise it without a number
            raise
        why = str(error).partition("\n")[0].rstrip(":")  # tarfile lists every compression that it has tried
        raise DataError(f"{path} is damaged, truncated or no archive of {folder} ({why})") from error


def _untar(path: Path, folder: str) -> dict[str, bytes]:
    with tarfile.open(path) as file:
        contents = {_below(folder, one.name): file.extractfile(one).read() for one in file if one.isfile()}
        while file.fileobj.read(1 << 20):  # to its end, where the checksum of the compressed stream is
            pass
        return contents


def _unzip(file: zipfile.ZipFile, name: str) -> bytes:
    try:
        return file.read(name)
    except RuntimeError as error:  # encrypted, or compressed by a method that Python does not know
        raise DataError(f"{file.filename}: {name} cannot be unpacked ({error})") from error


def _below(folder: str, name: str) -> str:
    return name.removeprefix("./").removeprefix(f"{folder}/")
