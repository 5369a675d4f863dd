"""The ResNets of He et al. (2016) for CIFAR: one architecture, written twice by this project."""

from typing import ClassVar

from lib.study.strict import Count, Strict
from lib.study.twins import OPTIMIZER, Twin


class Options(Strict):
    """`width`: the channels of the first stage, which double at each next one. `skip`: with shortcuts, or plain."""

    pytorch_only: ClassVar = frozenset({"width", "skip"})

    width: Count = 16
    skip: bool = True


TWIN = Twin(
    differences=frozenset({"bn_variance"}) | OPTIMIZER,
    parameter_limit=0.0,  # one architecture written twice: nothing is allowed
    stages={
        "stem": ("bn", "bn"),
        "stage 1": ("stage1", "stage1.2.relu2"),
        "stage 2": ("stage2", "stage2.2.relu2"),
        "stage 3": ("stage3", "stage3.2.relu2"),
    },
    sources=("lib.keras.networks.cifar_resnet", "lib.pytorch.networks.cifar_resnet"),
)
"""`resnet20`'s twin."""
