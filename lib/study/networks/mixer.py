"""MLP-Mixers: networks of linear layers that mix tokens and channels in turn."""

from typing import Annotated

from pydantic import Field

from lib.study.strict import Strict


class Options(Strict):
    """`drop_path`: the rate of stochastic depth, the same in every block."""

    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
