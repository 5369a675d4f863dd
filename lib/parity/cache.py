"""The results of rungs, kept for all studies in `executed/.parity`.

A result is valid as long as its digest: of the sources that compute it, the versions of the libraries, and the device.
The sources are those of both frameworks' rooms, the rungs, and the model's own family: an edited family leaves the
results of the others valid.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lib import environment, imports, kept, paths
from lib.runs.digests import digest_of, sources_of
from lib.study.conventions import Framework

_ROOMS = ("parity", "keras", "pytorch", "training", "data")
_MACHINE = ("torch", "torchvision", "keras", "tensorflow", "numpy", "cpu", "gpu")
_SOURCES = imports.modules()
"""The sources at this process's start, which are those of the loaded modules."""


class Key(NamedTuple):
    """A result: a rung for one model at one size, with twins that follow the reference."""

    rung: str
    model: str
    size: int
    reference: Framework

    @property
    def path(self) -> Path:
        """The file of the result; a later one overwrites it."""
        return paths.EXECUTED / ".parity" / f"{'_'.join(map(str, self))}.json"


def table(key: Key, answer: Callable[[], pd.DataFrame], fresh: bool = False) -> tuple[pd.DataFrame, bool]:
    """Return a result and whether it was in the cache; one that was not, or is damaged, is computed and kept."""
    return kept.table(key.path, _digest(key.model), answer, fresh)


@cache
def _digest(model: str) -> str:
    """Return the digest of all that a model's results depend on."""
    return digest_of(sources(model) | {"machine": repr(_machine()).encode()})


def sources(model: str) -> dict[str, bytes]:
    """Return the sources that compute a model's results, and the model's row, by name."""
    return sources_of(model, ["lib.parity.rungs"], _ROOMS, _SOURCES)


def _machine() -> dict[str, str]:
    described = environment.describe()
    return {part: described[part] for part in _MACHINE} | {"gpu_wanted": str(environment.gpu_wanted())}
