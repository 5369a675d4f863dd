"""Several devices: one process for each, which trains an equal part of every micro-batch.

The process that has the learner is rank 0. It starts the others, the workers, when its first epoch begins, sends them
each step, and is the only one that evaluates and writes. `accelerate` averages gradients over the ranks and normalises
batches over all of them, so that an update is that of one device, but for the order in which floats are added. Only
dropout and stochastic depth use other random numbers than on one device: each rank has its own.
"""

import copy
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import ClassVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from timm.layers import convert_sync_batchnorm
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lib.errors import TrainingError
from lib.processes import bound
from lib.pytorch.normalization import BiasedBatchNorm2d
from lib.study.cells import Cell

HOST = "127.0.0.1"
"""The address of every rank: a run's devices are those of one machine."""

PATIENCE = 10
"""Seconds from the end of a worker to the failure of its run; a collective operation on a GPU would never return."""


class OneDevice:
    """The only device of a run: there are no calls to send and no gradients to exchange."""

    def told(self, name: str, *arguments: float) -> AbstractContextManager[None]:
        """Make all other ranks call the learner's method `name`, while the block does the same here."""
        return nullcontext()

    def exchanging(self, last: bool) -> AbstractContextManager[None]:
        """Exchange gradients in the block's backward pass if it is that of an update's last micro-batch."""
        return nullcontext()

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over all ranks."""
        return values

    def loaded(self, path: Path) -> None:
        """Note that rank 0 has loaded a state."""


class Rank(OneDevice):
    """One of several devices: its process group, and its twin of the network."""

    def __init__(self, rank: int, devices: int, meeting: int) -> None:
        self._rank, self._devices, self._meeting = rank, devices, meeting
        self._accelerator = self._network = None

    def trained(self, network: nn.Module) -> nn.Module:
        """Return a twin of the network with its parameters, which exchanges gradients, once all ranks are connected."""
        if not self._network:
            self._accelerator = _met(self._rank, self._devices, self._store())
            self._network = self._accelerator.prepare_model(convert_sync_batchnorm(_sharing(network).train()))
        return self._network

    def _store(self) -> distributed.Store:
        return distributed.TCPStore(HOST, self._meeting)

    def exchanging(self, last: bool) -> AbstractContextManager[None]:
        """Exchange gradients in the block's backward pass if it is that of an update's last micro-batch."""
        return nullcontext() if last else self._accelerator.no_sync(self._network)

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over all ranks."""
        return self._accelerator.reduce(values, "sum")


class Leader(Rank):
    """Rank 0, which starts the workers; they end when it ends."""

    def __init__(self, cell: Cell) -> None:
        self._cell, self._workers, self._state = cell, None, None
        super().__init__(0, cell.settings.devices, 0)

    def _store(self) -> distributed.Store:
        return self._workers.store

    @contextmanager
    def told(self, name: str, *arguments: float) -> Iterator[None]:
        """Make all workers call the learner's method `name`, while the block does the same here.

        Raises:
            TrainingError: a worker died.
        """
        try:
            if not self._workers:
                self._start()
            with self._workers.waited_for():
                self._workers.tell(name, *arguments)
                yield
        except BaseException as problem:  # whatever it is, the ranks are no longer at the same step
            lost = isinstance(problem, RuntimeError | OSError) and not isinstance(problem, torch.OutOfMemoryError)
            death = self._workers.death(PATIENCE) if lost and self._workers else ""
            self._end()
            if death:
                raise TrainingError(f"{self._cell.name}: {death}") from None
            raise

    def loaded(self, path: Path) -> None:
        """Note that the next workers start from this state, which rank 0 has loaded."""
        self._end()
        self._state = path

    def _start(self) -> None:
        self._workers = Workers(self._devices)
        weakref.finalize(self, self._workers.end)
        self._workers.begin(self._cell)
        if self._state:
            self._workers.tell("load_state", str(self._state))

    def _end(self) -> None:
        if self._workers:
            self._workers.end()
            self._workers = self._network = None


class Workers:
    """The processes of ranks 1 and above, which read the calls to make from their standard input.

    A process has one group of workers at a time: a new one replaces the one before.
    """

    newest: ClassVar["Workers | None"] = None

    def __init__(self, devices: int) -> None:
        if Workers.newest:
            Workers.newest.end()
        self.store = distributed.TCPStore(HOST, 0, is_master=True, wait_for_workers=False)
        self._devices, self._waited_for, self._over = devices, False, threading.Event()
        self._words = {rank: tempfile.TemporaryFile() for rank in range(1, devices)}  # noqa: SIM115 (closed at the end)
        self._processes = {rank: self._started(rank) for rank in self._words}
        Workers.newest = self
        threading.Thread(target=self._watch, daemon=True).start()

    def _started(self, rank: int) -> subprocess.Popen:
        command = [sys.executable, "-m", "lib.pytorch.worker", str(rank), str(self.store.port)]
        return subprocess.Popen(
            bound(command, signal.SIGKILL),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words[rank],
            text=True,
            bufsize=1,
            start_new_session=True,  # an interrupt is for the notebook's process alone
        )

    def begin(self, cell: Cell) -> None:
        """Send every worker the cell, and wait until each has made its learner; `OSError` if one ends."""
        for process in self._processes.values():
            process.stdin.write(f"{cell.model_dump_json()}\n")
        for process in self._processes.values():
            if not process.stdout.readline():
                raise BrokenPipeError

    def tell(self, name: str, *arguments: float | str) -> None:
        """Send every worker a call of its learner's method `name`; `OSError` if one has ended."""
        for process in self._processes.values():
            if process.poll() is not None:
                raise BrokenPipeError
            process.stdin.write(f"{json.dumps([name, *arguments])}\n")

    @contextmanager
    def waited_for(self) -> Iterator[None]:
        """Mark the block as one in which this process waits for the workers."""
        self._waited_for = True
        try:
            yield
        finally:
            self._waited_for = False

    def death(self, patience: float = 0) -> str:
        """Return which worker ended and how, or an empty string if none ends within `patience` seconds.

        The end of one makes the others of its group fail, so one that was killed is named first.
        """
        deadline = time.monotonic() + patience
        while True:
            ended = {rank: process.poll() for rank, process in self._processes.items()}
            dead = [rank for rank, code in ended.items() if code is not None]
            if dead or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        if not dead:
            return ""
        first = min(dead, key=ended.get)
        how = f"died (signal {-ended[first]})" if ended[first] < 0 else f"failed: {self._last_word(first)}"
        return f"rank {first} of {self._devices} {how}"

    def _last_word(self, rank: int) -> str:
        self._words[rank].seek(0)
        lines = self._words[rank].read().decode(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("error: ") if lines else "without a word"

    def _watch(self) -> None:
        """End this process if it still waits for the workers `PATIENCE` seconds after one has ended."""
        seconds = 0
        while not self._over.wait(1):
            death = self.death() if self._waited_for else ""
            seconds = seconds + 1 if death else 0
            if seconds > PATIENCE:
                os.write(2, f"{death}\n".encode())
                time.sleep(1)  # until a notebook's kernel has forwarded it
                os._exit(1)

    def end(self) -> None:
        """End every worker, and return when none is left."""
        self._over.set()
        for rank, process in self._processes.items():
            process.kill()
            process.wait()
            for file in (process.stdin, process.stdout, self._words[rank]):
                with suppress(OSError):  # what was not yet written
                    file.close()


def ranks(cell: Cell, rank: int = 0, meeting: int | None = None) -> OneDevice:
    """Return the device of a process in a cell's run: a worker's if `meeting` is given, the port of the ranks' store.

    Raises:
        TrainingError: there are fewer GPUs than devices.
    """
    devices, gpus = cell.settings.devices, torch.cuda.device_count()
    if devices == 1:
        return OneDevice()
    if gpus and gpus < devices:
        raise TrainingError(f"{cell.name}: devices: {devices}, but there are only {gpus} GPUs here")
    return Rank(rank, devices, meeting) if meeting else Leader(cell)


def require_one_batch(network: nn.Module, cell: Cell) -> None:
    """Refuse to train a network on several devices that would not normalise their images as one batch.

    Raises:
        TrainingError: it has a batch normalisation for which there is none across devices.
    """
    if cell.settings.devices == 1:
        return
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    problem = ""
    if layers and not torch.cuda.is_available():
        problem = "PyTorch's batch normalisation across processes (SyncBatchNorm) needs GPUs"
    if any(isinstance(layer, BiasedBatchNorm2d) for layer in layers):
        problem = "there is no batch normalisation across devices with the running variance of Keras"
    if problem:
        raise TrainingError(f"{cell.name}: {problem}: set devices: 1, or train a network without batch normalisation")


def _sharing(network: nn.Module) -> nn.Module:
    """Return a copy of a network with the same parameters and buffers, not copies of them.

    Its batch normalisations can become those of several devices, while the network itself evaluates on one.
    """
    return copy.deepcopy(network, {id(one): one for one in (*network.parameters(), *network.buffers())})


def _met(rank: int, devices: int, store: distributed.Store) -> Accelerator:
    """Connect to the other ranks, after closing the process group of an earlier learner of this process."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
        AcceleratorState._reset_state(reset_partial_state=True)
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(rank)
    distributed.init_process_group("nccl" if gpu else "gloo", store=store, rank=rank, world_size=devices)
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": devices, "LOCAL_WORLD_SIZE": devices}
    os.environ |= {name: str(number) for name, number in place.items()}  # from which accelerate reads them
    with warnings.catch_warnings(action="ignore"):  # about dividing the cores among the ranks
        return Accelerator(cpu=not gpu, mixed_precision="no")
