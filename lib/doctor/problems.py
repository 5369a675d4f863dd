"""Small problems with exact answers that both frameworks solve for the doctor, and the output of a probe."""

import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lib import environment

_RANDOM = np.random.RandomState(42)

FACTORS = _RANDOM.standard_normal((2, 256, 256))
"""Two matrices for a product."""

IMAGES = _RANDOM.standard_normal((8, 18, 18, 16))
"""A batch for a convolution without padding, (N, H, W, C)."""

KERNEL = _RANDOM.standard_normal((3, 3, 16, 32))
"""The convolution's weights, (H, W, in, out)."""

LABELS = np.arange(len(IMAGES)) % 10
"""A class for each image, for a training step."""


class Arithmetic(NamedTuple):
    """A kind of arithmetic: its name, the type of its numbers, and whether TensorFloat-32 may be used."""

    name: str
    type: str
    tf32: bool


ARITHMETICS = (
    Arithmetic("float32", "float32", tf32=False),
    Arithmetic("tf32", "float32", tf32=True),
    Arithmetic("float16", "float16", tf32=False),
)


def product_error(product: np.ndarray) -> float:
    """Return the largest error of a product of the factors, as a share of its largest entry."""
    return _error(product, FACTORS[0] @ FACTORS[1])


def convolution_error(maps: np.ndarray) -> float:
    """Return the largest error of convolved images (N, H, W, C), as a share of their largest value."""
    windows = sliding_window_view(IMAGES, (3, 3), axis=(1, 2))
    return _error(maps, np.einsum("nhwcij,ijco->nhwo", windows, KERNEL))


def _error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(found.astype(np.float64) - exact).max() / np.abs(exact).max())


def answer(ask: Callable[[], dict[str, Any]]) -> None:
    """Print a probe's results, or its error, as one line of JSON with the libraries that it has loaded."""
    try:
        found = ask()
    except Exception as error:
        found = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
    print(json.dumps(found | {"loaded": environment.loaded_libraries()}), file=sys.stdout, flush=True)
