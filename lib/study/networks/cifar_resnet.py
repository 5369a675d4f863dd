"""The networks of He et al. (2016) for CIFAR; the ResNet of 20 layers is written twice by this project."""

import re
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from lib.errors import ParameterError
from lib.study.strict import Count, Strict
from lib.study.twins import OPTIMIZER, Initialisation, Law, Twin


class Plain(Strict):
    """`width`: the first stage's channels, doubled by each later stage."""

    pytorch_only: ClassVar = frozenset({"width"})

    width: Count = 16


class Options(Plain):
    """`skip`: with shortcuts, or else plain. `shortcut`: that of a block which changes the channels.

    Shortcut A subsamples and pads with zero channels, B is a 1x1 convolution with batch normalisation (He et al. 2016,
    section 3.3).
    """

    pytorch_only: ClassVar = frozenset({"width", "skip", "shortcut"})

    skip: bool = True
    shortcut: Literal["A", "B"] = "A"

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.shortcut == "B" and not self.skip:
            raise ValueError("a plain network has no shortcut: leave `shortcut` out")
        return self


def blocks(depth: int) -> int:
    """Return n, the blocks of each of the three stages, for a depth of 6n + 2 layers.

    Raises:
        ParameterError: there is no such n.
    """
    count, rest = divmod(depth - 2, 6)
    if rest or count < 1:
        near = " or ".join(str(depth) for depth in (6 * count + 2, 6 * count + 8) if depth > 2)
        raise ParameterError(f"depth {depth} is not 6n + 2, like {near}")
    return count


def arguments(name: str) -> dict[str, Any] | None:
    """Return the builder's keywords for the names `resnet<depth>` and `plain<depth>`, and None for any other name.

    Raises:
        ParameterError: the depth is not 6n + 2.
    """
    match = re.fullmatch(r"(resnet|plain)([1-9]\d{0,3})", name)
    if match is None:
        return None
    depth = int(match[2])
    blocks(depth)
    return {"depth": depth} if match[1] == "resnet" else {"depth": depth, "skip": False}


_HE = Initialisation(convolution=Law("he normal"), linear=Law("fan-in uniform"))

TWIN = Twin(
    differences=frozenset({"bn_variance"}) | OPTIMIZER,
    parameter_limit=0.0,  # one architecture, implemented twice
    stages={
        "stem": ("bn", "bn"),
        "stage 1": ("stage1", "stage1.2.relu2"),
        "stage 2": ("stage2", "stage2.2.relu2"),
        "stage 3": ("stage3", "stage3.2.relu2"),
    },
    sources=("lib.keras.networks.cifar_resnet", "lib.pytorch.networks.cifar_resnet"),
    initialisation={"keras": _HE, "pytorch": _HE},
)
"""The twin of the member with 20 layers."""
