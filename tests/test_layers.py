"""The measurement of activation layers, on networks with known dead, dormant and saturated units."""

import copy

import pytest
import torch
from torch import nn

from lib.pytorch.layers import measure
from lib.pytorch.networks import build


def linear(weights, *after):
    """A network of one linear layer without bias, with one row of weights a unit, behind which come other layers."""
    layer = nn.Linear(len(weights[0]), len(weights), bias=False)
    layer.weight.data = torch.tensor(weights, dtype=torch.float32)
    return nn.Sequential(layer, *after)


IMAGES = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 0.0]])
LABELS = torch.tensor([0, 1, 0])


def test_dead_dormant_and_saturated_units_are_those_that_were_made_so():
    """Unit 0 is negative on every image, unit 1 on some, unit 2 is small, unit 3 is large."""
    network = linear([[-1, -1], [1, -1], [1e-3, 1e-3], [10, 10]], nn.ReLU(), nn.Linear(4, 2))
    (row,) = measure(network, IMAGES, LABELS)
    assert (row["depth"], row["layer"], row["activation"], row["units"]) == (1, "1", "ReLU", 4)
    assert (row["dead"], row["dormant"], row["saturated"]) == (1, 2, 1)
    output = torch.relu(network[0](IMAGES))
    assert row["scale"] == pytest.approx(output.square().mean().sqrt().item(), rel=1e-6)


@pytest.mark.parametrize(
    ("activation", "saturated"), [(nn.Tanh(), 2), (nn.GELU(), 1), (nn.SiLU(), 1), (nn.LeakyReLU(), 1)]
)
def test_an_activation_without_a_zero_saturates(activation, saturated):
    """At -30 and below all are flat, at 30 and above only tanh is; between they are steep on some image."""
    network = linear([[-30, -30], [30, 30], [0.1, -0.1]], activation, nn.Linear(3, 2))
    (row,) = measure(network, IMAGES, LABELS)
    assert row["saturated"] == saturated


def test_a_channel_is_one_unit_at_all_its_places():
    convolution = nn.Conv2d(1, 2, 1, bias=True)
    convolution.weight.data = torch.tensor([1.0, 1.0]).reshape(2, 1, 1, 1)
    convolution.bias.data = torch.tensor([-0.5, -2.0])
    images = torch.zeros(3, 1, 4, 4)
    images[0, 0, 2, 3] = 1  # one bright pixel lifts channel 0 above zero, and not channel 1
    network = nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))
    (row,) = measure(network, images, LABELS)
    assert (row["units"], row["dead"]) == (2, 1)


def test_the_gradient_is_that_of_an_image_s_loss_with_respect_to_the_output():
    network = linear([[1, 0], [0, 1]], nn.ReLU(), nn.Linear(2, 2))
    (row,) = measure(network, IMAGES, LABELS)
    output = torch.relu(network[0](IMAGES)).detach().requires_grad_()
    losses = nn.functional.cross_entropy(network[2](output), LABELS, reduction="none")
    (gradient,) = torch.autograd.grad(losses.sum(), output)
    assert row["gradient"] == pytest.approx(gradient.square().mean().sqrt().item(), rel=1e-6)


def test_a_module_that_is_called_again_is_a_layer_again_and_inplace_hides_nothing():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.relu, self.head = linear([[-1, 0], [0, -1]]), nn.ReLU(inplace=True), nn.Linear(2, 2)

        def forward(self, x):
            return self.head(self.relu(self.relu(self.first(x)) - 1))

    rows = measure(Twice(), IMAGES, LABELS)
    assert [(row["depth"], row["layer"], row["dead"]) for row in rows] == [(1, "relu", 2), (2, "relu (2)", 2)]


@pytest.mark.parametrize(("model", "layers"), [("plain20", 19), ("resnet20", 19), ("resnet18", 17), ("vgg11", 8)])
def test_a_network_is_measured_in_the_order_of_its_layers_and_left_as_it_is(model, layers):
    network = build(model, (32, 32, 3), 10)
    before, mode = copy.deepcopy(network.state_dict()), network.training
    images, state = torch.rand(8, 3, 32, 32), torch.get_rng_state()
    rows = measure(network, images, torch.arange(8))
    assert [row["depth"] for row in rows] == list(range(1, layers + 1))
    assert all(row["scale"] > 0 and row["gradient"] > 0 for row in rows)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training == mode
    assert not any(parameter.grad is not None for parameter in network.parameters())
    assert torch.equal(state, torch.get_rng_state())


def test_dropout_is_off_and_batches_are_normalised_by_their_own_statistics():
    network = nn.Sequential(nn.BatchNorm1d(2), nn.ReLU(), nn.Dropout(0.9), nn.Linear(2, 2))
    first, second = (measure(network, IMAGES * scale, LABELS) for scale in (1, 1000))
    assert first[0]["scale"] == pytest.approx(second[0]["scale"], rel=1e-3)
    assert measure(network, IMAGES, LABELS) == first
