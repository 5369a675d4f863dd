"""Slots: what a run gets of a machine, a GPU or as many threads as a part of its cores, and no other run meanwhile.

No thread is bound to a core. A slot is held by locks in one folder for the whole machine, so that sweeps of any study
and any project share it.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from lib import environment, files
from lib.errors import ParameterError

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
"""The variables from which OpenMP, the linear algebra of NumPy and PyTorch, and TensorFlow take a number of threads."""

_FOR_ALL_USERS = 0o666


class Slot(NamedTuple):
    """A name, the environment variables of a run in it, and what no other slot may have at the same time."""

    name: str
    environment: dict[str, str]
    units: tuple[str, ...]


class _Taken(Exception):
    """Another process has a unit."""


def slots(at_once: int | None = None, devices: int = 1) -> list[Slot]:
    """Return the slots of this machine for runs on so many devices, of which `at_once` may be used at the same time.

    They are its visible GPUs; without one, its cores in `at_once` equal parts, by default a single one.

    Raises:
        ParameterError: `at_once` is more than there are GPUs, or cores.
    """
    gpus, cores = environment.visible_gpus(), environment.core_numbers()
    places = len(gpus) or len(cores)
    if at_once is not None and not 1 <= at_once <= places:
        raise ParameterError(f"JOBS={at_once}: this machine has {places} {'GPUs' if gpus else 'cores'}")
    if not gpus:
        parts = at_once or 1
        shares = [cores[part * places // parts : (part + 1) * places // parts] for part in range(parts)]
        return [_on_cores(share, parts) for share in shares]
    threads = max(1, len(cores) // places)
    groups = [gpus[first : first + devices] for first in range(0, max(1, places - devices + 1), devices)]
    return [_on_gpus(group, threads * len(group), at_once or places) for group in groups]


def at_once(wanted: int | None) -> int:
    """Return how many runs a sweep starts at the same time, if each is on one device."""
    found = slots(wanted)
    return wanted or len(found)


def _on_cores(cores: Sequence[int], parts: int) -> Slot:
    name = f"cores {cores[0]} to {cores[-1]}" if len(cores) > 1 else f"core {cores[0]}"
    return Slot(name, _settings(len(cores), parts), tuple(f"core-{core}" for core in cores))


def _on_gpus(gpus: Sequence[environment.Gpu], threads: int, parts: int) -> Slot:
    numbers = ",".join(gpu.index for gpu in gpus)
    # By default CUDA counts the fastest GPU first, and nvidia-smi by the bus.
    pinned = {"CUDA_VISIBLE_DEVICES": numbers, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return Slot(f"GPU {numbers}", _settings(threads, parts) | pinned, tuple(gpu.uuid for gpu in gpus))


def _settings(threads: int, parts: int) -> dict[str, str]:
    return dict.fromkeys(_THREADS, str(threads)) | {environment.AT_ONCE: str(parts)}


@contextmanager
def claimed(slots: Sequence[Slot]) -> Iterator[dict[str, str]]:
    """Hold the first free slot until the block ends, and yield its environment; wait, and say so, while none is."""
    with ExitStack() as stack:
        told = False
        while (slot := _first_free(slots, stack)) is None:
            if not told:
                print(f"waiting for a slot: {', '.join(slot.name for slot in slots)} in use", flush=True)
                told = True
            time.sleep(0.5)
        yield slot.environment


def _first_free(slots: Sequence[Slot], stack: ExitStack) -> Slot | None:
    """Return the first slot whose units are all free, and hold them in the stack."""
    for slot in slots:
        with ExitStack() as units:
            try:
                for unit in slot.units:
                    units.enter_context(files.held(_folder() / unit, _Taken(), mode=_FOR_ALL_USERS))
            except _Taken:
                continue
            stack.push(units.pop_all())
            return slot
    return None


def _folder() -> Path:
    """Return the folder of the locks, in which every user of the machine may write."""
    folder = Path(os.environ.get("PAIRED_SLOTS") or Path(tempfile.gettempdir()) / "paired-seeds-slots")
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
    return folder
