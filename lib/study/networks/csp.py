"""CSPResNet-50: a ResNet in whose stages half of the channels pass the blocks by."""

from typing import Annotated

from pydantic import Field

from lib.study.strict import Strict


class Options(Strict):
    """`drop_path`: the rate of stochastic depth in the last block; it rises linearly from 0 in the first."""

    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
