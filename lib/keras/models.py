"""The benchmark's models in Keras: images in as float32 (N, H, W, 3), logits out, every weight drawn anew.

`mobilenetv2`, `resnet50` and `convnext_tiny` are Keras Applications', with stems for small images: their last feature
map is 2x2, 4x4 and 4x4, at 32x32 and at 64x64 alike. `resnet20` is written here and, layer for layer, in
`lib.pytorch.models`.

Layers follow the global dtype policy (`keras.config.set_dtype_policy`), and so do the logits.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

import keras
from keras import applications, layers

from lib.registry import Builder, choose


def build(model: str, size: int, classes: int) -> keras.Model:
    """Build the model named `model` for images of `size` x `size` pixels, with `classes` logits.

    Raises:
        ParameterError: the model or the size is unknown.
    """
    return choose(MODELS, model, size)(size, classes)


def parameters(model: keras.Model) -> int:
    """Count the trainable parameters; `model.count_params()` would include the statistics of batch normalisation."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def mobilenetv2(size: int, classes: int) -> keras.Model:
    """Build Keras' MobileNetV2; at 32x32 the first convolution keeps the resolution."""
    model = applications.MobileNetV2(**_from_scratch(size, classes))
    return model if size == 64 else _rebuilt(model, {"Conv1": {"strides": (1, 1)}})


def resnet50(size: int, classes: int) -> keras.Model:
    """Build Keras' ResNet-50 without the max-pool; at 32x32 the first convolution is 3x3 with stride 1."""
    small = {
        "conv1_pad": {"padding": ((1, 1), (1, 1))},
        "conv1_conv": {"kernel_size": (3, 3), "strides": (1, 1)},
    }
    model = applications.ResNet50(**_from_scratch(size, classes))
    return _rebuilt(model, small if size == 32 else {}, dropped=("pool1_pad", "pool1_pool"))


def convnext_tiny(size: int, classes: int) -> keras.Model:
    """Build Keras' ConvNeXt-Tiny; the stem is 3x3 with stride 1 at 32x32, and 2x2 with stride 2 at 64x64.

    The normalisation that Keras embeds is left out, since the pipelines normalise.
    """
    small = {"kernel_size": (3, 3), "strides": (1, 1), "padding": "same"}
    large = {"kernel_size": (2, 2), "strides": (2, 2)}
    model = applications.ConvNeXtTiny(**_from_scratch(size, classes), include_preprocessing=False)
    return _rebuilt(model, {"convnext_tiny_stem_conv": small if size == 32 else large})


def resnet20(size: int, classes: int) -> keras.Model:
    """Build the ResNet-20 of He et al. (2016) for CIFAR."""
    return cifar_resnet(20, size, classes)


def cifar_resnet(depth: int, size: int, classes: int) -> keras.Model:
    """Build the ResNet of He et al. (2016, section 4.2) for CIFAR, of depth 6n + 2: three stages of n blocks.

    Initialisation, the same in PyTorch: convolutions He normal on the fan-out, the head PyTorch's default, uniform
    within 1 / sqrt(fan-in) for weights and bias. Layers bear the names that they have in PyTorch.
    """
    blocks = (depth - 2) // 6
    images = keras.Input((size, size, 3))
    x = layers.ReLU(name="relu")(_batch_norm("bn")(_conv3x3(images, "conv", 16)))
    x = _stage(x, "stage1", 16, blocks, stride=1)
    x = _stage(x, "stage2", 32, blocks, stride=2)
    x = _stage(x, "stage3", 64, blocks, stride=2)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(images, _head(classes, fan_in=64)(x), name=f"resnet{depth}")


def _stage(x: keras.KerasTensor, name: str, channels: int, blocks: int, stride: int) -> keras.KerasTensor:
    """Apply `blocks` blocks; the first takes the stride and the change of channels."""
    x = _basic_block(x, f"{name}.0", channels, stride)
    for block in range(1, blocks):
        x = _basic_block(x, f"{name}.{block}", channels, stride=1)
    return x


def _basic_block(x: keras.KerasTensor, name: str, channels: int, stride: int) -> keras.KerasTensor:
    """Apply two 3x3 convolutions and a shortcut without parameters (option A of He et al., 2016)."""
    y = _batch_norm(f"{name}.bn1")(_conv3x3(x, f"{name}.conv1", channels, stride))
    y = layers.ReLU(name=f"{name}.relu1")(y)
    y = _batch_norm(f"{name}.bn2")(_conv3x3(y, f"{name}.conv2", channels))
    return layers.ReLU(name=f"{name}.relu2")(layers.Add(name=f"{name}.add")([y, _shortcut(x, stride)]))


def _conv3x3(x: keras.KerasTensor, name: str, channels: int, stride: int = 1) -> keras.KerasTensor:
    """Apply a 3x3 convolution without bias, padded by one pixel on every side.

    The padding is a layer of its own: with stride 2, Keras' "same" would pad below and to the right alone.
    """
    he_normal = keras.initializers.VarianceScaling(2, mode="fan_out", distribution="untruncated_normal")
    x = layers.ZeroPadding2D(1, name=f"{name}.pad")(x)
    return layers.Conv2D(channels, 3, stride, use_bias=False, kernel_initializer=he_normal, name=name)(x)


def _batch_norm(name: str) -> layers.Layer:
    """Return a batch normalisation with PyTorch's constants: its momentum of 0.1 is Keras' 0.9."""
    return layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=name)


def _shortcut(x: keras.KerasTensor, stride: int) -> keras.KerasTensor:
    """Return `x` itself, or, with stride 2, every second pixel and as many channels of zeros again."""
    if stride == 1:
        return x
    return keras.ops.pad(x[:, ::stride, ::stride], ((0, 0), (0, 0), (0, 0), (0, x.shape[-1])))


def _head(classes: int, fan_in: int) -> layers.Layer:
    """Return the dense layer, initialised as `torch.nn.Linear` is."""
    bound = fan_in**-0.5
    weights, bias = (keras.initializers.RandomUniform(-bound, bound) for _ in range(2))
    return layers.Dense(classes, kernel_initializer=weights, bias_initializer=bias, name="head")


def _from_scratch(size: int, classes: int) -> dict[str, Any]:
    """Return the arguments that Keras Applications share: no pretrained weights, no softmax."""
    return {"input_shape": (size, size, 3), "classes": classes, "weights": None, "classifier_activation": None}


def _rebuilt(model: keras.Model, edits: Mapping[str, dict[str, Any]], dropped: Collection[str] = ()) -> keras.Model:
    """Build `model` again with new weights, some layers' settings edited (by layer name) and some layers left out."""

    def call(layer: layers.Layer, *args: Any, **kwargs: Any) -> keras.KerasTensor:
        return args[0] if layer.name in dropped else layer(*args, **kwargs)

    return keras.models.clone_model(model, clone_function=lambda layer: _again(layer, edits), call_function=call)


def _again(layer: layers.Layer, edits: Mapping[str, dict[str, Any]]) -> layers.Layer:
    """Return a new layer like `layer`, with its edits; a nested `Sequential` is rebuilt from new layers."""
    if isinstance(layer, keras.Sequential):
        return keras.Sequential([_again(inner, edits) for inner in layer.layers], name=layer.name)
    if isinstance(layer, layers.Conv2D) and layer.groups > 1:
        return _depthwise(layer)
    return type(layer).from_config(layer.get_config() | edits.get(layer.name, {}))


def _depthwise(layer: layers.Conv2D) -> layers.Layer:
    """Return ConvNeXt's grouped convolution as the depthwise one that it is.

    Keras writes it as `Conv2D` with as many groups as channels. `DepthwiseConv2D` is the same function of as many
    parameters, drawn from the same distribution (Glorot's bound is symmetric in fan-in and fan-out), and much faster on
    a CPU.
    """
    return layers.DepthwiseConv2D(layer.kernel_size, padding=layer.padding, name=layer.name, dtype=layer.dtype_policy)


MODELS: dict[str, Builder[keras.Model]] = {
    "mobilenetv2": mobilenetv2,
    "resnet50": resnet50,
    "convnext_tiny": convnext_tiny,
    "resnet20": resnet20,
}
"""Every model by name."""
