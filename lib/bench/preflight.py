"""A study before it runs: recipes, epochs, hours on this machine, and disk: `python -m lib.bench.preflight STUDY`.

A few training steps of each network are timed in PyTorch, on random images, and kept in `executed/`. Keras' runs are
taken to cost the same. Loading and augmentation are not timed, since worker processes do both beside the training.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import pandas as pd
import torch
from torch.nn import functional
from tqdm import tqdm

from lib import environment, files, imports, paths
from lib.bench.cost import TRAINING_PASSES, resume_gib, run_gib, seconds, size, stores_gib
from lib.bench.printing import print_table
from lib.errors import DataError, ParameterError, one_line
from lib.pytorch.learner import PyTorchLearner, make_deterministic
from lib.pytorch.networks import build
from lib.pytorch.optimizers import optimizer
from lib.runs import estimates
from lib.runs.digests import code, digest_of
from lib.study.cells import Cell
from lib.study.datasets import DATASETS
from lib.study.loading import load_study
from lib.study.models import find
from lib.study.study import Study
from lib.training.learner import evaluation_batch

STEPS = 2
"""How many steps are timed after a first one; the shortest counts."""

CPU_FLOPS = 5e9
"""Floating-point operations of a timed step's forward pass without a GPU, where time is proportional to the images."""


def estimate(study: Study) -> pd.DataFrame:
    """Return the cost of a study on this machine, one row per dataset, model, recipe and number of epochs.

    The estimated seconds of each run are kept, for the plan of a sweep.

    Returns:
        `dataset`, `model`, `recipe`, `epochs`, `runs`, `ms` of an update, `hours_per_run`, `hours`, and `gib` of the
        finished runs. Where arms differ in cost, a row has their means and sums.

    Raises:
        ParameterError: a micro-batch does not fit into the GPU's memory.
    """
    times = image_seconds(study.cells)
    rows, kept = [], {}
    for cell in study.cells:
        image = times[_key(cell)]
        step = image * cell.settings.batch_size
        hours = seconds(cell, step, image / TRAINING_PASSES) / 3600
        kept[cell.name] = 3600 * hours
        recipe = study.recipe(find(cell.model)) or "none"
        rows.append((cell.dataset, cell.model, recipe, cell.settings.epochs, 1000 * step, hours, run_gib(cell)))
    estimates.write(kept)
    by = ["dataset", "model", "recipe", "epochs"]
    return (
        pd.DataFrame(rows, columns=[*by, "ms", "hours", "gib"])
        .groupby(by, sort=False, as_index=False)
        .agg(
            runs=("hours", "size"),
            ms=("ms", "mean"),
            hours_per_run=("hours", "mean"),
            hours=("hours", "sum"),
            gib=("gib", "sum"),
        )
    )


def image_seconds(cells: Iterable[Cell]) -> dict[str, float]:
    """Return the seconds of a training step for each of its images, by what they depend on; each is measured once.

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
    return {key: known[key] for key in kinds}


def _key(cell: Cell) -> str:
    """Return a digest of all that a step's time depends on: network, optimizer, precision, images, code and machine."""
    settings = cell.settings
    options = (sorted(settings.network.items()), settings.optimizer, settings.tf32)
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


def _measure(cell: Cell) -> float:
    """Return the seconds of a training step for each of its images.

    Raises:
        ParameterError: the images do not fit into the GPU's memory.
    """
    images = _images(cell)
    try:
        step = _step(cell, images)
        return min(_timed(step) for _ in range(1 + STEPS)) / images
    except torch.OutOfMemoryError:
        raise ParameterError(
            f"{cell.name}: {images} images at a time do not fit into the GPU's memory: raise accumulation_steps"
        ) from None


def _step(cell: Cell, images: int) -> Callable[[], None]:
    """Return a function that makes one update from random images."""
    facts, settings = DATASETS[cell.dataset], cell.settings
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    make_deterministic(cell.seed, settings.tf32)
    kind = torch.float64 if cell.precision == "fp64" else torch.float32
    network = build(cell.model, facts.shape, facts.classes, options=settings.network).to(device, kind).train()
    optimizing = optimizer(network.parameters(), settings.optimizer, cell.conventions)
    height, width, channels = facts.shape
    inputs = torch.randn(images, channels, height, width, device=device, dtype=kind)
    labels = torch.zeros(images, dtype=torch.int64, device=device)
    amp_type = PyTorchLearner.amp_types[device.type]

    def step() -> None:
        optimizing.zero_grad()
        with torch.autocast(device.type, amp_type, enabled=cell.precision == "amp"):
            logits = network(inputs)
        functional.cross_entropy(logits.to(kind), labels).backward()
        optimizing.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def _timed(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main() -> None:
    """Read the command line and print the estimate."""
    parser = argparse.ArgumentParser(prog="python -m lib.bench.preflight", description="Estimate a study's cost here.")
    parser.add_argument("study", help="a file's stem in params/studies")
    with one_line():
        study = load_study(parser.parse_args().study)
        table = estimate(study)
    words, numbers = ("dataset", "model", "recipe"), ("epochs", "runs", "ms a step", "h a run", "h", "GiB")
    print_table(words, numbers, map(_row, table.itertuples(index=False)))
    where = f"the GPU {environment.nvidia('name')}" if torch.cuda.is_available() else _machine()[1]
    print(
        f"the whole study, {table.runs.sum()} runs: about {table.hours.sum():,.1f} h of training on {where}, from "
        f"{STEPS} steps of each network\n"
        f"disk: {table.gib.sum():.1f} GiB for the runs, {stores_gib(study):.1f} GiB for the data, and "
        f"{resume_gib(study):.1f} GiB for each run that is under way or was stopped"
    )


def _row(row: Any) -> tuple[str, ...]:
    costs = (f"{value:,.2f}" for value in (row.hours_per_run, row.hours, row.gib))
    return row.dataset, row.model, row.recipe, str(row.epochs), str(row.runs), f"{row.ms:,.0f}", *costs


if __name__ == "__main__":
    main()
