"""The cost of a study before anything is measured: `python -m lib.bench.cost STUDY`.

Operations, parameters, steps and bytes are counted. Two numbers are assumed: the TFLOP/s that a GPU sustains, which the
command can replace, and the shortest step. `lib.bench.preflight` measures instead, on the machine at hand.
"""

import argparse
import math
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from lib.bench.printing import print_table
from lib.errors import ParameterError, one_line
from lib.pytorch.networks import build, multiply_adds, parameters
from lib.pytorch.optimizers import optimizer
from lib.study.cells import Cell
from lib.study.datasets import DATASETS
from lib.study.loading import load_study
from lib.study.study import Study
from lib.training.learner import evaluation_images, steps_per_epoch

SUSTAINED_TFLOPS = 12.0
"""A third of the 37.4 float32 TFLOP/s in an A40's data sheet: an assumption for networks on small images."""

LEAST_STEP_SECONDS = 0.04
"""The shortest step of a deep network, even with little to compute: it starts about a thousand kernels."""

TRAINING_PASSES = 3
"""A training step in forward passes: one forward, and one backward of about twice its cost."""


class Size(NamedTuple):
    """The cost of a network: the floating-point operations of one image's forward pass, and the parameters."""

    flops: int
    parameters: int


@cache
def network_size(dataset: str, model: str, options: tuple[tuple[str, Any], ...] = ()) -> Size:
    """Count the operations and the parameters of a network, with options as pairs, on a dataset's images.

    A multiply-add is two operations; all other operations are negligible.
    """
    facts = DATASETS[dataset]
    with torch.device("meta"):
        network = build(model, facts.shape, facts.classes, options=dict(options))
        return Size(2 * multiply_adds(network, facts.shape), parameters(network))


def estimate(study: Study, tflops: float = SUSTAINED_TFLOPS) -> pd.DataFrame:
    """Return rows by dataset and model: `dataset`, `model`, `runs`, `gflop_per_image`, `hours_per_run`, `hours`, `gib`.

    Where arms differ in cost, a row has their means and sums. Hours are those of one GPU that sustains `tflops`
    TFLOP/s; mixed precision counts as float32, which is slower. The GiB are the best checkpoints and the test logits.

    Raises:
        ParameterError: the study has runs in float64, whose cost is many times higher and depends on the GPU.
    """
    if "fp64" in study.precisions:
        raise ParameterError(f"{study.name}: what float64 costs is not estimated; leave fp64 out of `precisions`")
    rows = []
    for cell in study.cells:
        flops = size(cell).flops
        forward = flops / (tflops * 1e12)
        step = max(TRAINING_PASSES * cell.settings.batch_size * forward, LEAST_STEP_SECONDS)
        rows.append((cell.dataset, cell.model, flops / 1e9, seconds(cell, step, forward) / 3600, run_gib(cell)))
    runs = pd.DataFrame(rows, columns=["dataset", "model", "gflop_per_image", "hours", "gib"])
    return runs.groupby(["dataset", "model"], sort=False, as_index=False).agg(
        runs=("hours", "size"),
        gflop_per_image=("gflop_per_image", "mean"),
        hours_per_run=("hours", "mean"),
        hours=("hours", "sum"),
        gib=("gib", "sum"),
    )


def run_gib(cell: Cell) -> float:
    """Return the GiB that a finished run takes: the best weights, and the test logits in float16."""
    facts = DATASETS[cell.dataset]
    return (_bytes(cell) * size(cell).parameters + 2 * facts.test * facts.classes) / 2**30


def stores_gib(study: Study) -> float:
    """Return the GiB of the datasets' stores: every image, one byte per channel and pixel."""
    datasets = [DATASETS[name] for name in study.datasets]
    return sum((facts.train + facts.test) * math.prod(facts.shape) for facts in datasets) / 2**30


def resume_gib(cells: Iterable[Cell]) -> float:
    """Return the most GiB of `last/` during a run, and until a stopped run is resumed.

    A state is the weights, what the optimizer keeps for each, and their average where the settings ask for one. The old
    state is removed after the new one is complete.
    """
    return max(2 * _bytes(cell) * _copies(cell) * size(cell).parameters for cell in cells) / 2**30


def _bytes(cell: Cell) -> int:
    """Return the bytes of a parameter; in mixed precision it is a float32."""
    return 8 if cell.precision == "fp64" else 4


def _copies(cell: Cell) -> int:
    """Return how many numbers a state holds for each parameter, from one step of the optimizer on a single number."""
    number = nn.Parameter(torch.zeros(1))
    number.grad = torch.zeros(1)
    stepped = optimizer(nn.ParameterList([number]), cell.settings.optimizer, cell.conventions)
    stepped.step()
    kept = [value for value in stepped.state[number].values() if isinstance(value, Tensor) and value.ndim]  # no counter
    return 1 + len(kept) + bool(cell.settings.regularisation.average)


def size(cell: Cell) -> Size:
    """Return the cost of a cell's network."""
    return network_size(cell.dataset, cell.model, tuple(sorted(cell.settings.network.items())))


def seconds(cell: Cell, step: float, forward: float) -> float:
    """Return a run's seconds for training, validation and test.

    `step` is the seconds of one update, `forward` those of one image's forward pass.
    """
    facts, settings = DATASETS[cell.dataset], cell.settings
    steps = steps_per_epoch(settings, min(settings.limits.train_samples or facts.train, facts.train - facts.val))
    limit = evaluation_images(settings) or facts.train
    validated, tested = (min(images, limit) * forward for images in (facts.val, facts.test))
    each = tested if settings.measurements.test_each_epoch else 0
    return settings.epochs * (steps * step + validated + each) + tested


def main() -> None:
    """Read the command line and print the estimate."""
    parser = argparse.ArgumentParser(prog="python -m lib.bench.cost", description="Estimate a study's GPU hours.")
    parser.add_argument("study", help="a file's stem in params/studies")
    parser.add_argument("--tflops", type=float, default=SUSTAINED_TFLOPS, help="what the GPU sustains, in TFLOP/s")
    arguments = parser.parse_args()
    with one_line():
        study = load_study(arguments.study)
        table = estimate(study, arguments.tflops)
    numbers = ("runs", "GFLOP an image", "h a run", "h", "GiB")
    rows = ((*row[:2], str(row[2]), *(f"{value:.2f}" for value in row[3:])) for row in table.itertuples(index=False))
    print_table(("dataset", "model"), numbers, rows)
    print(
        f"{table.runs.sum()} runs: about {table.hours.sum():.0f} GPU hours. Operations are counted; assumed are "
        f"{arguments.tflops:g} TFLOP/s sustained and {1000 * LEAST_STEP_SECONDS:.0f} ms a step at least.\n"
        f"Disk: {table.gib.sum():.1f} GiB for the runs, {stores_gib(study):.1f} GiB for the data, and "
        f"{resume_gib(study.cells):.1f} GiB for each run that is under way or was stopped."
    )


if __name__ == "__main__":
    main()
