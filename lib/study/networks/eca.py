"""The ResNets for CIFAR with efficient channel attention in their blocks."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from lib.study.networks import cifar_resnet
from lib.study.strict import Count, Strict

ADAPTIVE = 3
"""The adaptive kernel at 16, 32 and 64 channels alike (Wang et al. 2020, equation 12)."""


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


def simplest(keywords: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the family and the keywords of the same network: without attention, those of a plain `cifar_resnet`."""
    if keywords["place"] == "none":
        return "cifar_resnet", {"depth": keywords["depth"], **cifar_resnet.Options().model_dump()}
    return "eca", keywords | {"kernel": ADAPTIVE if keywords["kernel"] == "adaptive" else keywords["kernel"]}
