"""Make `import torchvision` possible beside a CPU-only PyTorch. Import this module before torchvision.

The usual torchvision wheel is built against CUDA. Its native library does not load without CUDA's own libraries, and
the import then stops at two operators that only that library declares. Nothing here calls them (they belong to object
detection): where they are missing, declaring their signatures is enough for models, transforms and datasets.
"""

from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import torch

SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
"""What both operators take and give: boxes, their scores and an overlap; the indices of the boxes kept."""


def _load_native() -> None:
    """Load torchvision's native library, as torchvision itself would, where it can be loaded."""
    package = Path(find_spec("torchvision").origin).parent
    for library in package.glob("_C.*"):
        with suppress(OSError):
            torch.ops.load_library(library)


def _declare() -> torch.library.Library:
    """Declare the missing operators; they stay declared as long as the returned library lives."""
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(name + SIGNATURE)
    return library


_load_native()
DECLARED = None if hasattr(torch.ops.torchvision, "nms") else _declare()
"""The declarations, kept alive here; `None` where torchvision's own library loaded."""
