"""The optimizers by name: each kind has its entry, and PyTorch's get every setting."""

from typing import get_args

import pytest
import torch
from pydantic import TypeAdapter

from lib.keras import optimizers as keras_optimizers
from lib.pytorch import optimizers
from lib.pytorch.networks import NATIVE
from lib.study import kinds
from lib.study.strict import Strict

KINDS = {get_args(kind.model_fields["name"].annotation)[0]: kind for kind in get_args(get_args(kinds.Optimizer)[0])}

CHOSEN = {
    "sgd": {"momentum": 0.8, "nesterov": True, "weight_decay": 0.02},
    "adam": {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.02},
    "adamw": {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.02},
    "rmsprop": {"alpha": 0.9, "eps": 1e-6, "momentum": 0.5, "weight_decay": 0.02},
}

OWN = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}


def test_every_kind_of_optimizer_has_its_entry_and_keras_those_that_it_may_be_asked_for():
    assert set(optimizers.OPTIMIZERS) == set(KINDS)
    in_both = {name for name, kind in KINDS.items() if "name" not in kind.pytorch_only}
    assert set(keras_optimizers.OPTIMIZERS) == in_both


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.parametrize("chosen", [True, False])
def test_an_optimizer_is_pytorch_s_own_with_every_setting(name, chosen):
    options = CHOSEN[name] if chosen else {}
    made = TypeAdapter(kinds.Optimizer).validate_python({"name": name, "learning_rate": 0.3, **options})
    found, expected = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3))
    pair = optimizers.optimizer(torch.nn.ParameterList([found]), made, NATIVE), OWN[name]([expected], lr=0.3, **options)
    assert type(pair[0]) is OWN[name]
    assert [group | {"params": []} for group in pair[0].param_groups] == [
        group | {"params": []} for group in pair[1].param_groups
    ]
    for step in range(3):
        for parameter, optimizer in zip((found, expected), pair, strict=True):
            parameter.grad = torch.linspace(-1, 2, 3) * (step + 1)
            optimizer.step()
    assert torch.equal(found, expected)


def test_the_defaults_of_the_settings_are_pytorch_s():
    for name, kind in KINDS.items():
        fields: dict[str, Strict] = kind.model_fields
        network = torch.nn.Linear(1, 1)
        own = optimizers.optimizer(network, kind(name=name, learning_rate=0.1), NATIVE)
        plain = type(own)(network.parameters(), lr=0.1)
        for field in fields.keys() - {"name", "learning_rate", "decay_norms"}:
            assert own.defaults[field] == plain.defaults[field], (name, field)


def test_without_decay_of_norms_only_weights_of_two_dimensions_shrink():
    """With gradients of zero a step of AdamW only decays: by the rate times the decay, 0.1 x 0.5."""
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2), torch.nn.Linear(2, 2))
    made = kinds.AdamW(name="adamw", learning_rate=0.1, weight_decay=0.5, decay_norms=False)
    adamw = optimizers.optimizer(network, made, NATIVE)
    for parameter in network.parameters():
        torch.nn.init.ones_(parameter)
        parameter.grad = torch.zeros_like(parameter)
    adamw.step()
    left = {name: parameter.unique().item() for name, parameter in network.named_parameters()}
    decayed = pytest.approx(0.95)
    assert left == {"0.weight": decayed, "0.bias": 1, "1.weight": 1, "1.bias": 1, "2.weight": decayed, "2.bias": 1}
    assert "decay_norms" not in kinds.AdamW(name="adamw", learning_rate=0.1).departures()
