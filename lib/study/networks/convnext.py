"""ConvNeXt-Tiny: Keras Applications' and torchvision's."""

from lib.study.twins import OPTIMIZER, Twin

TWIN = Twin(
    differences=frozenset({"stochastic_depth", "initialisation"}) | OPTIMIZER,
    parameter_limit=5.0,
    # Keras gives ConvNeXt's additions no stable names, so they are counted.
    stages={
        "stem": ("features.0", "convnext_tiny_stem"),
        "stage 1": ("features.1", "addition 3"),
        "stage 2": ("features.3", "addition 6"),
        "stage 3": ("features.5", "addition 15"),
        "stage 4": ("features.7", "addition 18"),
    },
    sources=("keras.src.applications.convnext", "torchvision.models.convnext"),
)
