"""The zoo's networks that are timm's, or made of its layers: what was changed for 32 pixels, and nothing else."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from lib.pytorch import layers, networks
from lib.pytorch.networks import csp, ghost, resnest
from lib.study.models import MODELS
from lib.study.networks.ghost import Options

SHAPE = (32, 32, 3)


def build(model: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return networks.build(model, SHAPE, 100, options=options)


@pytest.mark.parametrize(
    ("model", "options", "parameters", "multiply_adds", "last", "features"),
    [
        ("ghost_resnet_20", {}, 144_964, 21.3, "stage3", (64, 8, 8)),
        ("ghost_resnet_20", {"ratio": 3}, 104_884, 15.8, "stage3", (64, 8, 8)),
        ("ghost_resnet_20", {"ratio": 4}, 79_660, 11.6, "stage3", (64, 8, 8)),
        ("ghost_resnet_20", {"kernel": 1}, 26_180, 3.5, "stage3", (64, 8, 8)),
        ("ghost_resnet_32", {}, 244_644, 35.9, "stage3", (64, 8, 8)),
        ("ghostnet_100", {}, 4_029_608, 43.2, "blocks", (960, 4, 4)),
        ("cspresnet50", {}, 20_685_988, 1092.4, "stages", (1024, 4, 4)),
        ("resnest50d", {}, 25_639_140, 1667.1, "layer4", (2048, 4, 4)),
        ("resnest50d", {"stem": "imagenet"}, 25_639_140, 111.6, "layer4", (2048, 1, 1)),
        ("mlp_mixer_tiny", {}, 3_738_148, 255.4, "blocks", (64, 192)),
        ("mlp_mixer_b16", {}, 57_417_316, 4079.3, "blocks", (64, 768)),
    ],
)
def test_networks_have_their_size_and_last_features(
    model: str, options: dict[str, object], parameters: int, multiply_adds: float, last: str, features: tuple[int, ...]
) -> None:
    """Multiply-adds in millions. Nothing is computed: the tensors have shapes alone."""
    with torch.device("meta"):
        network = build(model, **options)
        shapes = []
        network.get_submodule(last).register_forward_hook(lambda _, inputs, output: shapes.append(output.shape))
        assert networks.multiply_adds(network, SHAPE) / 1e6 == pytest.approx(multiply_adds, abs=0.05)
    assert shapes == [(1, *features)]
    assert networks.parameters(network) == parameters
    row = MODELS[model]
    if not options and not row.note:
        assert parameters / 1e6 == pytest.approx(row.published.parameters, rel=0.02)


@pytest.mark.parametrize(
    ("ratio", "kernel", "count"),
    [
        (2, 3, 16 * 16 * 9 + 2 * 16 + 16 * 9 + 2 * 16),
        (3, 3, 16 * 11 * 9 + 2 * 11 + 22 * 9 + 2 * 22),  # 11 channels and 22 cheap ones, of which 21 are used
        (4, 3, 16 * 8 * 9 + 2 * 8 + 24 * 9 + 2 * 24),
        (2, 1, 16 * 16 + 2 * 16 + 16 * 9 + 2 * 16),
    ],
)
def test_a_ghost_module_of_16_to_32_channels_has_these_weights(ratio: int, kernel: int, count: int) -> None:
    """The primary convolution, the depthwise one, and the two parameters a channel of the normalisation after each."""
    module = ghost.GhostBlock(16, 32, 2, ratio, kernel).ghost1
    assert networks.parameters(module) == count
    assert module(torch.zeros(2, 16, 8, 8)).shape == (2, 32, 4, 4)


def test_a_ghost_block_has_its_second_activation_after_the_sum() -> None:
    torch.manual_seed(0)
    block = ghost.GhostBlock(16, 16, 1, 2, 3)
    maps = torch.randn(2, 16, 8, 8)
    first = block.ghost1(maps)
    second = block.ghost2(first)
    assert first.min() == 0
    assert second.min() < 0
    assert torch.equal(block(maps), (second + maps).relu())


def test_a_ghost_module_s_convolutions_start_he_normal_on_the_fan_out() -> None:
    module = ghost.GhostBlock(64, 64, 1, 2, 3).ghost2
    assert module.primary_conv[0].weight.std().item() == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.05)


@pytest.mark.parametrize("setting", [{"ratio": 1}, {"ratio": 5}, {"kernel": 2}])
def test_a_ghost_module_that_is_none_is_refused(setting: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Options(**setting)


SMALL = ["ghost_resnet_20", "ghostnet_100", "cspresnet50", "resnest50d", "mlp_mixer_tiny"]
"""One network of each kind."""


@pytest.mark.parametrize("model", SMALL)
def test_one_backward_pass_reaches_every_parameter(model: str) -> None:
    """Weights that start at zero, as a block's last normalisation does, would hide what is behind them."""
    network = build(model).eval()
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    network(torch.randn(1, 3, 32, 32)).square().sum().backward()
    assert [name for name, parameter in network.named_parameters() if not parameter.grad.any()] == []


@pytest.mark.parametrize("model", [name for name in SMALL if not MODELS[name].channels_last])
def test_their_activations_can_be_measured(model: str) -> None:
    table = layers.measure(build(model), torch.randn(2, 3, 32, 32), torch.tensor([0, 1]))
    assert {row["activation"] for row in table} == {"LeakyReLU" if model == "cspresnet50" else "ReLU"}
    assert all(np.isfinite(row["scale"]) and row["scale"] > 0 for row in table)


def rates(network: nn.Module) -> list[float]:
    return [layer.drop_prob for layer in network.modules() if hasattr(layer, "drop_prob")]


def test_stochastic_depth_rises_to_its_rate_in_cspnet_and_is_even_in_a_mixer() -> None:
    with torch.device("meta"):
        assert rates(build("cspresnet50", drop_path=0.24)) == pytest.approx([0.02 * block for block in range(1, 13)])
        assert rates(build("mlp_mixer_tiny", drop_path=0.2)) == [0.2] * 12
        assert not any(rates(build(model)) for model in SMALL)


def stride(layer: nn.Module) -> tuple[int, int] | int | None:
    return getattr(layer, "stride", None)


def changed(ours: nn.Module, theirs: nn.Module) -> set[str]:
    """Return the names of the layers that have another type or stride in timm's network."""
    pairs = {name: (layer, theirs.get_submodule(name)) for name, layer in ours.named_modules()}
    return {
        name for name, (mine, other) in pairs.items() if type(mine) is not type(other) or stride(mine) != stride(other)
    }


def logits(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return network.eval()(images)


def test_ghostnet_is_timm_s_but_for_two_strides() -> None:
    ours, theirs = build("ghostnet_100"), ghost.ghostnet_100(num_classes=100)
    strides = ["conv_stem", "blocks.1.0.conv_dw", "blocks.1.0.shortcut.0"]
    assert changed(ours, theirs) == set(strides)
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(1, 3, 64, 64)
    assert not torch.allclose(logits(ours, images), logits(theirs, images))
    for name in strides:
        ours.get_submodule(name).stride = (2, 2)
    assert torch.equal(logits(ours, images), logits(theirs, images))


def test_resnest_with_its_stem_for_imagenet_is_timm_s() -> None:
    ours, theirs = build("resnest50d", stem="imagenet"), resnest.resnest50d(num_classes=100)
    assert changed(ours, theirs) == set()
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(1, 3, 224, 224)
    assert torch.equal(logits(ours, images), logits(theirs, images))
    small = build("resnest50d")
    assert changed(small, theirs) == {"conv1.0", "maxpool"}
    assert isinstance(small.maxpool, nn.Identity)


def test_cspresnet_is_timm_s_behind_its_stem() -> None:
    ours, theirs = build("cspresnet50").eval(), csp.cspresnet50(num_classes=100).eval()
    state = {name: value for name, value in theirs.state_dict().items() if name != "stem.conv1.conv.weight"}
    missing, unexpected = ours.load_state_dict(state, strict=False)
    assert (missing, unexpected) == (["stem.conv1.conv.weight"], [])
    assert ours.stem.conv1.conv.weight.shape == (64, 3, 3, 3)
    with torch.no_grad():
        maps = ours.stem(torch.randn(1, 3, 32, 32))
        assert maps.shape == (1, 64, 32, 32)
        assert torch.equal(ours.head(ours.stages(maps)), theirs.head(theirs.stages(maps)))


def test_the_mixer_is_timm_s_b16_for_as_many_tokens() -> None:
    """timm's has 64 tokens of 16x16 pixels at 128x128."""
    from timm.models.mlp_mixer import mixer_b16_224

    ours = build("mlp_mixer_b16")
    nn.init.normal_(ours.head.weight)  # it starts at zero
    with torch.device("meta"):
        theirs = mixer_b16_224(img_size=128, num_classes=100)
    patches = ours.stem.proj.weight
    assert (patches.shape, ours.stem.proj.stride) == ((768, 3, 4, 4), (4, 4))
    padded = torch.zeros(768, 3, 16, 16)
    padded[..., :4, :4] = patches.detach()
    theirs.load_state_dict(ours.state_dict() | {"stem.proj.weight": padded}, assign=True)
    images = torch.randn(1, 3, 32, 32)
    # Each of our patches is the upper left corner of one of theirs.
    spread = torch.zeros(1, 3, 8, 16, 8, 16)
    spread[:, :, :, :4, :, :4] = images.reshape(1, 3, 8, 4, 8, 4)
    torch.testing.assert_close(logits(ours, images), logits(theirs, spread.reshape(1, 3, 128, 128)))


def test_the_tiny_mixer_s_blocks_have_the_paper_s_proportions() -> None:
    block = build("mlp_mixer_tiny").blocks[0]
    assert block.mlp_tokens.fc1.weight.shape == (192 // 2, 64)
    assert block.mlp_channels.fc1.weight.shape == (4 * 192, 192)
