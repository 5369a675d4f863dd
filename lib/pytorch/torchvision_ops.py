"""Make `import torchvision` possible beside a CPU-only PyTorch; `lib.pytorch` imports this module first of all.

The usual torchvision wheel is built against CUDA. Its native library does not load without CUDA's own libraries, and
the import then fails on two operators of object detection that only this library declares. This project does not call
them, so their signatures are declared where they are missing.
"""

from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import torch

SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
"""Of both operators: boxes, their scores and an overlap in, the indices of the kept boxes out."""


def _load_native() -> None:
    """Load torchvision's native library where possible, as torchvision itself does."""
    package = Path(find_spec("torchvision").origin).parent
    for library in package.glob("_C.*"):
        with suppress(OSError):
            torch.ops.load_library(library)


def _declare() -> torch.library.Library:
    """Declare both operators; they stay declared as long as the returned library exists."""
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(name + SIGNATURE)
    return library


_load_native()
DECLARED = None if hasattr(torch.ops.torchvision, "nms") else _declare()
"""The declarations; `None` where torchvision's own library loaded."""
