"""The cost of runs: recipes, epochs, time on this machine, and disk: `python -m lib.bench.preflight STUDY RUN ...`.

A few training steps of each network are timed in PyTorch, on random images, and kept in `executed/`. Keras' runs are
taken to cost the same. Loading and augmentation are not timed, since worker processes do both beside the training. A
run on several devices is timed on one, without the exchange of gradients.
"""

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch.nn import functional
from tqdm import tqdm

from lib import environment, files, imports, paths
from lib.bench.cost import TRAINING_PASSES, resume_gib, run_gib, seconds, size, stores_gib
from lib.bench.disk import free_gib, require_room
from lib.bench.printing import print_table
from lib.clock import duration
from lib.errors import DataError, ParameterError, UserError, one_line
from lib.pytorch.kernels import configure
from lib.pytorch.learner import PyTorchLearner
from lib.pytorch.networks import build
from lib.pytorch.optimizers import average, optimizer
from lib.runs import estimates
from lib.runs.digests import code, digest_of
from lib.study.cells import Cell
from lib.study.datasets import DATASETS
from lib.study.loading import load_study
from lib.study.models import find
from lib.study.settings import Settings
from lib.study.study import BASE, Study
from lib.training.learner import evaluation_batch

STEPS = 2
"""How many steps are timed after a first one; the shortest counts."""

CPU_FLOPS = 5e9
"""Floating-point operations of a timed step's forward pass without a GPU, where time is proportional to the images."""


class Times(NamedTuple):
    """Seconds of training: the two passes for each `image` of a micro-batch, and the optimizer's for each `update`."""

    image: float
    update: float

    def step(self, settings: Settings) -> float:
        """Return the seconds of one update; GPUs divide its images, and processes share the cores of one."""
        images = settings.batch_size / (settings.devices if torch.cuda.is_available() else 1)
        return images * self.image + self.update


def estimate(study: Study, cells: Sequence[Cell]) -> pd.DataFrame:
    """Return the cost of cells of a study on this machine, one row per dataset, model, recipe and number of epochs.

    The seconds of each run are kept, for the plan of a sweep.

    Returns:
        `dataset`, `model`, `recipe`, `epochs`, `arms` that have them, `runs`, `ms` of an update, `seconds_per_run`,
        `seconds`, and `gib` of the finished runs. Where arms differ in cost, a row has their means and sums. An
        interrupted run counts as a whole one.

    Raises:
        ParameterError: a micro-batch does not fit into the GPU's memory.
    """
    timed_cells = [cell.model_copy(update={"framework": "pytorch"}) for cell in cells]  # what Keras' are taken to cost
    known = times(timed_cells)
    rows, kept = [], {}
    for cell, run in zip(timed_cells, cells, strict=True):
        timed = known[_key(cell)]
        step = timed.step(cell.settings)
        recipe = study.recipe(find(cell.model)) or "none"
        costs = (1000 * step, seconds(cell, step, timed.image / TRAINING_PASSES), run_gib(cell))
        rows.append((cell.dataset, cell.model, recipe, cell.settings.epochs, cell.arm or BASE, *costs))
        kept[run.name] = costs[1]
    estimates.write(kept)
    by = ["dataset", "model", "recipe", "epochs"]
    return (
        pd.DataFrame(rows, columns=[*by, "arm", "ms", "seconds", "gib"])
        .groupby(by, sort=False, as_index=False)
        .agg(
            arms=("arm", lambda arms: ", ".join(dict.fromkeys(arms))),
            runs=("seconds", "size"),
            ms=("ms", "mean"),
            seconds_per_run=("seconds", "mean"),
            seconds=("seconds", "sum"),
            gib=("gib", "sum"),
        )
    )


def times(cells: Iterable[Cell]) -> dict[str, Times]:
    """Return the times of the cells' training by what they depend on; each is measured once.

    Raises:
        ParameterError: a micro-batch does not fit into the GPU's memory.
    """
    path = paths.EXECUTED / ".steps.json"
    try:
        known = files.read_sealed(path)
    except (OSError, DataError):
        known = {}
    kinds = {_key(cell): cell for cell in cells}
    missing = {key: cell for key, cell in kinds.items() if key not in known}
    for key, cell in tqdm(missing.items(), "timing a few steps", unit=" networks", disable=not missing):
        known[key] = _measure(cell)
        files.write_sealed(path, known)
    return {key: Times(*known[key]) for key in kinds}


def _key(cell: Cell) -> str:
    """Return a digest of all that a step's time depends on: network, optimizer, precision, images, code and machine."""
    settings = cell.settings
    update = (settings.optimizer, cell.conventions, settings.regularisation.average > 0)
    options = (sorted(settings.network.items()), update, settings.tf32, settings.execution)
    work = (cell.dataset, cell.model, cell.precision, _images(cell), options, _machine())
    return digest_of({"code": _code(cell.model).encode(), "work": repr(work).encode()})


@cache
def _code(model: str) -> str:
    return digest_of(code("pytorch", model, imports.modules()))


@cache
def _machine() -> tuple[str, ...]:
    described = environment.describe()
    return tuple(described[part] for part in ("torch", "cpu", "gpu"))


def _images(cell: Cell) -> int:
    """Return the number of images in a timed step: a micro-batch on a GPU, fewer on a CPU."""
    micro = evaluation_batch(cell.settings)
    return micro if torch.cuda.is_available() else min(micro, 2 + int(CPU_FLOPS / size(cell).flops))


def _measure(cell: Cell) -> Times:
    """Return the times of a cell's training, each the shortest of a few.

    Raises:
        ParameterError: the images do not fit into the GPU's memory.
    """
    images = _images(cell)
    try:
        passes, update = _step(cell, images)
        timed = [(_timed(passes), _timed(update)) for _ in range(1 + STEPS)]
    except torch.OutOfMemoryError:
        raise ParameterError(
            f"{cell.name}: {images} images at a time do not fit into the GPU's memory: raise accumulation_steps"
        ) from None
    image, once = (min(seconds) for seconds in zip(*timed, strict=True))
    return Times(image / images, once)


def _step(cell: Cell, images: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return the two parts of a training step on random images: the passes of a micro-batch, and the update."""
    facts, settings = DATASETS[cell.dataset], cell.settings
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    configure(cell.seed, settings.tf32, settings.execution)
    kind = torch.float64 if cell.precision == "fp64" else torch.float32
    order = torch.channels_last if settings.execution.channels_last else torch.preserve_format
    network = build(cell.model, facts.shape, facts.classes, options=settings.network)
    network.to(device, kind, memory_format=order).train()
    optimizing = optimizer(network, settings.optimizer, cell.conventions, settings.execution.fused)
    averaged = average(network, settings.regularisation)
    height, width, channels = facts.shape
    inputs = torch.randn(images, channels, height, width, device=device, dtype=kind).to(memory_format=order)
    labels = torch.zeros(images, dtype=torch.int64, device=device)
    amp_type = PyTorchLearner.amp_types[device.type]

    def passes() -> None:
        with torch.autocast(device.type, amp_type, enabled=cell.precision == "amp"):
            logits = network(inputs)
        functional.cross_entropy(logits.to(kind), labels).backward()

    def update() -> None:
        optimizing.step()
        if averaged:
            averaged.update(network)
        optimizing.zero_grad()

    return passes, update


def _timed(part: Callable[[], None]) -> float:
    start = time.perf_counter()
    part()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Read the command line and print the estimate."""
    parser = argparse.ArgumentParser(prog="python -m lib.bench.preflight", description="Estimate runs' cost here.")
    parser.add_argument("study", help="a file's stem in params/studies")
    parser.add_argument("runs", nargs="+", metavar="run", help="a run's name")
    parser.add_argument("--at-once", type=int, default=1, help="how many runs train at the same time")
    arguments = parser.parse_args()
    with one_line():
        study = load_study(arguments.study)
        cells = [study.cell(name) for name in arguments.runs]
        report(study, cells, estimate(study, cells))
        try:
            require_room(study.name, cells, arguments.at_once)
        except UserError as problem:
            print(f"a sweep would be refused: {problem}")


def report(study: Study, cells: Sequence[Cell], table: pd.DataFrame) -> None:
    """Print an estimate; the arms are named if those of one network differ in their epochs."""
    named = ["arms"] if table.duplicated(["dataset", "model"]).any() else []
    numbers = ("epochs", "runs", "ms a step", "a run", "all", "GiB")
    print_table(("dataset", "model", "recipe", *named), numbers, (_row(row, named) for row in table.itertuples()))
    where = f"the GPU {environment.nvidia('name')}" if torch.cuda.is_available() else _machine()[1]
    runs = "1 run" if table.runs.sum() == 1 else f"{table.runs.sum()} runs"
    print(
        f"{runs}, one after another: about {duration(table.seconds.sum())} of training on {where}, "
        f"from {STEPS} steps of each network\n"
        f"disk: {table.gib.sum():.1f} GiB for the runs, {stores_gib(study):.1f} GiB for the data, and "
        f"{resume_gib(cells):.1f} GiB for each run that is under way or was stopped; {free_gib():,.1f} GiB are free"
    )
    if any(cell.settings.devices > 1 for cell in cells):
        print("a run on several devices was timed on one, without the exchange of gradients")


def _row(row: Any, named: list[str]) -> tuple[str, ...]:
    words = (row.dataset, row.model, row.recipe, *(getattr(row, column) for column in named))
    costs = (f"{row.ms:,.0f}", duration(row.seconds_per_run), duration(row.seconds))
    return *words, str(row.epochs), str(row.runs), *costs, f"{row.gib:,.2f}"


if __name__ == "__main__":
    main()
