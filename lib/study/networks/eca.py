"""The ResNets for CIFAR with efficient channel attention in their blocks."""

from typing import Any, Literal

from lib.study.networks import cifar_resnet
from lib.study.strict import Strict

ADAPTIVE = 3
"""The adaptive kernel at 16, 32 and 64 channels alike (Wang et al. 2020, equation 12)."""


class Options(Strict):
    """What a study may change: the attention's `kernel`, in channels, and its `place` in a block.

    A kernel is odd: its channel lies in the middle. The adaptive one follows from a layer's channels. The places are
    behind the first convolution, behind the second, as in the paper, and behind the sum; or there is no attention.
    """

    kernel: Literal[1, 3, 5, 7, 9, "adaptive"] = "adaptive"
    place: Literal["first", "second", "sum", "none"] = "second"


def simplest(keywords: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the family and the keywords of the same network: without attention, those of a plain `cifar_resnet`."""
    if keywords["place"] == "none":
        return "cifar_resnet", {"depth": keywords["depth"], **cifar_resnet.Options().model_dump()}
    return "eca", keywords | {"kernel": ADAPTIVE if keywords["kernel"] == "adaptive" else keywords["kernel"]}
