"""Both frameworks' models: sizes, counts, stems, initial weights, and that resnet20 is one network written twice."""

import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import get_args

import keras
import numpy as np
import pytest
import torch
from torch import nn

from lib.errors import ParameterError
from lib.keras import models as keras_models
from lib.pytorch import models as pytorch_models
from lib.study.params import ModelName

FRAMEWORKS = (keras_models, pytorch_models)
EVERY = [(model, size) for model in get_args(ModelName) for size in (32, 64)]


@pytest.fixture
def policy() -> Iterator[None]:
    """Put Keras' dtype policy back after a test that changes it."""
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


def photographs(count: int, size: int) -> np.ndarray:
    """Return random images (N, H, W, 3) in float32."""
    return np.random.default_rng(0).normal(size=(count, size, size, 3)).astype("float32")


def torch_logits(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """Apply a PyTorch model to Keras' layout of images, in the model's own dtype."""
    dtype = next(model.parameters()).dtype
    return model(torch.from_numpy(images).permute(0, 3, 1, 2).to(dtype)).detach().numpy()


def test_the_registries_and_the_parameters_name_the_same_models() -> None:
    assert list(keras_models.MODELS) == list(pytorch_models.MODELS) == list(get_args(ModelName))


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("model", "size", "choices"), [("vgg11", 32, "mobilenetv2, resnet50"), ("resnet20", 28, "32, 64")]
)
def test_an_unknown_model_or_size_is_refused_with_the_choices(
    framework: ModuleType, model: str, size: int, choices: str
) -> None:
    with pytest.raises(ParameterError, match=choices):
        framework.build(model, size, classes=10)


@pytest.mark.parametrize(("model", "size"), EVERY)
def test_every_model_gives_one_logit_a_class(model: str, size: int) -> None:
    images = photographs(2, size)
    logits = keras_models.build(model, size, classes=7)(images).numpy()
    assert logits.shape == torch_logits(pytorch_models.build(model, size, classes=7).eval(), images).shape == (2, 7)
    assert not np.allclose(logits.sum(axis=1), 1)


@pytest.mark.parametrize("model", get_args(ModelName))
def test_keras_models_run_in_mixed_precision_on_float32_weights(model: str, policy: None) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    built = keras_models.build(model, 32, classes=10)
    logits = built(photographs(1, 32), training=True)
    assert logits.dtype == "bfloat16"
    assert np.isfinite(keras.ops.convert_to_numpy(keras.ops.cast(logits, "float32"))).all()
    assert {variable.dtype for variable in built.trainable_variables} == {"float32"}


def test_resnet_counts_are_those_of_option_a() -> None:
    counts = {20: 269_722, 56: 853_018}
    for depth, count in counts.items():
        assert keras_models.parameters(keras_models.cifar_resnet(depth, 32, classes=10)) == count
        assert pytorch_models.parameters(pytorch_models.CifarResNet(depth, classes=10)) == count


def test_replaced_stems_start_as_torchvision_starts_them() -> None:
    conv = pytorch_models.build("resnet50", 32, classes=10).conv1
    assert conv.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.1)
    for size in (32, 64):
        stem = pytorch_models.build("convnext_tiny", size, classes=10).features[0][0]
        assert stem.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert not stem.bias.any()


def weights(framework: ModuleType, model: str, seed: int) -> list[np.ndarray]:
    """Build a model from a seed and return its trainable weights, constants such as a bias of zeros left out."""
    keras.utils.set_random_seed(seed)
    torch.manual_seed(seed)
    built = framework.build(model, 32, classes=10)
    found = built.parameters() if framework is pytorch_models else built.trainable_variables
    arrays = [np.asarray(value.detach() if framework is pytorch_models else value) for value in found]
    return [array for array in arrays if array.min() < array.max()]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("model", get_args(ModelName))
def test_every_weight_is_drawn_from_the_seed_and_none_was_trained_before(framework: ModuleType, model: str) -> None:
    first, other = weights(framework, model, 1), weights(framework, model, 2)
    assert len(first) > 20
    assert not any(np.array_equal(*pair) for pair in zip(first, other, strict=True))


@pytest.mark.parametrize(
    ("model", "stem"),
    [("mobilenetv2", "Conv1"), ("resnet50", "conv1_conv"), ("convnext_tiny", "convnext_tiny_stem_conv")],
)
def test_replaced_stems_start_as_keras_starts_them(model: str, stem: str) -> None:
    """Glorot uniform with a bias of zeros: the default of `keras.layers.Conv2D`, left alone by Keras Applications."""
    for size in (32, 64):
        built = keras_models.build(model, size, classes=10)
        kernel, *bias = (value.numpy() for value in built.trainable_variables if value.path.split("/")[-2] == stem)
        height, width, channels, filters = kernel.shape
        bound = (6 / (height * width * (channels + filters))) ** 0.5
        assert 0.98 * bound < np.abs(kernel).max() <= bound
        assert kernel.std() == pytest.approx(bound / 3**0.5, rel=0.1)
        assert not np.any(bias)


def test_a_seed_draws_the_weights_of_a_rebuilt_keras_model() -> None:
    def kernels(seed: int) -> list[np.ndarray]:
        keras.utils.set_random_seed(seed)
        model = keras_models.build("mobilenetv2", 32, classes=10)
        return [model.get_layer(f"block_{block}_project").kernel.numpy() for block in (7, 8)]

    first, again, other = kernels(1), kernels(1), kernels(2)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert not np.allclose(first[0], first[1])


def test_the_depthwise_convolution_is_the_grouped_one(policy: None) -> None:
    keras.config.set_dtype_policy("float64")
    grouped = keras.layers.Conv2D(24, 7, padding="same", groups=24)
    depthwise = keras_models._depthwise(grouped)
    images = np.random.default_rng(0).normal(size=(2, 9, 9, 24))
    for layer in (grouped, depthwise):
        layer.build(images.shape)
    assert depthwise.kernel.numpy().std() == pytest.approx(grouped.kernel.numpy().std(), rel=0.1)
    assert depthwise.count_params() == grouped.count_params()
    bias = np.random.default_rng(1).normal(size=24)
    kernel = grouped.kernel.numpy()
    grouped.set_weights([kernel, bias])
    depthwise.set_weights([kernel.transpose(0, 1, 3, 2), bias])
    np.testing.assert_allclose(depthwise(images), grouped(images), rtol=0, atol=1e-12)


def test_convnext_has_no_grouped_convolution_and_no_normalisation_left_in_keras() -> None:
    kinds = [type(layer).__name__ for layer in keras_models.build("convnext_tiny", 32, classes=10).layers]
    assert kinds.count("DepthwiseConv2D") == 18
    assert not {"Conv2D", "Normalization"} & set(kinds)


def perturbed_twins(size: int) -> tuple[nn.Module, keras.Model]:
    """Return resnet20 in both frameworks in float64 with the same weights, none of them at its initial 0 or 1."""
    torch.manual_seed(0)
    twin = pytorch_models.build("resnet20", size, classes=10).double()
    for module in twin.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.5)
            for tensor in (module.bias.data, module.running_mean):
                tensor.normal_(0, 0.1)
    keras.config.set_dtype_policy("float64")
    model = keras_models.build("resnet20", size, classes=10)
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
    twin, model = perturbed_twins(size)
    images = photographs(4, size)
    np.testing.assert_allclose(model(images).numpy(), torch_logits(twin.eval(), images), rtol=0, atol=1e-12)


def test_resnet20_agrees_in_training_down_to_the_running_statistics(policy: None) -> None:
    twin, model = perturbed_twins(32)
    images = photographs(4, 32)
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
    twin, model = pytorch_models.build("resnet20", 32, classes=100), keras_models.build("resnet20", 32, classes=100)
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
