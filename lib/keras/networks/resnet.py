"""ResNet-50 of Keras Applications, for small images."""

import re

import keras
from keras import applications, layers

from lib.keras.normalization import batch_norm_kind
from lib.keras.rebuilding import constants, from_scratch, of_kind, rebuilt
from lib.study.conventions import Conventions
from lib.study.networks.resnet import TWIN


def build(shape: tuple[int, int, int], classes: int, conventions: Conventions) -> keras.Model:
    """Build ResNet-50 without the max-pool; at 32x32 the first convolution is 3x3 with stride 1.

    The last feature map is 4x4 at 32 and at 64. Keras' stages have their stride in the first convolution of their first
    block, torchvision's in the second, and Keras' convolutions have biases.
    """
    model = from_scratch(applications.ResNet50, shape, classes)
    edits, padded = constants(model, TWIN, conventions), []
    if shape[0] == 32:
        edits["conv1_pad"] |= {"padding": ((1, 1), (1, 1))}
        edits["conv1_conv"] |= {"kernel_size": (3, 3), "strides": (1, 1)}
    if conventions["conv_bias"] == "pytorch":
        for layer in of_kind(model, layers.Conv2D):
            edits[layer.name] |= {"use_bias": False}
    if conventions["stride"] == "pytorch":
        for stage in (3, 4, 5):
            edits[f"conv{stage}_block1_1_conv"] |= {"strides": (1, 1)}
            edits[f"conv{stage}_block1_2_conv"] |= {"strides": (2, 2)}
            padded.append(f"conv{stage}_block1_2_conv")
    kind = batch_norm_kind(conventions)
    return rebuilt(model, edits, kind, dropped=("pool1_pad", "pool1_pool"), padded=padded)


def _block(match: re.Match) -> str:
    """Return the module of a block: Keras counts stages from 2 and blocks from 1, torchvision from 1 and 0."""
    return f"layer{int(match[1]) - 1}.{int(match[2]) - 1}"


RULES = (
    (r"conv1_conv", lambda _: "conv1"),
    (r"conv1_bn", lambda _: "bn1"),
    (r"conv(\d)_block(\d)_0_conv", lambda m: f"{_block(m)}.downsample.0"),
    (r"conv(\d)_block(\d)_0_bn", lambda m: f"{_block(m)}.downsample.1"),
    (r"conv(\d)_block(\d)_(\d)_(conv|bn)", lambda m: f"{_block(m)}.{m[4]}{m[3]}"),
    (r"predictions", lambda _: "fc"),
)
