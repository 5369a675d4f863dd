"""Stacks of 3x3 convolutions with a max-pool between stages: ResNet-9 and VGG-11, for small images."""

from typing import Annotated, Literal

from pydantic import Field

from lib.study.strict import Count, Strict


class Options(Strict):
    """What a study may change: `width` is the first stage's channels, `dropout` the share dropped before the head."""

    width: Count = 64
    batch_norm: bool = True
    activation: Literal["relu", "leaky_relu", "gelu", "silu", "tanh"] = "relu"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Residual(Options):
    """`skip`: with the sums around pairs of convolutions, or else plain."""

    skip: bool = True
