"""The registry of models as a table, each network checked: `python -m lib.bench.models [NAME ...]`."""

import argparse
import sys
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from lib.bench.printing import print_table
from lib.errors import one_line
from lib.pytorch.networks import build, multiply_adds, parameters
from lib.study.models import MODELS, Model, find

CLASSES = 100
"""Those of CIFAR-100, for which the published parameters are counted."""

SIZE = 32
"""Height and width of the images, in pixels."""

TOLERANCE = 0.02
"""The share by which a count may differ from the published one before the model's row has to say why."""


class Check(NamedTuple):
    """What building, running and differentiating a network showed; `problems` are empty where all is well.

    `last_map` is the height of the last feature map in pixels, or of the last grid of tokens.
    """

    parameters: int
    multiply_adds: int
    last_map: int
    problems: tuple[str, ...]


def check(model: Model) -> Check:
    """Build a network for two images of CIFAR-100's shape, run it forward and backward, and compare its count."""
    torch.manual_seed(0)
    shape = (SIZE, SIZE, 3)
    network = build(model.name, shape, CLASSES)
    maps: list[int] = []
    for module in network.modules():
        module.register_forward_hook(lambda _module, _inputs, output: maps.extend(_height(output)))
    logits = network(torch.randn(2, 3, SIZE, SIZE))
    functional.cross_entropy(logits, torch.arange(2)).backward()
    problems = list(_problems(model, network, logits))
    return Check(parameters(network), multiply_adds(network, shape), maps[-1], tuple(problems))


def _height(output: object) -> Iterator[int]:
    """Yield the height of a square feature map (N, C, H, W) or (N, H, W, C) that is larger than one pixel."""
    if isinstance(output, Tensor) and output.ndim == 4:
        _, first, second, third = output.shape
        if third == second > 1:
            yield second
        elif first == second > 1:
            yield first


def _problems(model: Model, network: nn.Module, logits: Tensor) -> Iterator[str]:
    if logits.shape != (2, CLASSES):
        yield f"logits of shape {tuple(logits.shape)}"
    if not logits.isfinite().all():
        yield "logits that are not finite"
    if idle := [name for name, value in network.named_parameters() if value.grad is None]:
        yield f"{len(idle)} parameters without a gradient, {idle[0]} first"
    count = parameters(network)
    difference = relative(model, count)
    if model.note and count != model.note.parameters:
        yield f"{count:,} parameters, and the row's note is for {model.note.parameters:,}"
    elif difference is not None and abs(difference) > TOLERANCE and not model.note:
        yield f"parameters {difference:+.1%} from the published, and the row does not say why"


def relative(model: Model, count: int) -> float | None:
    """Return a count's difference from the published one as a share of it; None where none is published."""
    if model.published is None or model.published.parameters is None:
        return None
    published = model.published.parameters * 1e6
    return (count - published) / published


def main() -> None:
    """Read the command line, print the table, and exit with 1 if a check failed."""
    parser = argparse.ArgumentParser(prog="python -m lib.bench.models", description="List and check the models.")
    parser.add_argument("models", nargs="*", default=list(MODELS), metavar="model", help="a row of lib/study/models.py")
    with one_line():
        rows = [find(name) for name in parser.parse_args().models]
    checks = [(model, check(model)) for model in tqdm(rows, "checking", unit=" models", disable=None)]
    numbers = ("parameters, M", "published", "difference", "MACs, M", "last map")
    shown = ((model.name, *model.kind, *_numbers(model, found)) for model, found in checks)
    print_table(("model", "family", "source"), numbers, shown)
    problems = [f"{model.name}: {problem}" for model, found in checks for problem in found.problems]
    for model in rows:
        if model.note:
            print(f"{model.name}: {model.note.why}")
    print(f"{len(rows)} models at {SIZE}x{SIZE}x3 with {CLASSES} classes; {len(problems)} problems")
    if problems:
        sys.exit("\n".join(problems))


def _numbers(model: Model, found: Check) -> tuple[str, ...]:
    difference = relative(model, found.parameters)
    published = model.published.parameters if difference is not None else None
    return (
        f"{found.parameters / 1e6:.3f}",
        "" if published is None else f"{published:g}",
        "" if difference is None else f"{difference:+.1%}",
        f"{found.multiply_adds / 1e6:,.0f}",
        f"{found.last_map}x{found.last_map}",
    )


if __name__ == "__main__":
    main()
