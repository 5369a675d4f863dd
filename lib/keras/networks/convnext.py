"""ConvNeXt-Tiny of Keras Applications, for small images."""

import math
from typing import Any

import keras
from keras import applications, layers

from lib.keras.rebuilding import Edits, edited, from_scratch
from lib.study.conventions import Conventions


def build(shape: tuple[int, int, int], classes: int, _conventions: Conventions) -> keras.Model:
    """Build ConvNeXt-Tiny; the stem is 3x3 with stride 1 at 32x32, and 2x2 with stride 2 at 64x64.

    The last feature map is 4x4 at 32 and at 64. Keras' normalisation of the input is left out, since the pipelines
    normalise. Keras has no stochastic depth here, and where that is aligned PyTorch follows Keras.
    """
    small = {"kernel_size": (3, 3), "strides": (1, 1), "padding": "same"}
    large = {"kernel_size": (2, 2), "strides": (2, 2)}
    edits = Edits(dict, {"convnext_tiny_stem_conv": small if shape[0] == 32 else large})
    model = from_scratch(applications.ConvNeXtTiny, shape, classes, include_preprocessing=False)
    return keras.models.clone_model(model, clone_function=lambda layer: _again(layer, edits))


def _again(layer: layers.Layer, edits: Edits) -> layers.Layer:
    """Return a new layer like `layer`, with its edits; a nested `Sequential` is built from new layers."""
    if isinstance(layer, keras.Sequential):
        return keras.Sequential([_again(inner, edits) for inner in layer.layers], name=layer.name)
    if isinstance(layer, layers.Conv2D) and layer.groups > 1:
        return depthwise(layer)
    if layer.name.endswith("_gelu") and layer.compute_dtype == "float64":
        return layers.Activation(_gelu, name=layer.name, dtype=layer.dtype_policy)
    return edited(layer, edits, type(layer))


def _gelu(x: Any) -> Any:
    """Apply the exact GELU; TensorFlow's own keeps 1 / sqrt(2) in float32 and is 7e-9 off in float64."""
    return 0.5 * x * (1 + keras.ops.erf(x / math.sqrt(2)))


def depthwise(layer: layers.Conv2D) -> layers.Layer:
    """Return a grouped convolution with as many groups as channels as the depthwise convolution that it is.

    `DepthwiseConv2D` is the same function of as many parameters, drawn from the same distribution (Glorot's bound is
    symmetric in fan-in and fan-out), and much faster on a CPU.
    """
    return layers.DepthwiseConv2D(layer.kernel_size, padding=layer.padding, name=layer.name, dtype=layer.dtype_policy)


_BLOCK = {"depthwise_conv": ".block.0", "layernorm": ".block.2", "pointwise_conv_1": ".block.3"}
_BLOCK |= {"pointwise_conv_2": ".block.5", "layer_scale": ""}
_DOWNSAMPLING = {"layernorm": 0, "conv": 1}

RULES = (
    (r"convnext_tiny_stem_conv", lambda _: "features.0.0"),
    (r"convnext_tiny_stem_layernorm", lambda _: "features.0.1"),
    (r"convnext_tiny_stage_(\d)_block_(\d)_(\w+)", lambda m: f"features.{2 * int(m[1]) + 1}.{m[2]}{_BLOCK[m[3]]}"),
    (r"convnext_tiny_downsampling_(\w+)_(\d)", lambda m: f"features.{2 * int(m[2]) + 2}.{_DOWNSAMPLING[m[1]]}"),
    (r"convnext_tiny_head_layernorm", lambda _: "classifier.0"),
    (r"convnext_tiny_head_dense", lambda _: "classifier.2"),
)
