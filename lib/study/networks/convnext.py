"""ConvNeXt-Tiny of Keras Applications and of torchvision."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from lib.study.strict import Strict
from lib.study.twins import GLOROT, OPTIMIZER, Initialisation, Law, Twin


class Options(Strict):
    """`stem`: for small images, or the paper's for ImageNet. `drop_path`: the last block's chance of being skipped.

    The paper's stem is 4x4 with stride 4. The chance rises from 0 over the blocks; 0.1 is torchvision's.
    """

    pytorch_only: ClassVar = frozenset({"stem", "drop_path"})

    stem: Literal["small", "imagenet"] = "small"
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.1


_NORMAL = Law("normal", std=0.02)

TWIN = Twin(
    differences=frozenset({"stochastic_depth", "initialisation"}) | OPTIMIZER,
    parameter_limit=5.0,
    # The names of Keras' additions depend on earlier networks of the process: they are counted instead.
    stages={
        "stem": ("features.0", "convnext_tiny_stem"),
        "stage 1": ("features.1", "addition 3"),
        "stage 2": ("features.3", "addition 6"),
        "stage 3": ("features.5", "addition 15"),
        "stage 4": ("features.7", "addition 18"),
    },
    sources=("keras.src.applications.convnext", "torchvision.models.convnext"),
    initialisation={"keras": GLOROT, "pytorch": Initialisation(_NORMAL, _NORMAL)},
)
