"""The benchmark's models in Keras: images in as float32 (N, H, W, 3), logits out, every weight drawn anew.

`mobilenetv2`, `resnet50` and `convnext_tiny` are Keras Applications', with stems for small images: their last feature
map is 2x2, 4x4 and 4x4, at 32x32 and at 64x64 alike. `resnet20` is written here and, layer for layer, in
`lib.pytorch.models`. Where the conventions of PyTorch are followed, a model does as torchvision's does.

Layers follow the global dtype policy (`keras.config.set_dtype_policy`), and so do the logits.
"""

import math
from collections import defaultdict
from collections.abc import Collection
from typing import Any

import keras
from keras import applications, layers

from lib.keras.normalization import UnbiasedBatchNormalization
from lib.study.conventions import BATCH_NORM, BatchNorm, Conventions, followed
from lib.study.models import Builder, choose

NATIVE: Conventions = followed("keras", (), "keras")
"""Keras' own convention in everything."""

Edits = defaultdict[str, dict[str, Any]]
"""Changed settings of layers, by the layer's name."""

NormKind = type[layers.BatchNormalization]
"""Keras' batch normalisation, or the one whose running variance is unbiased."""


def build(model: str, size: int, classes: int, conventions: Conventions = NATIVE) -> keras.Model:
    """Build the model named `model` for images of `size` x `size` pixels, with `classes` logits.

    Weights are drawn by the layers' own initialisers, whatever the conventions.

    Raises:
        ParameterError: the model or the size is unknown.
    """
    return choose(MODELS, model, size)(size, classes, conventions)


def parameters(model: keras.Model) -> int:
    """Count the trainable parameters; `model.count_params()` would include the statistics of batch normalisation."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def mobilenetv2(size: int, classes: int, conventions: Conventions) -> keras.Model:
    """Build Keras' MobileNetV2; at 32x32 the first convolution keeps the resolution.

    Where it strides, Keras pads below and to the right alone, torchvision on every side.
    """
    model = applications.MobileNetV2(**_from_scratch(size, classes))
    edits, padded = _constants(model, "mobilenetv2", conventions), []
    if size == 32:
        edits["Conv1"] |= {"strides": (1, 1)}
    if conventions["padding"] == "pytorch":
        for block in (1, 3, 6, 13):
            edits[f"block_{block}_pad"] |= {"padding": ((1, 1), (1, 1))}
        padded += ["Conv1"] if size == 64 else []
    kind = _norm_kind(conventions)
    native = not edits and kind is layers.BatchNormalization
    return model if native else _rebuilt(model, edits, kind, padded=padded)


def resnet50(size: int, classes: int, conventions: Conventions) -> keras.Model:
    """Build Keras' ResNet-50 without the max-pool; at 32x32 the first convolution is 3x3 with stride 1.

    Keras' stages stride in the first convolution of their first block and torchvision's in the second, and Keras'
    convolutions have biases.
    """
    model = applications.ResNet50(**_from_scratch(size, classes))
    edits, padded = _constants(model, "resnet50", conventions), []
    if size == 32:
        edits["conv1_pad"] |= {"padding": ((1, 1), (1, 1))}
        edits["conv1_conv"] |= {"kernel_size": (3, 3), "strides": (1, 1)}
    if conventions["conv_bias"] == "pytorch":
        for layer in _of_kind(model, layers.Conv2D):
            edits[layer.name] |= {"use_bias": False}
    if conventions["stride"] == "pytorch":
        for stage in (3, 4, 5):
            edits[f"conv{stage}_block1_1_conv"] |= {"strides": (1, 1)}
            edits[f"conv{stage}_block1_2_conv"] |= {"strides": (2, 2)}
            padded.append(f"conv{stage}_block1_2_conv")
    return _rebuilt(model, edits, _norm_kind(conventions), dropped=("pool1_pad", "pool1_pool"), padded=padded)


def convnext_tiny(size: int, classes: int, _conventions: Conventions) -> keras.Model:
    """Build Keras' ConvNeXt-Tiny; the stem is 3x3 with stride 1 at 32x32, and 2x2 with stride 2 at 64x64.

    The normalisation that Keras embeds is left out, since the pipelines normalise. Its stochastic depth is 0, which is
    also what is followed where it is aligned.
    """
    small = {"kernel_size": (3, 3), "strides": (1, 1), "padding": "same"}
    large = {"kernel_size": (2, 2), "strides": (2, 2)}
    model = applications.ConvNeXtTiny(**_from_scratch(size, classes), include_preprocessing=False)
    return _rebuilt(model, Edits(dict, {"convnext_tiny_stem_conv": small if size == 32 else large}))


def resnet20(size: int, classes: int, conventions: Conventions) -> keras.Model:
    """Build the ResNet-20 of He et al. (2016) for CIFAR."""
    return cifar_resnet(20, size, classes, conventions)


def cifar_resnet(depth: int, size: int, classes: int, conventions: Conventions = NATIVE) -> keras.Model:
    """Build the ResNet of He et al. (2016, section 4.2) for CIFAR, of depth 6n + 2: three stages of n blocks.

    Initialisation, the same in PyTorch: convolutions He normal on the fan-out, the head PyTorch's default, uniform
    within 1 / sqrt(fan-in) for weights and bias. Layers bear the names that they have in PyTorch.
    """
    blocks, kind = (depth - 2) // 6, _norm_kind(conventions)
    images = keras.Input((size, size, 3))
    x = layers.ReLU(name="relu")(_batch_norm("bn", kind)(_conv3x3(images, "conv", 16)))
    x = _stage(x, "stage1", 16, blocks, 1, kind)
    x = _stage(x, "stage2", 32, blocks, 2, kind)
    x = _stage(x, "stage3", 64, blocks, 2, kind)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(images, _head(classes, fan_in=64)(x), name=f"resnet{depth}")


def _stage(
    x: keras.KerasTensor, name: str, channels: int, blocks: int, stride: int, kind: NormKind
) -> keras.KerasTensor:
    """Apply `blocks` blocks; the first takes the stride and the change of channels."""
    x = _basic_block(x, f"{name}.0", channels, stride, kind)
    for block in range(1, blocks):
        x = _basic_block(x, f"{name}.{block}", channels, 1, kind)
    return x


def _basic_block(x: keras.KerasTensor, name: str, channels: int, stride: int, kind: NormKind) -> keras.KerasTensor:
    """Apply two 3x3 convolutions and a shortcut without parameters (option A of He et al., 2016)."""
    y = _batch_norm(f"{name}.bn1", kind)(_conv3x3(x, f"{name}.conv1", channels, stride))
    y = layers.ReLU(name=f"{name}.relu1")(y)
    y = _batch_norm(f"{name}.bn2", kind)(_conv3x3(y, f"{name}.conv2", channels))
    return layers.ReLU(name=f"{name}.relu2")(layers.Add(name=f"{name}.add")([y, _shortcut(x, stride)]))


def _conv3x3(x: keras.KerasTensor, name: str, channels: int, stride: int = 1) -> keras.KerasTensor:
    """Apply a 3x3 convolution without bias, padded by one pixel on every side.

    The padding is a layer of its own: with stride 2, Keras' "same" would pad below and to the right alone.
    """
    he_normal = keras.initializers.VarianceScaling(2, mode="fan_out", distribution="untruncated_normal")
    x = layers.ZeroPadding2D(1, name=f"{name}.pad")(x)
    return layers.Conv2D(channels, 3, stride, use_bias=False, kernel_initializer=he_normal, name=name)(x)


def _batch_norm(name: str, kind: NormKind) -> layers.Layer:
    """Return a batch normalisation with PyTorch's constants: its momentum of 0.1 is Keras' 0.9."""
    return kind(epsilon=1e-5, momentum=0.9, name=name)


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


def _constants(model: keras.Model, name: str, conventions: Conventions) -> Edits:
    """Return the edits for the constants of batch normalisation that are followed; none where these are Keras' own."""
    known, keras_own = BATCH_NORM[name], BATCH_NORM[name]["keras"]
    constants = BatchNorm(known[conventions["bn_eps"]].epsilon, known[conventions["bn_momentum"]].momentum)
    norms = _of_kind(model, layers.BatchNormalization) if constants != keras_own else []
    return Edits(dict, {layer.name: constants._asdict() for layer in norms})


def _norm_kind(conventions: Conventions) -> NormKind:
    return UnbiasedBatchNormalization if conventions["bn_variance"] == "pytorch" else layers.BatchNormalization


def _of_kind(model: keras.Model, kind: type[layers.Layer]) -> list[layers.Layer]:
    return [layer for layer in model.layers if isinstance(layer, kind)]


def _rebuilt(
    model: keras.Model,
    edits: Edits,
    norm_kind: NormKind = layers.BatchNormalization,
    dropped: Collection[str] = (),
    padded: Collection[str] = (),
) -> keras.Model:
    """Build `model` again with new weights and some of its layers, by name, changed.

    Args:
        model: what is built again.
        edits: settings of layers that replace theirs.
        norm_kind: what every batch normalisation becomes.
        dropped: layers that are left out.
        padded: 3x3 convolutions before which every side is padded by one pixel, instead of what "same" would pad.
    """
    for name in padded:
        edits[name] |= {"padding": "valid"}

    def again(layer: layers.Layer) -> layers.Layer:
        return _again(layer, edits, norm_kind)

    def call(layer: layers.Layer, *args: Any, **kwargs: Any) -> keras.KerasTensor:
        if layer.name in dropped:
            return args[0]
        if layer.name in padded:
            return layer(layers.ZeroPadding2D(1, name=f"{layer.name}_pad")(args[0]))
        return layer(*args, **kwargs)

    return keras.models.clone_model(model, clone_function=again, call_function=call)


def _again(layer: layers.Layer, edits: Edits, norm_kind: NormKind) -> layers.Layer:
    """Return a new layer like `layer`, with its edits; a nested `Sequential` is rebuilt from new layers."""
    if isinstance(layer, keras.Sequential):
        return keras.Sequential([_again(inner, edits, norm_kind) for inner in layer.layers], name=layer.name)
    if isinstance(layer, layers.Conv2D) and layer.groups > 1:
        return _depthwise(layer)
    if layer.name.endswith("_gelu") and layer.compute_dtype == "float64":
        return layers.Activation(_gelu, name=layer.name, dtype=layer.dtype_policy)
    kind = norm_kind if isinstance(layer, layers.BatchNormalization) else type(layer)
    return kind.from_config(layer.get_config() | edits.get(layer.name, {}))


def _gelu(x: Any) -> Any:
    """Apply the exact GELU: TensorFlow's own holds 1 / sqrt(2) in float32, and is 7e-9 off in float64."""
    return 0.5 * x * (1 + keras.ops.erf(x / math.sqrt(2)))


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
