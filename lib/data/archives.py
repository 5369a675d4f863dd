"""The official archives of CIFAR and Tiny-ImageNet: their addresses, and how images and labels are read."""

import io
import lzma
import pickle
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from lib.errors import DataError


class Part(NamedTuple):
    """The train or the test part of a dataset: `labels` int64 (N,) and N `images` uint8 (H, W, 3), to be read once."""

    labels: np.ndarray
    images: Iterable[np.ndarray]


@dataclass(frozen=True)
class Archive:
    """An official archive: its address and MD5, the one folder in it, and a file by which that folder is recognised."""

    url: str
    md5: str
    folder: str
    marker: str

    @property
    def file(self) -> str:
        """The archive's file name."""
        return self.url.rpartition("/")[2]


ARCHIVES = {
    "cifar10": Archive(
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "c58f30108f718f92721af3b95e74349a",
        folder="cifar-10-batches-py",
        marker="test_batch",
    ),
    "cifar100": Archive(
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "eb9058c3a382ffc7106e4002c42a8d85",
        folder="cifar-100-python",
        marker="test",
    ),
    "tiny_imagenet": Archive(
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        "90528d7ca1a48142e341f4ef8d21d0de",
        folder="tiny-imagenet-200",
        marker="wnids.txt",
    ),
}


@dataclass(frozen=True)
class Members:
    """The files of an archive or of its extracted folder; `names` are relative to the archive's one folder."""

    origin: Path
    names: frozenset[str]
    load: Callable[[str], bytes]

    def read(self, name: str) -> bytes:
        """Return the bytes of one file, or raise `DataError` where it is not there."""
        if name not in self.names:
            raise DataError(f"{self.origin} has no file {name}")
        return self.load(name)


_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, OSError)
"""What reading a damaged archive raises; `NotImplementedError` is a zip directory that asks for an unknown version."""


@contextmanager
def members(path: Path, archive: Archive) -> Iterator[Members]:
    """Open an official archive, or its extracted folder, for reading; nothing is unpacked to the disk.

    A tar archive can only be read from its beginning, so its few files are held in memory (CIFAR: 180 MB).

    Raises:
        DataError: `path` is truncated, damaged or no archive, found on opening it or inside the block.
    """
    try:
        if path.is_dir():
            names = (file.relative_to(path).as_posix() for file in path.rglob("*"))
            yield Members(path, frozenset(names), lambda name: (path / name).read_bytes())
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                inside = {_below(archive.folder, name): name for name in file.namelist()}
                yield Members(path, frozenset(inside), lambda name: _unzip(file, inside[name]))
        else:
            contents = _untar(path, archive.folder)
            yield Members(path, frozenset(contents), contents.__getitem__)
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno:  # the system's own; gzip and bz2 raise it without a number
            raise
        raise DataError(f"{path} is damaged, truncated or no archive of {archive.folder} ({error})") from error


def _untar(path: Path, folder: str) -> dict[str, bytes]:
    with tarfile.open(path) as file:
        contents = {_below(folder, one.name): file.extractfile(one).read() for one in file if one.isfile()}
        while file.fileobj.read(1 << 20):  # to its end, where the checksum of the compressed stream is
            pass
        return contents


def _unzip(file: zipfile.ZipFile, name: str) -> bytes:
    try:
        return file.read(name)
    except RuntimeError as error:  # encrypted, or packed by a method that Python does not know
        raise DataError(f"{file.filename}: {name} cannot be unpacked ({error})") from error


def _below(folder: str, name: str) -> str:
    return name.removeprefix("./").removeprefix(f"{folder}/")


def read_cifar10(files: Members) -> tuple[Part, Part]:
    """Return the train and test part of CIFAR-10 in its Python format: five train batches and a test batch."""
    train = [_cifar_batch(files, f"data_batch_{number}", "labels") for number in range(1, 6)]
    return _joined(train), _joined([_cifar_batch(files, "test_batch", "labels")])


def read_cifar100(files: Members) -> tuple[Part, Part]:
    """Return the train and test part of CIFAR-100 in its Python format, with the 100 fine labels."""
    return tuple(_joined([_cifar_batch(files, name, "fine_labels")]) for name in ("train", "test"))


def _joined(batches: list[Part]) -> Part:
    return Part(np.concatenate([batch.labels for batch in batches]), chain.from_iterable(b.images for b in batches))


def _cifar_batch(files: Members, name: str, label_key: str) -> Part:
    """Read one batch: a pickled dictionary with `data`, uint8 (N, 3072), each row the red, green and blue plane."""
    where = f"{files.origin}: {name}"
    batch = _unpickle(files.read(name), where)
    try:
        data, labels = np.asarray(batch["data"]), np.asarray(batch[label_key])
    except (KeyError, TypeError) as error:
        raise DataError(f"{where} is no CIFAR batch: it has no 'data' or no {label_key!r}") from error
    if data.dtype != np.uint8 or data.shape != (len(labels), 3 * 32 * 32):
        raise DataError(f"{where} holds {data.dtype} {data.shape} for {len(labels)} labels, not uint8 (N, 3072) for N")
    return Part(labels, data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


class _ArraysOnly(pickle.Unpickler):
    """Reads plain values and NumPy arrays; any other thing that a pickle can name could run foreign code."""

    ALLOWED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy._core.numeric", "_frombuffer"),
            ("_codecs", "encode"),  # how Python 3 writes bytes in the protocol of Python 2
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy.core.", "numpy._core.")  # where NumPy 1, which wrote the batches, kept it
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no image batch needs")
        return super().find_class(module, name)


def _unpickle(content: bytes, where: str) -> dict[str, Any]:
    try:
        batch = _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # damaged bytes make a pickle raise almost anything
        raise DataError(f"{where} cannot be read as a batch of images: {error}") from error
    if not isinstance(batch, dict):
        raise DataError(f"{where} is no CIFAR batch: it holds a {type(batch).__name__}, not a dictionary")
    return {key.decode() if isinstance(key, bytes) else key: value for key, value in batch.items()}


def read_tiny_imagenet(files: Members) -> tuple[Part, Part]:
    """Return Tiny-ImageNet's train part and, as its test part, the official val set; classes in sorted wnid order."""
    wnids = sorted(files.read("wnids.txt").decode().split())
    train = sorted(name for name in files.names if re.fullmatch(r"train/\w+/images/.+\.JPEG", name))
    rows = [line.split("\t") for line in files.read("val/val_annotations.txt").decode().splitlines()]
    val = [(f"val/images/{row[0]}", row[1]) for row in rows if len(row) > 1]
    return (
        _jpegs(files, wnids, train, [name.split("/")[1] for name in train]),
        _jpegs(files, wnids, [name for name, _ in val], [wnid for _, wnid in val]),
    )


def _jpegs(files: Members, wnids: list[str], names: list[str], classes: list[str]) -> Part:
    numbers = {wnid: number for number, wnid in enumerate(wnids)}
    if unknown := set(classes) - set(numbers):
        raise DataError(f"{files.origin} has images of {min(unknown)}, a class that wnids.txt does not name")
    labels = np.array([numbers[wnid] for wnid in classes], dtype=np.int64)
    return Part(labels, (decode_rgb(files.read(name), f"{files.origin}: {name}") for name in names))


def decode_rgb(content: bytes, where: str) -> np.ndarray:
    """Return an encoded image as uint8 (H, W, 3), a grey one with its channel copied; `where` names it in an error."""
    try:
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    except (OSError, TypeError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{where} is no image that can be decoded ({error})") from error
