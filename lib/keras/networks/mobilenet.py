"""MobileNetV2 of Keras Applications, for small images."""

import keras
from keras import applications

from lib.keras.normalization import BatchNorm, batch_norm_kind
from lib.keras.rebuilding import constants, from_scratch, rebuilt
from lib.study.conventions import Conventions
from lib.study.networks.mobilenet import TWIN


def build(shape: tuple[int, int, int], classes: int, conventions: Conventions) -> keras.Model:
    """Build MobileNetV2; at 32x32 the first convolution has stride 1. The last feature map is 2x2 at 32 and at 64.

    Convolutions with a stride are padded only below and on the right in Keras, on every side in torchvision.
    """
    size = shape[0]
    model = from_scratch(applications.MobileNetV2, shape, classes)
    edits, padded = constants(model, TWIN, conventions), []
    if size == 32:
        edits["Conv1"] |= {"strides": (1, 1)}
    if conventions["padding"] == "pytorch":
        for block in (1, 3, 6, 13):
            edits[f"block_{block}_pad"] |= {"padding": ((1, 1), (1, 1))}
        padded += ["Conv1"] if size == 64 else []
    kind = batch_norm_kind(conventions)
    native = not edits and kind is BatchNorm
    return model if native else rebuilt(model, edits, kind, padded=padded)


_FIRST_BLOCK = {"depthwise": "0.0", "depthwise_BN": "0.1", "project": "1", "project_BN": "2"}
_BLOCK = {"expand": "0.0", "expand_BN": "0.1", "depthwise": "1.0", "depthwise_BN": "1.1", "project": "2"}
_BLOCK |= {"project_BN": "3"}

RULES = (
    (r"Conv1", lambda _: "features.0.0"),
    (r"bn_Conv1", lambda _: "features.0.1"),
    (r"expanded_conv_(\w+)", lambda m: f"features.1.conv.{_FIRST_BLOCK[m[1]]}"),
    (r"block_(\d+)_(\w+)", lambda m: f"features.{int(m[1]) + 1}.conv.{_BLOCK[m[2]]}"),
    (r"Conv_1", lambda _: "features.18.0"),
    (r"Conv_1_bn", lambda _: "features.18.1"),
    (r"predictions", lambda _: "classifier.1"),
)
