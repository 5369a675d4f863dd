"""The ResNets of He et al. (2016) for CIFAR; `lib/pytorch/networks/cifar_resnet.py` is the same, layer for layer.

Layers have the names of PyTorch's modules.
"""

import keras
from keras import layers

from lib.keras.normalization import BatchNorm, batch_norm_kind
from lib.study.conventions import Conventions
from lib.study.networks.cifar_resnet import blocks


def build(shape: tuple[int, int, int], classes: int, conventions: Conventions, depth: int) -> keras.Model:
    """Build the ResNet of depth 6n + 2 (He et al. 2016, section 4.2), for images of any size: three stages of n blocks.

    Initialisation, the same in PyTorch: convolutions He normal on the fan-out, the head PyTorch's default, uniform
    within 1 / sqrt(fan-in) for weights and bias.

    Raises:
        ParameterError: the depth is not 6n + 2.
    """
    count, kind = blocks(depth), batch_norm_kind(conventions)
    images = keras.Input(shape)
    x = layers.ReLU(name="relu")(batch_norm("bn", kind)(conv3x3(images, "conv", 16)))
    x = _stage(x, "stage1", 16, count, 1, kind)
    x = _stage(x, "stage2", 32, count, 2, kind)
    x = _stage(x, "stage3", 64, count, 2, kind)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(images, head(classes, fan_in=64)(x), name=f"resnet{depth}")


def _stage(
    x: keras.KerasTensor, name: str, channels: int, blocks: int, stride: int, kind: type[BatchNorm]
) -> keras.KerasTensor:
    """Apply `blocks` blocks; the first has the stride and the change of channels."""
    x = _basic_block(x, f"{name}.0", channels, stride, kind)
    for block in range(1, blocks):
        x = _basic_block(x, f"{name}.{block}", channels, 1, kind)
    return x


def _basic_block(
    x: keras.KerasTensor, name: str, channels: int, stride: int, kind: type[BatchNorm]
) -> keras.KerasTensor:
    """Apply two 3x3 convolutions and a shortcut without parameters (option A of He et al., 2016)."""
    y = batch_norm(f"{name}.bn1", kind)(conv3x3(x, f"{name}.conv1", channels, stride))
    y = layers.ReLU(name=f"{name}.relu1")(y)
    y = batch_norm(f"{name}.bn2", kind)(conv3x3(y, f"{name}.conv2", channels))
    return layers.ReLU(name=f"{name}.relu2")(layers.Add(name=f"{name}.add")([y, _shortcut(x, stride)]))


def conv3x3(x: keras.KerasTensor, name: str, channels: int, stride: int = 1) -> keras.KerasTensor:
    """Apply a 3x3 convolution without bias, padded by one pixel on every side.

    The padding is a separate layer: with stride 2, Keras' "same" would pad only below and on the right.
    """
    he_normal = keras.initializers.VarianceScaling(2, mode="fan_out", distribution="untruncated_normal")
    x = layers.ZeroPadding2D(1, name=f"{name}.pad")(x)
    return layers.Conv2D(channels, 3, stride, use_bias=False, kernel_initializer=he_normal, name=name)(x)


def batch_norm(name: str, kind: type[BatchNorm]) -> BatchNorm:
    """Return a batch normalisation with PyTorch's constants: its momentum of 0.1 is Keras' 0.9."""
    return kind(epsilon=1e-5, momentum=0.9, name=name)


def _shortcut(x: keras.KerasTensor, stride: int) -> keras.KerasTensor:
    """Return `x` itself, or, with stride 2, every second pixel and as many channels of zeros again."""
    if stride == 1:
        return x
    return keras.ops.pad(x[:, ::stride, ::stride], ((0, 0), (0, 0), (0, 0), (0, x.shape[-1])))


def head(classes: int, fan_in: int) -> layers.Layer:
    """Return the dense layer, initialised as `torch.nn.Linear` is."""
    bound = fan_in**-0.5
    weights, bias = (keras.initializers.RandomUniform(-bound, bound) for _ in range(2))
    return layers.Dense(classes, kernel_initializer=weights, bias_initializer=bias, name="head")
