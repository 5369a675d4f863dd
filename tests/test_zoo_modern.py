"""The zoo's ConvNeXt, MSCAN, HorNet and CoAtNet: counts, maps, gradients, and layers against cases worked by hand."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from lib.pytorch import networks
from lib.pytorch.layers import ACTIVATIONS
from lib.pytorch.networks import coatnet, hornet, mscan
from lib.study.models import MODELS

import timm.models.convnext as timm_convnext  # isort: skip  (after lib.pytorch)
from timm.layers import DropPath  # isort: skip
from timm.models.maxxvit import MaxxVit, model_cfgs  # isort: skip
from torchvision import models  # isort: skip
from torchvision.ops import StochasticDepth  # isort: skip

SHAPE = (32, 32, 3)
COUNTS = {
    "convnext_tiny": (27_895_012, 1_452_628_992),
    "improved_resnet20_convnext": (178_516, 25_897_216),
    "segnext_mscan_tiny": (856_844, 77_583_872),
    "hornet_tiny": (21_946_468, 1_294_308_352),
    "coatnet_0": (24_308_720, 1_256_856_576),
    "coatnet_0_custom_enhanced": (27_384_590, 2_491_455_488),
    "coatnet_cifar_opt": (26_699_830, 1_336_470_528),
    "coatnet_cifar_opt_large_stem": (26_703_670, 1_340_402_688),
}
LAST = {"improved_resnet20_convnext": 8}
"""The side of the last map where it is not 4 pixels: the ResNet for CIFAR has three stages."""


def build(model: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return networks.build(model, SHAPE, 100, options=options)


def images(size: int = 32) -> Tensor:
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))


def recorded(network: nn.Module, kind: type[nn.Module] | tuple[type[nn.Module], ...]) -> list[Tensor]:
    """Return a list that gets the outputs of the modules of a kind, in the order of the forward pass."""
    seen: list[Tensor] = []
    for module in network.modules():
        if isinstance(module, kind):
            module.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    return seen


@pytest.mark.parametrize("model", COUNTS)
def test_counts_and_last_maps_are_as_described_and_every_weight_gets_a_gradient(model: str) -> None:
    network, row = build(model, drop_path=0.0), MODELS[model]  # a skipped block has no gradient
    assert (networks.parameters(network), networks.multiply_adds(network, SHAPE)) == COUNTS[model]
    if row.published and row.published.parameters:
        off = COUNTS[model][0] / 1e6 / row.published.parameters - 1
        assert (abs(off) > 0.02) == bool(row.note)
    maps = recorded(network, nn.Module)
    logits = network(images())
    assert logits.shape == (1, 100)
    maps = [each for each in maps if each.ndim == 4 and each.shape[-1] > 1]
    side = LAST.get(model, 4)
    assert tuple(maps[-1].shape[2:]) == (side, side)
    logits[0, 0].backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()] == []


@pytest.mark.parametrize("model", COUNTS)
def test_activations_have_their_channels_in_the_second_dimension_unless_the_row_says_so(model: str) -> None:
    with torch.device("meta"):
        network = build(model)
        outputs = recorded(network, ACTIVATIONS)
        network(torch.empty(1, *SHAPE[::-1]))
    named = [layer for layer in network.modules() if type(layer).__name__ in ("GELU", "SiLU", "ReLU")]
    assert all(isinstance(layer, ACTIVATIONS) for layer in named)  # timm has classes of the same names
    maps = [output for output in outputs if output.ndim == 4]
    assert len(maps) >= 9
    assert {output.ndim for output in outputs} <= {2, 4}
    assert all(output.shape[2] == output.shape[3] for output in maps) != MODELS[model].channels_last


@pytest.mark.parametrize("model", COUNTS)
def test_the_chance_of_being_skipped_rises_over_the_blocks(model: str) -> None:
    with torch.device("meta"):
        network = build(model, drop_path=0.3)
    rates = [module for module in network.modules() if isinstance(module, DropPath | StochasticDepth)]
    rates = [module.p if isinstance(module, StochasticDepth) else module.drop_prob for module in rates]
    assert rates == sorted(rates)
    assert max(rates) == pytest.approx(0.3)
    assert min(rates) < 0.05
    with pytest.raises(ValidationError):
        MODELS[model].options(drop_path=1.0)


def test_convnext_with_the_stem_of_imagenet_is_torchvision_s_and_timm_s() -> None:
    own = build("convnext_tiny", stem="imagenet").eval()
    for name, weight in own.named_parameters():
        if name.endswith("layer_scale"):
            nn.init.normal_(weight)  # at 1e-6 the blocks would not show in the logits
    with torch.device("meta"):
        theirs, timms = (library.convnext_tiny(num_classes=100).eval() for library in (models, timm_convnext))
    theirs.load_state_dict(own.state_dict(), assign=True)
    names = timms.state_dict()
    weights = zip(names, own.state_dict().values(), strict=True)
    timms.load_state_dict({name: weight.reshape(names[name].shape) for name, weight in weights}, assign=True)
    photographs = images(64)
    expected = own(photographs)
    assert torch.equal(theirs(photographs), expected)
    torch.testing.assert_close(timms(photographs), expected, rtol=1e-4, atol=1e-4)


def test_convnext_has_torchvision_s_stochastic_depth_without_options() -> None:
    with torch.device("meta"):
        pairs = [
            [layer.p for layer in network.modules() if isinstance(layer, StochasticDepth)]
            for network in (build("convnext_tiny"), models.convnext_tiny())
        ]
    assert pairs[0] == pairs[1]


def test_the_improved_resnet_has_one_activation_and_one_normalisation_a_block() -> None:
    with torch.device("meta"):
        network = build("improved_resnet20_convnext")
    kinds = [type(module).__name__ for module in network.modules()]
    assert (kinds.count("GELU"), kinds.count("ConvNeXtBlock")) == (9, 9)
    assert kinds.count("LayerNorm2d") == 9 + 1 + 2  # the blocks, the stem and the two that halve the map
    assert {conv.kernel_size for conv in network.modules() if isinstance(conv, nn.Conv2d) and conv.groups > 1} == {
        (7, 7)
    }


def test_mscan_and_hornet_have_the_counts_of_their_papers_with_the_stems_of_imagenet() -> None:
    with torch.device("meta"):
        tiny = mscan.MSCAN(3, 1000, (32, 64, 160, 256), (3, 3, 5, 2), 0.0, stride=2)
        hor = hornet.network(nn.Conv2d(3, 64, 4, stride=4), 1000)
    assert networks.parameters(tiny) / 1e6 == pytest.approx(4.2, abs=0.05)
    assert networks.parameters(hor) / 1e6 == pytest.approx(22.4, abs=0.05)


def centred(conv: nn.Conv2d, value: float) -> None:
    """Make a depthwise convolution multiply by a number."""
    nn.init.zeros_(conv.weight)
    conv.weight.data[:, :, conv.kernel_size[0] // 2, conv.kernel_size[1] // 2] = value
    nn.init.zeros_(conv.bias)


def weighted(conv: nn.Conv2d, weights: list[list[float]], bias: list[float] | None = None) -> None:
    """Set a 1x1 convolution to a matrix (outputs, inputs) and a bias."""
    conv.weight.data = torch.tensor(weights)[:, :, None, None]
    conv.bias.data = torch.tensor(bias or [0.0] * len(weights))


@pytest.mark.parametrize("upright", [False, True])
def test_multi_scale_attention_adds_strips_of_7_11_and_21(upright: bool) -> None:
    """The values 2, 3 and 5 at 0, 4 and 10 reach 3, 5 and 10 pixels far, and each is its own local part too."""
    attention = mscan.MultiScaleAttention(1)
    for conv in attention.modules():
        if isinstance(conv, nn.Conv2d):
            nn.init.ones_(conv.weight)
            nn.init.zeros_(conv.bias)
    centred(attention.local, 1)
    line = torch.zeros(1, 1, 1, 30)
    line[..., [0, 4, 10]] = torch.tensor([2.0, 3, 5])
    expected = torch.zeros_like(line)
    expected[..., 0] = 2 * (2 + 2 + (2 + 3) + (2 + 3 + 5))
    expected[..., 4] = 3 * (3 + 3 + (2 + 3) + (2 + 3 + 5))
    expected[..., 10] = 5 * (5 + 5 + 5 + (2 + 3 + 5))
    if upright:
        line, expected = line.mT, expected.mT
    torch.testing.assert_close(attention(line), expected)


def test_a_gated_convolution_widens_and_multiplies_order_by_order() -> None:
    layer = hornet.GatedConvolution(4, order=3)
    assert layer.widths == [1, 2, 4]
    weighted(layer.enter, [[0.0] * 4] * 8, [2.0, 1, 2, 3, 4, 5, 6, 7])
    centred(layer.depthwise, 3)  # the scale is a third: the gates are 1, (2, 3) and (4, 5, 6, 7)
    weighted(layer.widen[0], [[1.0], [-1]])  # 2 * 1 = 2 becomes (2, -2), and times the gates (4, -6)
    weighted(layer.widen[1], [[1.0, 0], [0, 1], [1, 1], [0, 0]], [1.0] * 4)  # (5, -5, -1, 1)
    weighted(layer.leave, torch.eye(4).tolist())
    expected = torch.tensor([5.0 * 4, -5 * 5, -1 * 6, 1 * 7])
    torch.testing.assert_close(layer(torch.zeros(1, 4, 1, 1)).flatten(), expected)


def test_a_large_selective_kernel_weighs_its_two_maps_by_place() -> None:
    layer = coatnet.LargeSelectiveKernel(2)
    centred(layer.small, 1)  # (2, 4)
    centred(layer.large, 2)  # (4, 8)
    weighted(layer.narrow[0], [[1.0, 1]])  # 6
    weighted(layer.narrow[1], [[1.0, 0]])  # 4: their mean is 5, their maximum 6
    nn.init.zeros_(layer.choose.weight)
    nn.init.zeros_(layer.choose.bias)
    layer.choose.weight.data[1, :, 3, 3] = torch.tensor([1.0, -1])
    weighted(layer.widen, [[1.0], [2]])
    chosen = 6 / 2 + 4 / (1 + math.e)
    found = layer(torch.tensor([2.0, 4]).reshape(1, 2, 1, 1)).flatten()
    torch.testing.assert_close(found, torch.tensor([2 * chosen, 4 * 2 * chosen]))


def halving(network: nn.Module) -> set[str]:
    """Return the names of the convolutions and pools that halve the map."""
    return {name for name, module in network.named_modules() if getattr(module, "stride", 1) in (2, (2, 2))} - {"stem"}


@pytest.mark.parametrize("model", ["coatnet_0", "coatnet_cifar_opt"])
def test_coatnet_is_timm_s_but_for_the_two_places_that_no_longer_halve_the_map(model: str) -> None:
    own = build(model).eval()
    configuration = MODELS[model].arguments.get("configuration", "coatnet_0")
    timms = MaxxVit(model_cfgs[configuration], img_size=128, num_classes=100).eval()
    timms.load_state_dict(own.state_dict())
    photographs = images()
    with torch.no_grad():
        assert torch.equal(own.stem.conv1(photographs)[:, :, ::2, ::2], timms.stem.conv1(photographs))
        maps = own.stages[0](own.stem(photographs))
        assert maps.shape == (1, 96, 32, 32)
        assert torch.equal(own(photographs), timms.forward_head(timms.norm(timms.stages[1:](maps))))
    first = "stages.0.blocks.0."
    main = first + ("conv2_kxk" if model == "coatnet_0" else "down.pool")
    assert halving(timms) - halving(own) == {"stem.conv1", first + "shortcut.pool", main}


def test_attention_of_coatnet_sees_8x8_and_4x4_places() -> None:
    with torch.device("meta"):
        stages = build("coatnet_0").stages
    sizes = [block.attn.rel_pos.window_size for stage in stages[2:] for block in stage.blocks]
    assert sizes == [(8, 8)] * 5 + [(4, 4)] * 2


def test_the_large_stem_is_7x7_in_its_first_convolution_and_the_selective_coatnet_has_no_squeeze() -> None:
    with torch.device("meta"):
        stems = [build(model).stem for model in ("coatnet_cifar_opt", "coatnet_cifar_opt_large_stem")]
        kinds = [type(module).__name__ for module in build("coatnet_0_custom_enhanced").modules()]
    assert [(stem.conv1.kernel_size[0], stem.conv2.kernel_size[0]) for stem in stems] == [(3, 3), (7, 3)]
    assert (kinds.count("LargeSelectiveKernel"), kinds.count("SEModule"), kinds.count("MbConvBlock")) == (5, 0, 5)


class Attending(nn.Module):
    """A 1x1 convolution whose places attend to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        places = self.conv(x).flatten(2).mT
        return nn.functional.scaled_dot_product_attention(places, places, places)


def test_the_two_products_of_attention_are_counted() -> None:
    assert networks.multiply_adds(Attending(), (4, 4, 3)) == 16 * 3 * 8 + 2 * 16 * 16 * 8
