"""What a study costs before anything is measured: `python -m lib.bench.cost STUDY`.

Counted are operations, parameters, steps and bytes. Assumed is what a GPU makes of them, in two numbers: the TFLOP/s it
sustains, which can be replaced, and the least time of a step. As soon as runs have records, `make plan` knows better.
"""

import argparse

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from lib.errors import ParameterError, one_line
from lib.pytorch.models import build, parameters
from lib.study.datasets import DATASETS
from lib.study.params import Cell, Study, load_study
from lib.training.protocol import evaluation_images, steps_per_epoch

SUSTAINED_TFLOPS = 12.0
"""A third of the 37.4 float32 TFLOP/s that an A40's data sheet names: an assumption for networks on small images."""

LEAST_STEP_SECONDS = 0.04
"""A step of a deep network takes about so long however little it computes: some thousand kernels must be started."""

TRAINING_PASSES = 3
"""A training step is a forward pass and a backward pass of about twice its cost."""


def forward_flops(model: str, size: int, classes: int) -> int:
    """Count the floating-point operations of one image's forward pass: two for each multiply-add.

    Convolutions and matrix products count, as in PyTorch's `FlopCounterMode`; the rest is small beside them.
    """
    with torch.device("meta"):
        network, image = build(model, size, classes).eval(), torch.empty(1, 3, size, size)
        with FlopCounterMode(display=False) as counter:
            network(image)
    return counter.get_total_flops()


def estimate(study: Study, tflops: float = SUSTAINED_TFLOPS) -> pd.DataFrame:
    """Return a row a network: `dataset`, `model`, `runs`, `gflop_per_image`, `hours_per_run`, `hours` and `gib`.

    Hours are those of one GPU that sustains `tflops` TFLOP/s; mixed precision counts as float32, which it should beat.
    The disk's GiB are the best checkpoints and the test logits.

    Raises:
        ParameterError: the study has runs in float64, which are many times slower, and how many depends on the GPU.
    """
    if "fp64" in study.precisions:
        raise ParameterError(f"{study.name}: what float64 costs is not estimated; leave fp64 out of `precisions`")
    rows = []
    for (dataset, model), cells in _by_network(study).items():
        facts = DATASETS[dataset]
        flops = forward_flops(model, facts.size, facts.classes)
        hours = _seconds(cells[0], flops / (tflops * 1e12)) / 3600
        gib = len(cells) * (_weights(dataset, model) + 2 * facts.test * facts.classes) / 2**30
        rows.append((dataset, model, len(cells), flops / 1e9, hours, hours * len(cells), gib))
    return pd.DataFrame(rows, columns=["dataset", "model", "runs", "gflop_per_image", "hours_per_run", "hours", "gib"])


def stores_gib(study: Study) -> float:
    """Return the GiB of the datasets' stores: every image, a byte a channel and pixel."""
    datasets = [DATASETS[name] for name in study.datasets]
    return sum((facts.train + facts.test) * facts.size**2 * 3 for facts in datasets) / 2**30


def resume_gib(study: Study) -> float:
    """Return the GiB that `last/` takes at most while the largest network is trained, and until a stopped run goes on.

    A state is the weights and their momentum, and the old one stays until the new one is whole.
    """
    return max(2 * 2 * _weights(*network) for network in _by_network(study)) / 2**30


def _weights(dataset: str, model: str) -> int:
    """Return the bytes of a network's weights in float32."""
    facts = DATASETS[dataset]
    with torch.device("meta"):
        return 4 * parameters(build(model, facts.size, facts.classes))


def _by_network(study: Study) -> dict[tuple[str, str], list[Cell]]:
    networks: dict[tuple[str, str], list[Cell]] = {}
    for cell in study.cells:
        networks.setdefault((cell.dataset, cell.model), []).append(cell)
    return networks


def _seconds(cell: Cell, forward: float) -> float:
    """Return a run's seconds, where an image's forward pass takes `forward` seconds: training, validation and test."""
    facts, settings = DATASETS[cell.dataset], cell.settings
    steps = steps_per_epoch(settings, min(settings.train_samples or facts.train, facts.train - facts.val))
    limit = evaluation_images(settings) or facts.train
    step = max(TRAINING_PASSES * settings.batch_size * forward, LEAST_STEP_SECONDS)
    validated = min(facts.val, limit) * forward
    return settings.epochs * (steps * step + validated) + min(facts.test, limit) * forward


def main() -> None:
    """Read the command line and print the estimate."""
    parser = argparse.ArgumentParser(prog="python -m lib.bench.cost", description="Estimate a study's GPU hours.")
    parser.add_argument("study", help="a file's stem in params/studies")
    parser.add_argument("--tflops", type=float, default=SUSTAINED_TFLOPS, help="what the GPU sustains, in TFLOP/s")
    arguments = parser.parse_args()
    with one_line():
        study = load_study(arguments.study)
        table = estimate(study, arguments.tflops)
    shown = Table("dataset", "model", "runs", "GFLOP an image", "h a run", "h", "GiB", box=None)
    for row in table.itertuples(index=False):
        shown.add_row(row.dataset, row.model, str(row.runs), *(f"{value:.2f}" for value in row[3:]))
    Console().print(shown)
    print(
        f"{table.runs.sum()} runs: about {table.hours.sum():.0f} GPU hours. Operations are counted; assumed are "
        f"{arguments.tflops:g} TFLOP/s sustained and {1000 * LEAST_STEP_SECONDS:.0f} ms a step at least.\n"
        f"Disk: {table.gib.sum():.1f} GiB for the runs, {stores_gib(study):.1f} GiB for the data, and "
        f"{resume_gib(study):.1f} GiB for each run that is under way or was stopped."
    )


if __name__ == "__main__":
    main()
