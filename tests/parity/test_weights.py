"""Weights carried between the frameworks, in both directions."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
import torch

from lib.errors import ParityError
from lib.keras import networks as keras_networks
from lib.parity import transplant
from lib.parity.weights import perturbed, read, write
from lib.pytorch import networks as pytorch_networks
from lib.study import models
from lib.study.conventions import SWITCHES, followed

MODELS = tuple(models.twins())


def in_keras(model, size=32, classes=10, conventions=keras_networks.NATIVE):
    return keras_networks.build(model, (size, size, 3), classes, conventions)


def in_pytorch(model, size=32, classes=10, conventions=pytorch_networks.NATIVE):
    return pytorch_networks.build(model, (size, size, 3), classes, conventions)


def twins(model):
    keras.config.set_dtype_policy("float64")
    try:
        ours = in_keras(model, conventions=followed("keras", SWITCHES, "pytorch"))
    finally:
        keras.config.set_dtype_policy("float32")
    theirs = in_pytorch(model, conventions=followed("pytorch", SWITCHES, "pytorch")).double().eval()
    write(theirs, perturbed(read(theirs)))
    return ours, theirs


def logits(network, images):
    if isinstance(network, keras.Model):
        return network(images, training=False).numpy()
    with torch.inference_mode():
        return network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).double()).numpy()


@pytest.mark.parametrize("model", MODELS)
def test_there_and_back_nothing_is_lost_and_both_compute_the_same(model):
    ours, theirs = twins(model)
    before = read(theirs)
    transplant(theirs, ours)
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    assert np.allclose(logits(ours, images), logits(theirs, images), rtol=0, atol=1e-11)
    other = twins(model)[1]
    write(other, {name: np.zeros_like(value) for name, value in before.items()})
    transplant(ours, other)
    after = read(other)
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)


def test_keras_biases_go_into_the_running_mean_behind_them_and_come_back_as_zero():
    conventions = followed("keras", [switch for switch in SWITCHES if switch != "conv_bias"], "pytorch")
    ours, theirs = in_keras("resnet50", conventions=conventions), twins("resnet50")[1]
    transplant(theirs, ours)
    for name, size in (("conv1_conv", 64), ("conv3_block2_1_conv", 128), ("conv4_block1_0_conv", 1024)):
        ours.get_layer(name).bias.assign(np.random.default_rng(1).normal(size=size))
    transplant(ours, theirs)
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    before = logits(ours, images)
    assert np.abs(before - logits(theirs, images)).max() < 1e-3 * np.abs(before).max()
    transplant(theirs, ours)
    assert not ours.get_layer("conv1_conv").bias.numpy().any()
    assert np.abs(before - logits(ours, images)).max() < 1e-3 * np.abs(before).max()


@pytest.mark.parametrize("model", MODELS)
def test_every_weight_has_a_counterpart_at_64x64_too(model):
    ours, theirs = in_keras(model, 64, 10), in_pytorch(model, 64, 10)
    transplant(theirs, ours)
    carried, source = read(ours), read(theirs)
    assert all((carried[name] == value).all() for name, value in source.items())


def test_a_weight_that_is_not_covered_is_named_and_nothing_is_changed():
    source, target = in_pytorch("resnet20", 32, 10), in_keras("resnet20", 32, 10)
    del source.stage3[2].bn2
    source.stage3[2].bn2 = torch.nn.Identity()
    before = read(target)
    with pytest.raises(ParityError, match=r"stage3\.2\.bn2\.\w+: the target has this weight and the source does not"):
        transplant(source, target)
    assert all((before[name] == value).all() for name, value in read(target).items())


def test_another_shape_is_named():
    with pytest.raises(ParityError, match=r"head\.\w+: \(100,.*\) in the source, \(10,.*\) in the target"):
        transplant(in_pytorch("resnet20", 32, 100), in_keras("resnet20", 32, 10))


def test_nothing_stays_at_a_special_value_where_a_difference_could_hide():
    values = perturbed(read(in_pytorch("convnext_tiny", 32, 10)))
    scales = [value for name, value in values.items() if name.endswith("layer_scale")]
    assert len(scales) == 18
    assert min(value.min() for value in scales) >= 0.1
    for name, value in perturbed(read(in_pytorch("mobilenetv2", 32, 10))).items():
        assert value.std() > 0 or name == "classifier.1.bias", name


def test_the_readme_s_example_runs():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    names = {}
    exec(example, names)
    ours, theirs = read(names["twin"]), read(names["network"])
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
