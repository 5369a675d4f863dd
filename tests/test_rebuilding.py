"""What the chapter on the training says of the networks is what the built networks have."""

import re

import keras
import pytest
from torch import nn

from lib.analysis import rebuilding
from lib.keras.networks.cifar_resnet import build as build_keras
from lib.pytorch.networks.cifar_resnet import build
from lib.study.loading import load_study


def test_a_network_for_cifar_is_described_as_it_is_built():
    (said,) = rebuilding.networks(load_study("quickstart"))
    network = build((32, 32, 3), 10, depth=20)
    blocks = [len(stage) for stage in (network.stage1, network.stage2, network.stage3)]
    widths = [stage[0].conv1.out_channels for stage in (network.stage1, network.stage2, network.stage3)]
    assert blocks == [int(re.search(r"stages of (\d+) blocks", said)[1])] * 3
    assert "with {}, {} and {} channels".format(*widths) in said
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    constants = rebuilding.CIFAR_BATCH_NORM
    assert {(one.eps, 1 - one.momentum) for one in norms} == {(constants.epsilon, constants.momentum)}
    twin = build_keras((32, 32, 3), 10, load_study("quickstart").cells[0].conventions, depth=20)
    norms = [layer for layer in twin.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(one.epsilon, one.momentum) for one in norms} == {(constants.epsilon, constants.momentum)}
    assert "epsilon 1e-05 and momentum 0.9" in said
    assert "(A)" in said


@pytest.mark.parametrize("name", ["stage2", "zoo", "degradation", "fashion-ablations"])
def test_every_network_of_a_study_has_its_sentence(name):
    study = load_study(name)
    said = rebuilding.networks(study)
    assert [re.match(r"\*\*(.+?)\*\*", one)[1] for one in said] == list(study.models)
    plain = [one for one in said if one.startswith("**plain")]
    assert all("there are no shortcuts" in one for one in plain)
