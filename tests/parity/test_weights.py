"""Weights carried between the frameworks, in both directions."""

import keras
import numpy as np
import pytest
import torch

from lib.errors import ParityError
from lib.keras import models as keras_models
from lib.parity import transplant
from lib.parity.weights import perturbed, read, write
from lib.pytorch import models as pytorch_models
from lib.study.conventions import SWITCHES, followed

MODELS = ("mobilenetv2", "resnet50", "convnext_tiny", "resnet20")


def twins(model, size=32):
    keras.config.set_dtype_policy("float64")
    try:
        in_keras = keras_models.build(model, size, 10, followed("keras", SWITCHES, "pytorch"))
    finally:
        keras.config.set_dtype_policy("float32")
    in_pytorch = pytorch_models.build(model, size, 10, followed("pytorch", SWITCHES, "pytorch")).double().eval()
    write(in_pytorch, perturbed(read(in_pytorch)))
    return in_keras, in_pytorch


def logits(network, images):
    if isinstance(network, keras.Model):
        return network(images, training=False).numpy()
    with torch.inference_mode():
        return network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).double()).numpy()


@pytest.mark.parametrize("model", MODELS)
def test_there_and_back_nothing_is_lost_and_both_compute_the_same(model):
    in_keras, in_pytorch = twins(model)
    before = read(in_pytorch)
    transplant(in_pytorch, in_keras)
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    assert np.allclose(logits(in_keras, images), logits(in_pytorch, images), rtol=0, atol=1e-11)
    other = twins(model)[1]
    write(other, {name: np.zeros_like(value) for name, value in before.items()})
    transplant(in_keras, other)
    after = read(other)
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)


def test_keras_biases_go_into_the_running_mean_behind_them_and_come_back_as_zero():
    conventions = followed("keras", [switch for switch in SWITCHES if switch != "conv_bias"], "pytorch")
    in_keras, in_pytorch = keras_models.build("resnet50", 32, 10, conventions), twins("resnet50")[1]
    transplant(in_pytorch, in_keras)
    for name, size in (("conv1_conv", 64), ("conv3_block2_1_conv", 128), ("conv4_block1_0_conv", 1024)):
        in_keras.get_layer(name).bias.assign(np.random.default_rng(1).normal(size=size))
    transplant(in_keras, in_pytorch)
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    before = logits(in_keras, images)
    assert np.abs(before - logits(in_pytorch, images)).max() < 1e-3 * np.abs(before).max()
    transplant(in_pytorch, in_keras)
    assert not in_keras.get_layer("conv1_conv").bias.numpy().any()
    assert np.abs(before - logits(in_keras, images)).max() < 1e-3 * np.abs(before).max()


@pytest.mark.parametrize("model", MODELS)
def test_every_weight_has_a_counterpart_at_64x64_too(model):
    in_keras, in_pytorch = keras_models.build(model, 64, 10), pytorch_models.build(model, 64, 10)
    transplant(in_pytorch, in_keras)
    carried, source = read(in_keras), read(in_pytorch)
    assert all((carried[name] == value).all() for name, value in source.items())


def test_a_weight_that_is_not_covered_is_named_and_nothing_is_changed():
    source, target = pytorch_models.build("resnet20", 32, 10), keras_models.build("resnet20", 32, 10)
    del source.stage3[2].bn2
    source.stage3[2].bn2 = torch.nn.Identity()
    before = read(target)
    with pytest.raises(ParityError, match=r"stage3\.2\.bn2\.\w+: the target has this weight and the source has not"):
        transplant(source, target)
    assert all((before[name] == value).all() for name, value in read(target).items())


def test_another_shape_is_named():
    with pytest.raises(ParityError, match=r"head\.\w+: \(100,.*\) in the source, \(10,.*\) in the target"):
        transplant(pytorch_models.build("resnet20", 32, 100), keras_models.build("resnet20", 32, 10))


def test_nothing_stays_at_a_special_value_where_a_difference_could_hide():
    values = perturbed(read(pytorch_models.build("convnext_tiny", 32, 10)))
    scales = [value for name, value in values.items() if name.endswith("layer_scale")]
    assert len(scales) == 18
    assert min(value.min() for value in scales) >= 0.1
    for name, value in perturbed(read(pytorch_models.build("mobilenetv2", 32, 10))).items():
        assert value.std() > 0 or name == "classifier.1.bias", name
