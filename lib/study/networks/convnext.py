"""ConvNeXt-Tiny of Keras Applications and of torchvision."""

from lib.study.twins import GLOROT, OPTIMIZER, Initialisation, Law, Twin

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
