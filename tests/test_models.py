"""Both frameworks' models: sizes, counts, stems, initial weights, and that resnet20 is one network written twice."""

import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import keras
import numpy as np
import pytest
import torch
from torch import nn

from lib.errors import ParameterError
from lib.keras import networks as keras_networks
from lib.keras.networks.convnext import depthwise
from lib.keras.weights import tensors
from lib.pytorch import networks as pytorch_networks
from lib.pytorch.networks import cifar_resnet, pooled
from lib.study.models import MODELS, Model

FRAMEWORKS = {"keras": keras_networks, "pytorch": pytorch_networks}
EVERY = [(name, size) for name, model in MODELS.items() for size in (32, 64) if size in (model.sizes or (size,))]
TWINS = [name for name, model in MODELS.items() if model.twin]


@pytest.fixture
def policy() -> Iterator[None]:
    """Put Keras' dtype policy back after a test that changes it."""
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


def photographs(count: int, *shape: int) -> np.ndarray:
    """Return random images (N, H, W, C) in float32."""
    return np.random.default_rng(0).normal(size=(count, *shape)).astype("float32")


def keras_build(model: str, size: int, classes: int = 10, channels: int = 3) -> keras.Model:
    return keras_networks.build(model, (size, size, channels), classes)


def pytorch_build(model: str, size: int, classes: int = 10, channels: int = 3, **options: object) -> nn.Module:
    return pytorch_networks.build(model, (size, size, channels), classes, options=options)


def torch_logits(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """Apply a PyTorch model to Keras' layout of images, in the model's own dtype."""
    dtype = next(model.parameters()).dtype
    return model(torch.from_numpy(images).permute(0, 3, 1, 2).to(dtype)).detach().numpy()


@pytest.mark.parametrize("framework", FRAMEWORKS.values(), ids=FRAMEWORKS)
@pytest.mark.parametrize(
    ("model", "size", "choices"), [("vgg16", 32, "mobilenetv2, resnet50"), ("mobilenetv2", 28, "32x32, 64x64")]
)
def test_an_unknown_model_or_size_is_refused_with_the_choices(
    framework: ModuleType, model: str, size: int, choices: str
) -> None:
    with pytest.raises(ParameterError, match=choices):
        framework.build(model, (size, size, 3), 10)


@pytest.mark.parametrize(("model", "size"), EVERY)
def test_every_model_gives_one_logit_a_class(model: str, size: int) -> None:
    images = photographs(2, size, size, 3)
    logits = torch_logits(pytorch_build(model, size, 7).eval(), images)
    assert logits.shape == (2, 7)
    assert not np.allclose(logits.sum(axis=1), 1)
    if model in TWINS:
        assert keras_build(model, size, 7)(images).numpy().shape == (2, 7)


@pytest.mark.parametrize("model", TWINS)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_model_takes_any_number_of_channels_and_starts_its_stem_alike(model: str, channels: int) -> None:
    """The first convolution has other inputs, and nothing else is changed; it is drawn with the same deviation."""
    for size in (32, 64):
        twin, native = (pytorch_build(model, size, channels=count) for count in (channels, 3))
        shapes, known = ({name: tuple(value.shape) for name, value in one.named_parameters()} for one in (twin, native))
        changed = [name for name in shapes if shapes[name] != known[name]]
        assert len(changed) == 1
        assert shapes[changed[0]] == (known[changed[0]][0], channels, *known[changed[0]][2:])
        stems = [one.get_parameter(changed[0]).std().item() for one in (twin, native)]
        assert stems[0] == pytest.approx(stems[1], rel=0.15)
        built = {tensor.name: tensor.shape for tensor in tensors(keras_build(model, size, channels=channels))}
        assert built[changed[0]] == shapes[changed[0]]
        assert torch_logits(twin.eval(), photographs(1, size, size, channels)).shape == (1, 10)


@pytest.mark.parametrize("shape", [(28, 28, 1), (33, 20, 2)])
def test_a_network_for_cifar_is_one_function_of_images_of_any_size_in_both_frameworks(
    shape: tuple[int, int, int], policy: None
) -> None:
    twin, model = perturbed_twins(shape)
    images = photographs(4, *shape)
    np.testing.assert_allclose(model(images).numpy(), torch_logits(twin.eval(), images), rtol=0, atol=1e-12)


def test_a_model_of_one_framework_is_a_row_and_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(shape: tuple[int, int, int], classes: int, width: int, bias: bool = True) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(width), nn.Linear(width, classes, bias))

    monkeypatch.setitem(sys.modules, "lib.pytorch.networks.toy", SimpleNamespace(build=build))
    monkeypatch.setitem(MODELS, "toy4", Model("toy4", "toy", {"width": 4}))
    assert MODELS["toy4"].frameworks == ("pytorch",)
    assert pytorch_build("toy4", 9, channels=2)[2].in_features == 4
    assert pytorch_build("toy4", 9, width=5, bias=False)[2].bias is None


@pytest.mark.parametrize("framework", FRAMEWORKS.values(), ids=FRAMEWORKS)
@pytest.mark.parametrize("depth", [2, 21, 0])
def test_a_depth_that_no_network_for_cifar_has_is_refused(
    framework: ModuleType, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, "deep", Model("deep", "cifar_resnet", {"depth": depth}, MODELS["resnet20"].twin))
    with pytest.raises(ParameterError, match=rf"depth {depth} is not 6n \+ 2"):
        framework.build("deep", (32, 32, 3), 10)


def test_a_width_multiplies_the_channels_of_every_stage() -> None:
    wide = pytorch_build("resnet20", 32, width=24)
    stages = wide.stage1, wide.stage2, wide.stage3
    assert wide.conv.out_channels == 24
    assert [stage[-1].conv2.out_channels for stage in stages] == [24, 48, 96]
    assert wide.head.in_features == 96


def test_a_plain_network_has_the_weights_of_the_other_and_adds_no_shortcut() -> None:
    """A block whose last normalisation is zero is an identity after its ReLU, or, without a shortcut, zero."""
    plain, residual = pytorch_build("resnet20", 32, skip=False).eval(), pytorch_build("resnet20", 32).eval()
    assert {name: value.shape for name, value in plain.state_dict().items()} == {
        name: value.shape for name, value in residual.state_dict().items()
    }
    maps = torch.rand(2, 16, 8, 8)
    for network, expected in ((plain, torch.zeros_like(maps)), (residual, maps)):
        block = network.stage1[0]
        nn.init.zeros_(block.bn2.weight)
        assert torch.equal(block(maps), expected)


@pytest.mark.parametrize("model", TWINS)
def test_keras_models_run_in_mixed_precision_on_float32_weights(model: str, policy: None) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    built = keras_build(model, 32)
    logits = built(photographs(1, 32, 32, 3), training=True)
    assert logits.dtype == "bfloat16"
    assert np.isfinite(keras.ops.convert_to_numpy(keras.ops.cast(logits, "float32"))).all()
    assert {variable.dtype for variable in built.trainable_variables} == {"float32"}


def test_resnet_counts_are_those_of_option_a(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {20: 269_722, 56: 853_018}
    for depth, count in counts.items():
        monkeypatch.setitem(MODELS, "deep", Model("deep", "cifar_resnet", {"depth": depth}, MODELS["resnet20"].twin))
        for framework in FRAMEWORKS.values():
            assert framework.parameters(framework.build("deep", (32, 32, 3), 10)) == count


def test_replaced_stems_start_as_torchvision_starts_them() -> None:
    conv = pytorch_build("resnet50", 32, 10).conv1
    assert conv.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.1)
    for size in (32, 64):
        stem = pytorch_build("convnext_tiny", size, 10).features[0][0]
        assert stem.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert not stem.bias.any()


def weights(framework: str, model: str, seed: int) -> list[np.ndarray]:
    """Build a model from a seed and return its trainable weights, constants such as a bias of zeros left out."""
    keras.utils.set_random_seed(seed)
    torch.manual_seed(seed)
    built = FRAMEWORKS[framework].build(model, (32, 32, 3), 10)
    found = built.parameters() if framework == "pytorch" else built.trainable_variables
    arrays = [np.asarray(value.detach() if framework == "pytorch" else value) for value in found]
    return [array for array in arrays if array.min() < array.max()]


@pytest.mark.parametrize(
    ("framework", "model"), [(framework, name) for name, row in MODELS.items() for framework in row.frameworks]
)
def test_every_weight_is_drawn_from_the_seed_and_none_was_trained_before(framework: str, model: str) -> None:
    first, other = weights(framework, model, 1), weights(framework, model, 2)
    assert len(first) > 8
    assert not any(np.array_equal(*pair) for pair in zip(first, other, strict=True))


@pytest.mark.parametrize(
    ("model", "shape", "options", "count"),
    [
        ("resnet20", (32, 32, 3), {}, 269_722),  # 0.27 million in table 6 of He et al. (2016)
        ("plain20", (32, 32, 3), {}, 269_722),
        ("resnet56", (32, 32, 3), {}, 853_018),  # 0.85 million there
        ("plain56", (32, 32, 3), {}, 853_018),
        ("resnet110", (32, 32, 3), {}, 1_727_962),  # 1.7 million there
        ("resnet20", (32, 32, 3), {"shortcut": "B"}, 269_722 + 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64),
        ("resnet9", (32, 32, 3), {}, 6_573_130),
        ("resnet9", (28, 28, 1), {"skip": False}, 6_573_130 - 2 * 9 * 64),
        ("vgg11", (28, 28, 1), {"batch_norm": False}, 9_227_210 - (64 + 128 + 2 * 256 + 4 * 512)),
        ("resnet18", (28, 28, 1), {}, 11_172_810),
        ("resnet50", (28, 28, 1), {"width": 64}, 23_519_690),
    ],
)
def test_networks_have_the_published_number_of_parameters(
    model: str, shape: tuple[int, int, int], options: dict[str, object], count: int
) -> None:
    built = pytorch_networks.build(model, shape, 10, options=options)
    assert pytorch_networks.parameters(built) == count
    assert built(torch.zeros(2, shape[2], *shape[:2])).shape == (2, 10)


@pytest.mark.parametrize("model", ["resnet18", "resnet50", "resnet9", "vgg11"])
def test_half_the_width_is_half_the_channels_of_every_convolution(model: str) -> None:
    whole, half = (
        [
            layer.out_channels
            for layer in pytorch_build(model, 32, width=width).modules()
            if isinstance(layer, nn.Conv2d)
        ]
        for width in (64, 32)
    )
    assert whole == [2 * channels for channels in half]


def test_shortcut_a_takes_every_second_pixel_and_adds_channels_of_zeros() -> None:
    images = torch.arange(1.0, 10).reshape(1, 1, 3, 3)
    expected = torch.tensor([[[[1.0, 3], [7, 9]], [[0, 0], [0, 0]]]])
    assert torch.equal(cifar_resnet.ZeroPadding(1)(images), expected)


def test_shortcut_b_is_a_projection_where_the_channels_change_and_nowhere_else() -> None:
    network = pytorch_build("resnet20", 32, shortcut="B")
    found = [name for name, layer in network.named_modules() if isinstance(layer, cifar_resnet.Projection)]
    assert found == ["stage2.0.shortcut", "stage3.0.shortcut"]


def test_resnet9_has_page_s_maps() -> None:
    """Each stage's convolution comes before its pooling: 380 million multiply-adds for 32 pixels and 3 channels."""
    network = pytorch_build("resnet9", 32)
    maps = {}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(
                lambda _, inputs, output, name=name: maps.update({name: tuple(output.shape[1:])})
            )
    network(torch.zeros(1, 3, 32, 32))
    sides = [32, 32, 16, 16, 16, 8, 4, 4]
    assert list(maps.values()) == [
        (width, side, side) for width, side in zip([64, 128, 128, 128, 256, 512, 512, 512], sides, strict=True)
    ]
    assert pytorch_networks.multiply_adds(network, (32, 32, 3)) == pytest.approx(380e6, rel=0.01)


@pytest.mark.parametrize(("model", "factor"), [("resnet9", 0.125), ("vgg11", 1)])
def test_the_logits_have_the_published_factor(model, factor):
    network, images = pytorch_build(model, 32, width=8).eval(), torch.randn(2, 3, 32, 32)
    features = network.body(images).amax((2, 3))
    assert torch.allclose(network(images), factor * network.head(features))


def test_resnet9_without_skips_has_no_sum_and_without_batch_norm_a_bias() -> None:
    network = pytorch_build("resnet9", 32, skip=False, batch_norm=False, activation="tanh", width=8)
    kinds = {type(layer) for layer in network.modules()}
    assert not {pooled.Residual, nn.BatchNorm2d, nn.ReLU} & kinds
    assert nn.Tanh in kinds
    assert all(layer.bias is not None for layer in network.modules() if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize(
    ("model", "stem"),
    [("mobilenetv2", "Conv1"), ("resnet50", "conv1_conv"), ("convnext_tiny", "convnext_tiny_stem_conv")],
)
def test_replaced_stems_start_as_keras_starts_them(model: str, stem: str) -> None:
    """Glorot uniform with a bias of zeros: the default of `keras.layers.Conv2D`, left alone by Keras Applications."""
    for size in (32, 64):
        built = keras_build(model, size, 10)
        kernel, *bias = (value.numpy() for value in built.trainable_variables if value.path.split("/")[-2] == stem)
        height, width, channels, filters = kernel.shape
        bound = (6 / (height * width * (channels + filters))) ** 0.5
        assert 0.98 * bound < np.abs(kernel).max() <= bound
        assert kernel.std() == pytest.approx(bound / 3**0.5, rel=0.1)
        assert not np.any(bias)


def test_a_seed_draws_the_weights_of_a_rebuilt_keras_model() -> None:
    def kernels(seed: int) -> list[np.ndarray]:
        keras.utils.set_random_seed(seed)
        model = keras_build("mobilenetv2", 32, 10)
        return [model.get_layer(f"block_{block}_project").kernel.numpy() for block in (7, 8)]

    first, again, other = kernels(1), kernels(1), kernels(2)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert not np.allclose(first[0], first[1])


def test_the_depthwise_convolution_is_the_grouped_one(policy: None) -> None:
    keras.config.set_dtype_policy("float64")
    grouped = keras.layers.Conv2D(24, 7, padding="same", groups=24)
    rebuilt = depthwise(grouped)
    images = np.random.default_rng(0).normal(size=(2, 9, 9, 24))
    for layer in (grouped, rebuilt):
        layer.build(images.shape)
    assert rebuilt.kernel.numpy().std() == pytest.approx(grouped.kernel.numpy().std(), rel=0.1)
    assert rebuilt.count_params() == grouped.count_params()
    bias = np.random.default_rng(1).normal(size=24)
    kernel = grouped.kernel.numpy()
    grouped.set_weights([kernel, bias])
    rebuilt.set_weights([kernel.transpose(0, 1, 3, 2), bias])
    np.testing.assert_allclose(rebuilt(images), grouped(images), rtol=0, atol=1e-12)


def test_convnext_has_no_grouped_convolution_and_no_normalisation_left_in_keras() -> None:
    kinds = [type(layer).__name__ for layer in keras_build("convnext_tiny", 32, 10).layers]
    assert kinds.count("DepthwiseConv2D") == 18
    assert not {"Conv2D", "Normalization"} & set(kinds)


def perturbed_twins(shape: tuple[int, int, int]) -> tuple[nn.Module, keras.Model]:
    """Return resnet20 in both frameworks in float64 with the same weights, none of them at its initial 0 or 1."""
    torch.manual_seed(0)
    twin = pytorch_networks.build("resnet20", shape, 10).double()
    for module in twin.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.5)
            for tensor in (module.bias.data, module.running_mean):
                tensor.normal_(0, 0.1)
    keras.config.set_dtype_policy("float64")
    model = keras_networks.build("resnet20", shape, 10)
    transplant(twin, model)
    return twin, model


def transplant(twin: nn.Module, model: keras.Model) -> None:
    """Write every parameter and buffer of the PyTorch model into the Keras layer of the same name."""
    names = [name for name, module in twin.named_modules() if list(module.parameters(recurse=False))]
    assert names == [layer.name for layer in model.layers if layer.weights]
    for name in names:
        tensors = [value.numpy() for value in twin.get_submodule(name).state_dict().values() if value.ndim]
        tensors[0] = tensors[0].transpose({4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[tensors[0].ndim])
        model.get_layer(name).set_weights(tensors)


@pytest.mark.parametrize("size", [32, 64])
def test_resnet20_is_the_same_function_in_both_frameworks(size: int, policy: None) -> None:
    twin, model = perturbed_twins((size, size, 3))
    images = photographs(4, size, size, 3)
    np.testing.assert_allclose(model(images).numpy(), torch_logits(twin.eval(), images), rtol=0, atol=1e-12)


def test_resnet20_agrees_in_training_down_to_the_running_statistics(policy: None) -> None:
    twin, model = perturbed_twins((32, 32, 3))
    images = photographs(4, 32, 32, 3)
    before = model.get_layer("bn").moving_variance.numpy()
    logits = model(images, training=True).numpy()
    np.testing.assert_allclose(logits, torch_logits(twin.train(), images), rtol=0, atol=1e-12)
    norm, twin_norm = model.get_layer("bn"), twin.bn
    np.testing.assert_allclose(norm.moving_mean.numpy(), twin_norm.running_mean.numpy(), rtol=0, atol=1e-7)
    # PyTorch feeds its running variance with n / (n - 1) times the batch's variance, Keras with the variance itself.
    values = images.shape[0] * 32 * 32
    unbiased = before * 0.9 + (norm.moving_variance.numpy() - before * 0.9) * values / (values - 1)
    np.testing.assert_allclose(unbiased, twin_norm.running_var.numpy(), rtol=0, atol=1e-7)


def test_resnet20_starts_from_the_same_distributions_in_both_frameworks() -> None:
    twin, model = pytorch_build("resnet20", 32, 100), keras_build("resnet20", 32, 100)
    for name, module in twin.named_modules():
        if isinstance(module, nn.Conv2d):
            expected = (2 / (module.out_channels * 9)) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.15)
            assert model.get_layer(name).kernel.numpy().std() == pytest.approx(expected, rel=0.15)
        if isinstance(module, nn.BatchNorm2d):
            norm = model.get_layer(name)
            assert (norm.epsilon, norm.momentum) == (module.eps, 1 - module.momentum) == (1e-5, 0.9)
    twin_head = [value.numpy() for value in twin.head.state_dict().values()]
    for values in model.get_layer("head").get_weights() + twin_head:
        assert np.abs(values).max() == pytest.approx(1 / 8, rel=0.05)
        assert values.std() == pytest.approx(1 / 8 / 3**0.5, rel=0.2)


def test_torchvision_operators_that_are_there_are_not_declared_again() -> None:
    """Beside a CUDA build of PyTorch torchvision's own library brings them; beside another they are made up here."""
    script = "from lib.pytorch import torchvision_ops; import torchvision; print(torchvision_ops.DECLARED is None)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if done.stdout == "True\n":
        return
    script = (
        "import torch; present = torch.library.Library('torchvision', 'DEF')\n"
        "for name in ('nms', 'qnms'): present.define(name + '(Tensor a, Tensor b, float c) -> Tensor')\n"
        "from lib.pytorch import torchvision_ops; assert torchvision_ops.DECLARED is None; import torchvision"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
