"""Keras made to follow PyTorch: every switch alone, against NumPy; then whole learners."""

import itertools
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from lib.data import stream
from lib.data.store import Split
from lib.keras import networks
from lib.keras.data import TrainingPipeline, evaluation_dataset
from lib.keras.learner import KerasLearner
from lib.keras.networks import cifar_resnet
from lib.keras.normalization import UnbiasedBatchNormalization, batch_norm_kind
from lib.keras.optimizers import ConventionalSGD, optimizer
from lib.keras.weights import tensors
from lib.study.conventions import SWITCHES, followed
from lib.study.datasets import DATASETS
from lib.study.loading import load_study
from lib.study.models import twins
from lib.study.nested import merged
from lib.study.settings import Settings
from lib.training import first_weights as initial

ARCHITECTURE = ("bn_eps", "bn_momentum", "bn_variance", "conv_bias", "stride", "padding")


BATCH_NORM = {name: twin.batch_norm for name, twin in twins().items() if twin.batch_norm}
SHARED = {"shared": True}
ALIGNED = SHARED | {"align": SWITCHES}


def build(model, size, conventions=networks.NATIVE):
    return networks.build(model, (size, size, 3), 10, conventions)


def towards_pytorch(*switches):
    return followed("keras", switches, "pytorch")


@pytest.fixture
def policy():
    """Sets the policy of the layers that follow, and puts the one before back."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.fixture(autouse=True)
def _policy_as_before(policy):
    policy("float32")


def tiny(model="resnet20", precision="fp32", **settings):
    """A Keras cell on the digits, so small that it takes a step in seconds."""
    cell = load_study("quickstart").cell("keras_digits_resnet20_fp32_seed42-quick")
    small = {"epochs": 2, "batch_size": 8, "num_workers": 0, "limits": {"train_samples": 16, "test_samples": 8}}
    changed = Settings.model_validate(merged(merged(cell.settings.model_dump(), small), settings))
    return cell.model_copy(update={"settings": changed, "precision": precision, "model": model})


# Models


def description(model):
    """The settings and the kind of every layer that has weights or pads, under its name."""
    flat = [inner for layer in model.layers for inner in getattr(layer, "layers", [layer])]
    return {
        layer.name: layer.get_config() | {"kind": type(layer).__name__}
        for layer in flat
        if layer.weights or isinstance(layer, layers.ZeroPadding2D)
    }


@pytest.fixture(scope="module")
def described():
    """What each model is, natively and with one switch aligned."""
    cache = {}

    def describe(model, size, *switches):
        key = (model, size, *switches)
        if key not in cache:
            keras.config.set_dtype_policy("float32")
            cache[key] = description(build(model, size, towards_pytorch(*switches)))
        return cache[key]

    return describe


def changes(before, after):
    """What of which layer became what; a layer that is new is under its own name."""
    found = {}
    for name, config in after.items():
        if name not in before:
            found[name] = config["padding"]
            continue
        for key, value in config.items():
            if before[name][key] != value:
                found[name, key] = value
    assert before.keys() <= after.keys()
    return found


STRIDES = {(f"conv{stage}_block1_1_conv", "strides"): (1, 1) for stage in (3, 4, 5)}
STRIDES |= {(f"conv{stage}_block1_2_conv", "strides"): (2, 2) for stage in (3, 4, 5)}
STRIDES |= {(f"conv{stage}_block1_2_conv", "padding"): "valid" for stage in (3, 4, 5)}
STRIDES |= {f"conv{stage}_block1_2_conv_pad": ((1, 1), (1, 1)) for stage in (3, 4, 5)}
PADS = {(f"block_{block}_pad", "padding"): ((1, 1), (1, 1)) for block in (1, 3, 6, 13)}
STEM = {("Conv1", "padding"): "valid", "Conv1_pad": ((1, 1), (1, 1))}
NORMS = {"mobilenetv2": 52, "resnet50": 53, "resnet20": 19}


@pytest.mark.parametrize(
    ("model", "size", "switch", "expected"),
    [
        ("resnet50", 32, "stride", STRIDES),
        ("resnet50", 64, "stride", STRIDES),
        ("mobilenetv2", 32, "padding", PADS),
        ("mobilenetv2", 64, "padding", PADS | STEM),
    ],
)
def test_strides_and_pads_move_where_torchvision_has_them_and_nothing_else_changes(
    described, model, size, switch, expected
):
    assert changes(described(model, size), described(model, size, switch)) == expected


@pytest.mark.parametrize("model", BATCH_NORM)
@pytest.mark.parametrize(("switch", "key"), [("bn_eps", "epsilon"), ("bn_momentum", "momentum")])
def test_batch_normalisation_takes_the_other_library_s_constant_and_nothing_else_changes(described, model, switch, key):
    native = described(model, 32)
    found = changes(native, described(model, 32, switch))
    norms = [name for name, config in native.items() if config["kind"] == "BatchNormalization"]
    assert len(norms) == NORMS[model]
    assert {native[name][key] for name in norms} == {getattr(BATCH_NORM[model]["keras"], key)}
    assert found == {(name, key): getattr(BATCH_NORM[model]["pytorch"], key) for name in norms}


@pytest.mark.parametrize("model", NORMS)
def test_every_batch_normalisation_becomes_the_unbiased_one(described, model):
    found = changes(described(model, 32), described(model, 32, "bn_variance"))
    assert len(found) == NORMS[model]
    assert {key for _, key in found} == {"kind"}
    assert set(found.values()) == {"UnbiasedBatchNormalization"}


def test_without_biases_every_convolution_of_resnet50_is_as_before_but_for_its_bias(described):
    found = changes(described("resnet50", 32), described("resnet50", 32, "conv_bias"))
    assert len(found) == 53
    assert {key for _, key in found} == {"use_bias"}
    assert not any(found.values())
    kept = tensors(build("resnet50", 32, towards_pytorch("conv_bias")))
    assert [tensor.name for tensor in kept if tensor.name.endswith(".bias") and "bn" not in tensor.name] == [
        *(f"layer{stage}.0.downsample.1.bias" for stage in (1, 2, 3, 4)),
        "fc.bias",
    ]


@pytest.mark.parametrize("model", twins())
def test_a_switch_that_does_not_concern_a_model_leaves_it_as_it_is(described, model):
    others = set(SWITCHES) - twins()[model].differences | set(SWITCHES) - set(ARCHITECTURE)
    assert changes(described(model, 32), described(model, 32, *sorted(others))) == {}


def convolved(images, kernel, stride):
    """A 3x3 convolution, or a depthwise one, with one pixel of zeros on every side, by hand."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    side = images.shape[1] // stride
    total = 0
    for row, column in itertools.product(range(3), range(3)):
        part = padded[:, row : row + stride * side : stride, column : column + stride * side : stride]
        weights = kernel[row, column]
        total = total + (part * weights[:, 0] if weights.shape[1] == 1 else part @ weights)
    return total


@pytest.mark.parametrize(
    ("model", "size", "switch", "before", "layer", "stride"),
    [
        ("resnet50", 32, "stride", "conv3_block1_1_relu", "conv3_block1_2_conv", 2),
        ("mobilenetv2", 64, "padding", None, "Conv1", 2),
        ("mobilenetv2", 32, "padding", "block_1_expand_relu", "block_1_depthwise", 2),
    ],
)
def test_an_aligned_convolution_is_padded_by_one_pixel_on_every_side(
    policy, model, size, switch, before, layer, stride
):
    policy("float64")
    network = build(model, size, towards_pytorch(switch))
    images = np.random.default_rng(0).normal(size=(2, size, size, 3)).astype("float32")
    start = network.get_layer(before).output if before else network.input
    start, found = keras.Model(network.input, [start, network.get_layer(layer).output])(images)
    expected = convolved(start.numpy().astype("float64"), network.get_layer(layer).kernel.numpy(), stride)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-13)


# Batch normalisation


@pytest.mark.parametrize(("name", "tolerance"), [("float32", 1e-6), ("float64", 1e-14), ("mixed_bfloat16", 1e-6)])
@pytest.mark.parametrize("momentum", [0.9, 0.999])
@pytest.mark.parametrize("traced", [False, True])
def test_the_running_variance_is_fed_with_the_unbiased_variance(policy, name, tolerance, momentum, traced):
    policy(name)
    random = np.random.default_rng(0)
    norm, native = (kind(momentum=momentum) for kind in (UnbiasedBatchNormalization, layers.BatchNormalization))
    for layer in (norm, native):
        layer.build((None, 2, 3, 5))
    step = tf.function(norm, reduce_retracing=True) if traced else norm
    variance, mean = np.ones(5), np.zeros(5)
    for count in (2, 2, 3):
        batch = tf.cast(random.normal(3, 2, (count, 2, 3, 5)), norm.compute_dtype)
        outputs = step(batch, training=True)
        np.testing.assert_array_equal(outputs, native(batch, training=True))
        exact = tf.cast(batch, tf.float64).numpy()
        variance = momentum * variance + (1 - momentum) * exact.var((0, 1, 2), ddof=1)
        mean = momentum * mean + (1 - momentum) * exact.mean((0, 1, 2))
    np.testing.assert_allclose(norm.moving_variance.numpy(), variance, rtol=tolerance, atol=0)
    np.testing.assert_allclose(norm.moving_mean.numpy(), mean, rtol=10 * tolerance, atol=0)
    before = norm.moving_variance.numpy()
    norm(batch, training=False)
    np.testing.assert_array_equal(norm.moving_variance.numpy(), before)


def test_gelu_is_exact_in_float64_and_keras_own_otherwise(policy):
    from scipy.special import erf

    assert (
        build("convnext_tiny", 32).get_layer("convnext_tiny_stage_0_block_0_gelu").get_config()["activation"] == "gelu"
    )
    policy("float64")
    gelus = [layer for layer in build("convnext_tiny", 32).layers if layer.name.endswith("_gelu")]
    assert len(gelus) == 18
    x = np.linspace(-5, 5, 101)
    for layer in gelus:
        np.testing.assert_allclose(layer(x).numpy(), x * (1 + erf(x / np.sqrt(2))) / 2, rtol=0, atol=1e-15)


# Optimizers


def settings(**changes):
    """The settings of SGD."""
    return load_study("quickstart").cells[0].settings.optimizer.model_copy(update=changes)


def numpy_step(weight, gradient, buffer, rate, momentum, decay, decay_of, form_of, nesterov):
    """One update, by the formulas of the frameworks' documentation."""
    if decay_of == "pytorch":
        gradient = gradient + decay * weight
    else:
        weight = weight - rate * decay * weight
    if form_of == "pytorch":
        buffer = momentum * buffer + gradient
        return weight - rate * (gradient + momentum * buffer if nesterov else buffer), buffer
    buffer = momentum * buffer - rate * gradient
    return weight + (momentum * buffer - rate * gradient if nesterov else buffer), buffer


RATES = (0.0, 0.05, 0.1, 0.03, 1 / 3, 0.01)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("form_of", ["keras", "pytorch"])
@pytest.mark.parametrize("decay_of", ["keras", "pytorch"])
def test_every_optimizer_is_its_formula_in_float64_while_the_rate_changes(decay_of, form_of, nesterov):
    conventions = {"weight_decay": decay_of, "momentum_form": form_of}
    sgd = optimizer(settings(nesterov=nesterov, momentum=0.9, weight_decay=0.01), conventions, "float64")
    random = np.random.default_rng(0)
    weight, buffer = random.normal(size=(3, 4)), np.zeros((3, 4))
    variable = keras.Variable(weight, dtype="float64")
    sgd.build([variable])
    apply = tf.function(lambda gradient: sgd.apply([gradient], [variable]))
    for rate in RATES:
        gradient = random.normal(size=(3, 4))
        sgd.learning_rate.assign(rate)
        apply(tf.constant(gradient))
        weight, buffer = numpy_step(weight, gradient, buffer, rate, 0.9, 0.01, decay_of, form_of, nesterov)
        np.testing.assert_allclose(variable.numpy(), weight, rtol=0, atol=1e-15)
    assert sgd.iterations == len(RATES)


def test_the_four_optimizers_are_four_and_natively_it_is_keras_own():
    native = optimizer(settings(), followed("keras", (), "pytorch"))
    assert type(native) is keras.optimizers.SGD
    assert native.weight_decay == settings().weight_decay
    for switches in (["weight_decay"], ["momentum_form"], ["weight_decay", "momentum_form"]):
        assert type(optimizer(settings(), towards_pytorch(*switches))) is ConventionalSGD
    updates = set()
    for decay_of, form_of, nesterov in itertools.product(("keras", "pytorch"), ("keras", "pytorch"), (False, True)):
        state = (1.0, 0.0)
        for rate in RATES:
            state = numpy_step(state[0], 0.5, state[1], rate, 0.9, 0.01, decay_of, form_of, nesterov)
        updates.add(round(state[0], 9))
    assert len(updates) == 8


def test_the_type_of_floats_is_as_before_after_an_optimizer_in_float64():
    sgd = optimizer(settings(), towards_pytorch("momentum_form"), "float64")
    assert keras.config.floatx() == "float32"
    assert sgd.learning_rate.dtype == "float64"


# The shared stream


STORE = SimpleNamespace(
    mean=np.array([0.4914, 0.4822, 0.4465]), std=np.array([0.2470, 0.2435, 0.2616]), dataset=DATASETS["digits"]
)


def every_byte():
    """Twelve images in which every channel has every value."""
    random = np.random.default_rng(3)
    pixels = np.concatenate([np.arange(256), random.integers(0, 256, 768)]).astype(np.uint8)
    images = np.stack([[random.permutation(pixels) for _ in range(3)] for _ in range(12)])
    return Split(images.transpose(0, 2, 1).reshape(12, 32, 32, 3), np.arange(12), np.arange(12))


def numpy_normalised(images):
    """What torchvision makes of bytes, in float32, rounded after each operation."""
    scaled = images.astype(np.float32) * np.float32(1 / 255)
    return (scaled - STORE.mean.astype(np.float32)) / STORE.std.astype(np.float32)


def test_every_byte_of_every_channel_is_normalised_bit_for_bit_as_numpy_does():
    split = every_byte()
    images = np.concatenate([images.numpy() for images, _ in evaluation_dataset(split, STORE, 5)])
    assert all(len(np.unique(split.images[..., channel])) == 256 for channel in range(3))
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, numpy_normalised(split.images))


@pytest.mark.parametrize("flip", [False, True])
def test_the_shared_stream_gives_exactly_its_crops_and_mirror_images(flip):
    split = every_byte()
    shared = tiny(batch_size=4, augmentation={"crop_padding": 4, "flip": flip}, pairing=SHARED).settings
    drawn = stream.draw(7, 12, shared)
    assert drawn.mirrored.any() == flip
    expected = []
    for position, (top, left), mirrored in zip(*drawn, strict=True):
        padded = np.pad(split.images[position], ((4, 4), (4, 4), (0, 0)))
        crop = padded[top : top + 32, left : left + 32]
        expected.append(numpy_normalised(crop[:, ::-1] if mirrored else crop))
    batches = list(TrainingPipeline(split, STORE, shared, steps=3).epoch(7))
    np.testing.assert_array_equal(np.concatenate([images for images, _ in batches]), expected)
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in batches]), drawn.order)
    assert [len(labels) for _, labels in TrainingPipeline(split, STORE, shared, steps=2).epoch(7)] == [4, 4]


# Learners


@pytest.fixture
def small(monkeypatch):
    """Learners build a network of one convolution, one batch normalisation and a head, which is traced quickly."""

    def build(model, shape, classes, conventions, options):
        images = keras.Input(shape)
        x = cifar_resnet.batch_norm("bn", batch_norm_kind(conventions))(cifar_resnet.conv3x3(images, "conv", 8))
        x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
        return keras.Model(images, cifar_resnet.head(classes, fan_in=8)(x))

    monkeypatch.setattr("lib.keras.learner.build", build)


@pytest.mark.parametrize(("changed", "drawn"), [({}, False), (SHARED, True), ({"align": ("initialisation",)}, True)])
def test_the_first_weights_are_the_cell_s_where_it_draws_them(digits, small, changed, drawn):
    cell = tiny(pairing=changed)
    learner = KerasLearner(cell, digits)
    shapes = {tensor.name: tensor.shape for tensor in tensors(learner.model)}
    expected = initial.weights(cell, shapes)
    assert list(expected) == ["conv.weight", "head.weight", "head.bias"]

    def started():
        found = {tensor.name: tensor.read() for tensor in tensors(learner.model)}
        return [(found[name] == values.astype(np.float32)).all() for name, values in expected.items()]

    assert started() == [drawn] * 3
    learner.step(next(iter(epoch(learner))), 0.1)
    assert started() == [False] * 3
    learner.restart(2)
    assert started() == [drawn] * 3


def epoch(learner):
    learner.reseed(42, 1)
    return learner.batches()


def numbers(learner):
    """All that a learner holds, in its order."""
    return [variable.numpy() for variable in learner._variables()]


def test_a_run_in_float64_holds_and_computes_everything_in_it(digits):
    learner = KerasLearner(tiny(precision="fp64", pairing=ALIGNED), digits)
    floats = {variable.dtype for variable in learner._variables() if "int" not in variable.dtype}
    assert floats == {"float64"}
    before = numbers(learner)
    for batch in epoch(learner):
        learner.step(batch, 1 / 3)
    assert learner.learning_rate() == 1 / 3
    assert any((now != then).any() for now, then in zip(numbers(learner), before, strict=True))
    assert learner.predict("val").logits.dtype == np.float64
    assert np.isfinite(learner.take_sums().loss)


@pytest.mark.parametrize("align", [("weight_decay",), ("momentum_form",), SWITCHES])
def test_an_aligned_run_goes_on_from_its_saved_state_as_if_it_had_not_stopped(digits, small, tmp_path, align):
    cell = tiny(pairing=SHARED | {"align": align}, accumulation_steps=2)
    learner, resumed = KerasLearner(cell, digits), KerasLearner(cell, digits)
    first, second = epoch(learner)
    learner.step(first, 0.1)
    learner.save_state(tmp_path / "state.npz")
    resumed.load_state(tmp_path / "state.npz")
    for each in (learner, resumed):
        each.step(second, 0.05)
    for found, expected in zip(numbers(resumed), numbers(learner), strict=True):
        np.testing.assert_array_equal(found, expected)


class Half(KerasLearner):
    """A learner with float16 and a loss scale, as on a GPU."""

    amp_types = {"cpu": "float16", "gpu": "float16"}  # noqa: RUF012


def test_a_loss_scale_skips_an_aligned_update_whose_gradient_overflows_and_no_other(digits, small):
    learner = Half(tiny(precision="amp", pairing=ALIGNED), digits)
    first, second = epoch(learner)
    before = [variable.numpy() for variable in learner.model.trainable_variables]
    learner.step((first[0] * 1e30, first[1]), 0.1)
    after = [variable.numpy() for variable in learner.model.trainable_variables]
    assert all((now == then).all() for now, then in zip(after, before, strict=True))
    learner.step(second, 0.1)
    assert learner.take_sums().updates == 1


@pytest.mark.parametrize("model", ["mobilenetv2", "resnet20"])
def test_a_wholly_aligned_model_trains_in_mixed_precision(digits, model):
    learner = KerasLearner(tiny(model, "amp", pairing=ALIGNED), digits)
    before = numbers(learner)
    learner.step(next(iter(epoch(learner))), 0.1)
    assert all(np.isfinite(values).all() for values in numbers(learner))
    moved = [(now != then).any() for now, then in zip(numbers(learner), before, strict=True)]
    assert np.mean(moved) > 0.9
