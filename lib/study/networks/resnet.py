"""The ResNets of torchvision, and ResNet-50 of Keras Applications."""

from typing import ClassVar

from lib.study.strict import Count, Strict
from lib.study.twins import GLOROT, OPTIMIZER, BatchNorm, Initialisation, Law, Twin


class Options(Strict):
    """`width`: the first stage's channels, doubled by each later stage."""

    pytorch_only: ClassVar = frozenset({"width"})

    width: Count = 64


TWIN = Twin(
    differences=frozenset({"bn_eps", "bn_momentum", "bn_variance", "conv_bias", "stride", "initialisation"})
    | OPTIMIZER,
    parameter_limit=1.0,  # the biases of Keras' convolutions are 0.11 %
    stages={
        "stem": ("relu", "conv1_relu"),
        "stage 1": ("layer1", "conv2_block3_out"),
        "stage 2": ("layer2", "conv3_block4_out"),
        "stage 3": ("layer3", "conv4_block6_out"),
        "stage 4": ("layer4", "conv5_block3_out"),
    },
    sources=("keras.src.applications.resnet", "torchvision.models.resnet"),
    initialisation={"keras": GLOROT, "pytorch": Initialisation(Law("he normal"), Law("fan-in uniform"))},
    batch_norm={"keras": BatchNorm(1.001e-5, 0.99), "pytorch": BatchNorm(1e-5, 0.9)},
    sizes=(32, 64),
)
"""The twin of the member with 50 layers."""
