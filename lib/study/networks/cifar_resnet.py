"""The ResNets of He et al. (2016) for CIFAR: one architecture, implemented twice by this project."""

from typing import ClassVar

from lib.errors import ParameterError
from lib.study.strict import Count, Strict
from lib.study.twins import OPTIMIZER, Initialisation, Law, Twin


class Options(Strict):
    """`width`: the first stage's channels, doubled by each later stage. `skip`: with shortcuts, or else plain."""

    pytorch_only: ClassVar = frozenset({"width", "skip"})

    width: Count = 16
    skip: bool = True


def blocks(depth: int) -> int:
    """Return n, the blocks of each of the three stages, for a depth of 6n + 2 layers.

    Raises:
        ParameterError: there is no such n.
    """
    count, rest = divmod(depth - 2, 6)
    if rest or count < 1:
        raise ParameterError(f"depth {depth} is not 6n + 2 with n of 1 or more: the nearest are 8, 14, 20, 26, 32, ...")
    return count


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
