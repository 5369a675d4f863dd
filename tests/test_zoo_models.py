"""The zoo as a whole: its registry is checked, every family can learn, and channel attention is where it should be."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional

from lib.bench import models
from lib.pytorch import networks
from lib.pytorch.networks import eca
from lib.study.models import MODELS, ZOO, Model, Note, Published, identity

SMALL = [model.name for model in ZOO if model.published.parameters and model.published.parameters < 1]


@pytest.mark.parametrize("name", SMALL)
def test_a_small_network_passes_its_check(name):
    found = models.check(MODELS[name])
    assert found.problems == ()
    assert found.last_map in (4, 8)


@pytest.mark.thorough
def test_every_model_passes_its_check(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["models"])
    models.main()
    printed = capsys.readouterr().out
    assert len(ZOO) == 26
    assert all(model.name in printed for model in ZOO)
    assert f"{len(MODELS)} models at 32x32x3 with 100 classes; 0 problems" in printed


class Idle(nn.Module):
    """A network with a parameter that its logits do not depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle = nn.Conv2d(3, 99, 1), nn.Linear(2, 2)

    def forward(self, x):
        return self.used(x).mean((2, 3)) / 0


def test_a_network_with_faults_is_named_with_each(monkeypatch, capsys):
    monkeypatch.setattr(models, "build", lambda *_: Idle())
    monkeypatch.setitem(MODELS, "idle", Model("idle", "idle", published=Published(1.0, 1.0)))
    monkeypatch.setattr("sys.argv", ["models", "idle"])
    with pytest.raises(SystemExit) as stopped:
        models.main()
    assert stopped.value.code.splitlines() == [
        "idle: logits of shape (2, 99)",
        "idle: logits that are not finite",
        "idle: 2 parameters without a gradient, idle.weight first",
        "idle: parameters -100.0% from the published, and the row does not say why",
    ]
    assert "idle" in capsys.readouterr().out


def test_an_unknown_model_is_one_clear_error(monkeypatch):
    monkeypatch.setattr("sys.argv", ["models", "resnet21"])
    with pytest.raises(SystemExit, match=r"model 'resnet21' is unknown \(depth 21 is not 6n \+ 2, like 20 or 26\)"):
        models.main()


FAMILIES = {model.family: model.name for model in reversed(ZOO)}
"""The first network of each family."""


@pytest.mark.thorough
@pytest.mark.parametrize("name", FAMILIES.values(), ids=FAMILIES)
def test_every_family_can_learn_64_images_by_heart(name):
    """A network whose layers are wired wrongly gives the right shapes, and does not learn."""
    torch.manual_seed(0)
    network = networks.build(name, (32, 32, 3), 10)
    images, labels = torch.randn(64, 3, 32, 32), torch.arange(64) % 10
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(150):
        logits = network(images)
        if (logits.argmax(1) == labels).all():
            break
        optimizer.zero_grad()
        functional.cross_entropy(logits, labels).backward()
        optimizer.step()
    assert (network(images).argmax(1) == labels).all()


def build(**options):
    torch.manual_seed(0)
    return networks.build("eca_resnet_20", (32, 32, 3), 100, options=options).eval()


def test_the_adaptive_kernel_is_3_on_these_widths_and_the_network_that_of_a_kernel_of_3():
    """Wang et al. 2020, equation 12: (log2 C + 1) / 2 is 2.5, 3 and 3.5, and the nearest odd numbers are all 3."""
    adaptive, fixed = build(), build(kernel=3)
    kernels = [module.kernel_size for module in adaptive.modules() if isinstance(module, nn.Conv1d)]
    assert kernels == [(3,)] * 9
    assert all((fixed.state_dict()[name] == value).all() for name, value in adaptive.state_dict().items())
    assert [len(module.weight.flatten()) for module in build(kernel=9).modules() if isinstance(module, nn.Conv1d)] == [
        9
    ] * 9


def test_without_attention_the_network_is_the_resnet_weight_for_weight():
    plain, images = networks.build("resnet_20", (32, 32, 3), 100).eval(), torch.randn(2, 3, 32, 32)
    network = build(place="none")
    network.load_state_dict(plain.state_dict())
    assert torch.equal(network(images), plain(images))


@pytest.mark.parametrize("place", ["first", "second", "sum"])
def test_attention_scales_the_channels_at_its_place(place):
    """With weights of zero every gate is one half."""
    block = eca.AttentionBlock(4, 4, 1, 3, place).eval()
    plain = eca.AttentionBlock(4, 4, 1, 3, "none").eval()
    plain.load_state_dict(block.state_dict(), strict=False)
    nn.init.zeros_(getattr(block, place).conv.weight)
    x = torch.randn(2, 4, 8, 8)
    branch = plain.bn2(plain.conv2(plain.relu1(plain.bn1(plain.conv1(x)))))
    halved = plain.bn2(plain.conv2(plain.relu1(plain.bn1(plain.conv1(x)) / 2)))
    expected = {"first": halved + x, "second": branch / 2 + x, "sum": (branch + x) / 2}[place]
    assert torch.allclose(block(x), expected.relu(), atol=1e-6)


def test_the_gate_of_a_channel_looks_at_its_neighbours():
    """A kernel of 3 with weights 1, 2, 3 on channel means 1, 10, 100 gives 2 + 30, 1 + 20 + 300 and 10 + 200."""
    attention = eca.attention(3, 3, here=True)
    attention.conv.weight.data = torch.tensor([[[1.0, 2.0, 3.0]]]) / 1000
    x = torch.tensor([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1).expand(1, 3, 2, 2)
    gates = torch.tensor([0.032, 0.321, 0.210]).sigmoid().reshape(1, 3, 1, 1)
    assert torch.allclose(attention(x), x * gates)


def test_a_kernel_of_an_even_width_is_refused():
    with pytest.raises(ValueError, match="should be 1, 3, 5, 7, 9 or 'adaptive'"):
        MODELS["eca_resnet_20"].options(kernel=4)


def test_a_published_count_that_is_far_off_needs_a_reason():
    off = dataclasses.replace(MODELS["resnet_20"], published=Published(66.5, 0.35))
    assert models.check(off).problems == ("parameters -21.3% from the published, and the row does not say why",)
    count = models.check(off).parameters
    assert models.check(dataclasses.replace(off, note=Note(count, "another head"))).problems == ()


def test_a_count_that_drifts_from_that_of_its_note_fails():
    drifted = dataclasses.replace(MODELS["resnet_20"], note=Note(275_573, "another head"))
    assert models.check(drifted).problems == ("275,572 parameters, and the row's note is for 275,573",)


def test_names_of_one_network_are_found_and_no_others():
    names = {}
    for model in ZOO:
        names.setdefault(identity(model.name), []).append(model.name)
    assert [group for group in names.values() if len(group) > 1] == [
        ["resnet_20", "resnet20_no_eca"],
        ["eca_resnet_20", "ecanet20_k3", "ecanet20_adaptive"],
    ]
    assert identity("eca_resnet_20", {"kernel": 9}) == identity("ecanet20_k9")
    assert identity("eca_resnet_20", {"place": "none"}) == identity("resnet20")
    assert identity("eca_resnet_20", {"place": "first"}) != identity("eca_resnet_20")
