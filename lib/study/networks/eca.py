"""The ResNets for CIFAR with efficient channel attention in their blocks."""

from typing import Annotated, Literal

from pydantic import AfterValidator

from lib.study.strict import Count, Strict


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("a kernel is odd, so that a channel lies in its middle")
    return value


class Options(Strict):
    """What a study may change: the attention's `kernel`, in channels, and its `place` in a block.

    The adaptive kernel follows from a layer's channels. The places are behind the first convolution, behind the second,
    as in the paper, and behind the sum; or there is no attention.
    """

    kernel: Literal["adaptive"] | Annotated[Count, AfterValidator(_odd)] = "adaptive"
    place: Literal["first", "second", "sum", "none"] = "second"
