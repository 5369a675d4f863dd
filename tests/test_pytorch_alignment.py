"""PyTorch made to follow Keras: each switch does what it says and nothing else, against references made by hand."""

import copy
import importlib
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from lib.data import stream
from lib.data.store import Split
from lib.pytorch import networks
from lib.pytorch.alignment import layers as layers_by_name
from lib.pytorch.data import evaluation_loader, training_loader
from lib.pytorch.learner import PyTorchLearner
from lib.pytorch.normalization import BiasedBatchNorm2d
from lib.pytorch.optimizers import ConventionalSGD, optimizer
from lib.study.conventions import SWITCHES, Switch, followed
from lib.study.datasets import DATASETS
from lib.study.loading import load_study
from lib.study.models import find, twins
from lib.study.nested import merged
from lib.study.settings import Settings
from lib.training import first_weights as initial
from lib.training import metrics

from torchvision.ops import StochasticDepth  # isort: skip  (after lib.pytorch)

MODELS = tuple(twins())
NOT_OF_THE_NETWORK = {"initialisation", "weight_decay", "momentum_form"}
SHARED = {"shared": True}


def like_keras(*switches: Switch):
    return followed("pytorch", switches, "keras")


def built(model, *switches, size=32, classes=10):
    """The model from a fixed seed, following Keras in these switches."""
    torch.manual_seed(0)
    return build(model, *switches, size=size, classes=classes)


def build(model, *switches, size=32, classes=10):
    """The model following Keras in these switches, on whatever device is chosen."""
    return networks.build(model, (size, size, 3), classes, like_keras(*switches))


def shapes_of(model):
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def tiny(precision="fp32", framework="pytorch", **settings):
    """A cell of the quick study, so small that it trains in seconds."""
    cell = load_study("quickstart").cell(f"{framework}_digits_resnet20_fp32_seed42-quick")
    small = {"epochs": 3, "batch_size": 32, "num_workers": 0, "limits": {"train_samples": 96, "test_samples": 40}}
    changed = Settings.model_validate(merged(merged(cell.settings.model_dump(), small), settings))
    return cell.model_copy(update={"settings": changed, "precision": precision})


def layers(network, kind):
    return list(layers_by_name(network, kind).values())


def anatomy(network):
    """What a network shows of each switch."""
    norms, convs = layers(network, nn.BatchNorm2d), layers(network, nn.Conv2d)
    return {
        "bn_eps": [norm.eps for norm in norms],
        "bn_momentum": [norm.momentum for norm in norms],
        "bn_variance": [type(norm) for norm in norms],
        "conv_bias": [conv.bias is None for conv in convs],
        "stride": [conv.stride for conv in convs],
        "padding": [(conv.padding, len(conv._forward_pre_hooks)) for conv in convs],
        "dropout": [layer.p for layer in layers(network, nn.Dropout)],
        "stochastic_depth": [layer.p for layer in layers(network, StochasticDepth)],
    }


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("model", MODELS)
def test_a_switch_changes_what_it_is_about_where_it_concerns_the_model_and_nothing_else(model, size):
    with torch.device("meta"):
        native = anatomy(build(model, size=size))
        for switch in SWITCHES:
            found = anatomy(build(model, switch, size=size))
            changed = {name for name in native if found[name] != native[name]}
            assert changed == {switch} & twins()[model].differences - NOT_OF_THE_NETWORK


@pytest.mark.parametrize("model", MODELS)
def test_without_a_switch_a_model_is_the_one_that_torchvision_and_the_seed_make(model):
    torch.manual_seed(0)
    family = importlib.import_module(f"lib.pytorch.networks.{find(model).family}")
    plain = family.build((32, 32, 3), 10, **find(model).arguments).state_dict()
    own = built(model).state_dict()
    assert list(own) == list(plain)
    assert all(torch.equal(own[name], plain[name]) for name in plain)


@pytest.mark.parametrize("model", MODELS)
def test_the_switches_keep_the_names_and_the_first_weights_and_add_only_biases_of_zero(model):
    native, aligned = built(model).state_dict(), built(model, *SWITCHES).state_dict()
    added = set(aligned) - set(native)
    assert [name for name in aligned if name not in added] == list(native)
    assert all(torch.equal(aligned[name], native[name]) for name in native)
    assert bool(added) == (model == "resnet50")
    assert not any(aligned[name].any() for name in added)


@pytest.mark.parametrize(("model", "epsilon", "momentum"), [("mobilenetv2", 1e-3, 0.001), ("resnet50", 1.001e-5, 0.01)])
def test_batch_normalisation_has_keras_constants(model, epsilon, momentum):
    with torch.device("meta"):
        norms = layers(build(model, "bn_eps", "bn_momentum"), nn.BatchNorm2d)
    assert {norm.eps for norm in norms} == {epsilon}
    assert [norm.momentum for norm in norms] == pytest.approx([momentum] * len(norms), rel=1e-12)


def test_every_convolution_of_resnet50_gets_a_trainable_bias():
    with torch.device("meta"):
        native, biased = build("resnet50"), build("resnet50", "conv_bias")
    assert networks.parameters(biased) - networks.parameters(native) == 26_560


def test_resnet50_moves_its_strides_to_the_first_convolution():
    with torch.device("meta"):
        network = build("resnet50", "stride")
        logits = network(torch.empty(2, 3, 32, 32))
    assert logits.shape == (2, 10)
    for stage in (network.layer2, network.layer3, network.layer4):
        first = [layer.stride for layer in (stage[0].conv1, stage[0].conv2, stage[0].conv3, stage[0].downsample[0])]
        assert first == [(2, 2), (1, 1), (1, 1), (2, 2)]
        assert {conv.stride for block in stage[1:] for conv in layers(block, nn.Conv2d)} == {(1, 1)}
    assert {conv.stride for conv in layers(network.layer1, nn.Conv2d)} == {(1, 1)}


def test_dropout_and_stochastic_depth_are_off_whatever_the_reference():
    for reference in ("keras", "pytorch"):
        conventions = followed("pytorch", ("dropout", "stochastic_depth"), reference)
        with torch.device("meta"):
            found = [anatomy(networks.build(model, (32, 32, 3), 10, conventions)) for model in MODELS]
        assert [one["dropout"] for one in found] == [[0.0], [], [], []]
        assert {rate for one in found for rate in one["stochastic_depth"]} == {0.0}


def convolved(images, kernel):
    """A convolution of stride 2, over one channel or all, with a row of zeros below and a column at the right."""
    rows, columns = images.shape[2] // 2, images.shape[3] // 2
    padded = np.pad(images, ((0, 0), (0, 0), (0, 1), (0, 1)))
    total = np.zeros((len(images), len(kernel), rows, columns))
    for row, column in np.ndindex(3, 3):
        seen = padded[:, :, row : row + 2 * rows : 2, column : column + 2 * columns : 2]
        if kernel.shape[1] == 1:
            total += seen * kernel[:, 0, row, column, None, None]
        else:
            total += np.einsum("nihw,oi->nohw", seen, kernel[:, :, row, column])
    return total


@pytest.mark.parametrize(("size", "count"), [(32, 4), (64, 5)])
def test_convolutions_of_stride_two_pad_below_and_to_the_right(size, count):
    network = built("mobilenetv2", "padding", size=size).double()
    strided = [conv for conv in layers(network, nn.Conv2d) if conv.stride == (2, 2)]
    assert len(strided) == count
    for conv in strided:
        images = torch.rand(2, conv.in_channels, 8, 6, dtype=torch.float64)
        expected = convolved(images.numpy(), conv.weight.detach().numpy())
        np.testing.assert_allclose(conv(images).detach().numpy(), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 2e-6), (torch.float64, 1e-14)])
@pytest.mark.parametrize("momentum", [0.1, 1 - 0.999])
def test_the_running_variance_is_the_biased_one(dtype, limit, momentum):
    norm = BiasedBatchNorm2d(3, momentum=momentum).to(dtype)
    plain = nn.BatchNorm2d(3, momentum=momentum).to(dtype)
    random = np.random.default_rng(0)
    variance = np.ones(3)
    for step in range(4):
        images = torch.from_numpy(random.normal(2, 1 + step, (2, 3, 2, 3))).to(dtype)
        variance = (1 - momentum) * variance + momentum * images.double().numpy().var(axis=(0, 2, 3))
        assert torch.equal(norm(images), plain(images))
        np.testing.assert_allclose(norm.running_var.numpy(), variance, rtol=limit)
    assert (plain.running_var - norm.running_var).abs().max() > 1e-3 * momentum
    assert torch.equal(plain.running_mean, norm.running_mean)
    assert list(norm.state_dict()) == list(plain.state_dict())
    norm.eval()(images)
    np.testing.assert_allclose(norm.running_var.numpy(), variance, rtol=limit)


def test_the_biased_variance_leaves_gradients_as_they_are_and_holds_under_autocast():
    images = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    gradients = []
    for kind in (BiasedBatchNorm2d, nn.BatchNorm2d):
        norm, leaf = kind(3), images.clone().requires_grad_()
        (norm(leaf) ** 3 + norm(2 * leaf)).sum().backward()
        gradients.append((leaf.grad, norm.weight.grad))
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))
    norm = BiasedBatchNorm2d(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        halves = functional.conv2d(images, torch.eye(3)[:, :, None, None])
        norm(halves)
    assert (halves.dtype, norm.running_var.dtype) == (torch.bfloat16, torch.float32)
    expected = 0.9 + 0.1 * halves.double().numpy().var(axis=(0, 2, 3))
    np.testing.assert_allclose(norm.running_var.numpy(), expected, rtol=1e-6)


RATES = (0.0, 0.1, 0.03, 0.2, 0.05)
COMBINATIONS = [(decay, form) for decay in ("pytorch", "keras") for form in ("pytorch", "keras")]


def combination(decay, form):
    return followed("pytorch", (), "pytorch") | {"weight_decay": decay, "momentum_form": form}


def settings_of(nesterov):
    changes = {"momentum": 0.9, "nesterov": nesterov, "weight_decay": 0.01}
    return load_study("quickstart").cells[0].settings.optimizer.model_copy(update=changes)


def gradient_at(weight):
    """The slope of a bowl whose middle is not at 0."""
    return np.linspace(0.5, 2, weight.size) * (weight - 1)


def by_hand(weight, decay, form, nesterov):
    """The weights after every step, in NumPy, from the formulae of the two libraries."""
    weight, buffer, m = weight.copy(), np.zeros_like(weight), 0.9
    for rate in RATES:
        g = gradient_at(weight)
        if decay == "pytorch":
            g = g + 0.01 * weight
        else:
            weight = weight - rate * 0.01 * weight
        if form == "pytorch":
            buffer = m * buffer + g
            weight = weight - rate * (g + m * buffer if nesterov else buffer)
        else:
            buffer = m * buffer - rate * g
            weight = weight + (m * buffer - rate * g if nesterov else buffer)
        yield weight


def sgd_of(weight, settings, conventions):
    return optimizer(nn.ParameterList([weight]), settings, conventions)


def make_step(weight, optimizer, rate):
    optimizer.param_groups[0]["lr"] = rate
    weight.grad = torch.from_numpy(gradient_at(weight.detach().numpy()))
    optimizer.step()


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize(("decay", "form"), COMBINATIONS)
def test_every_combination_of_decay_and_momentum_is_its_formula(decay, form, nesterov):
    start = np.random.default_rng(0).normal(size=7)
    weight = nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = sgd_of(weight, settings_of(nesterov), combination(decay, form))
    for rate, expected in zip(RATES, by_hand(start, decay, form, nesterov), strict=True):
        make_step(weight, optimizer, rate)
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=0, atol=1e-12)
    others = [list(by_hand(start, *other, nesterov))[-1] for other in COMBINATIONS if other != (decay, form)]
    assert min(np.abs(expected - other).max() for other in others) > 1e-5


def test_the_native_optimizer_is_pytorch_s_own():
    weight = nn.Parameter(torch.ones(1))
    kinds = {pair: type(sgd_of(weight, settings_of(True), combination(*pair))) for pair in COMBINATIONS}
    assert kinds.pop(("pytorch", "pytorch")) is torch.optim.SGD
    assert set(kinds.values()) == {ConventionalSGD}


@pytest.mark.parametrize(("decay", "form"), COMBINATIONS[1:])
def test_an_optimizer_s_state_goes_on_where_it_was(decay, form, tmp_path):
    weight = nn.Parameter(torch.linspace(-1, 2, 5, dtype=torch.float64))
    optimizer = sgd_of(weight, settings_of(True), combination(decay, form))
    for rate in RATES[:3]:
        make_step(weight, optimizer, rate)
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    again = copy.deepcopy(weight)
    resumed = sgd_of(again, settings_of(True), combination(decay, form))
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for rate in RATES[3:]:
        make_step(weight, optimizer, rate)
        make_step(again, resumed, rate)
    assert torch.equal(weight, again)


def test_the_loss_scale_skips_an_update_that_overflows_and_the_hook_counts_the_others():
    weight, twin = (nn.Parameter(torch.ones(3)) for _ in range(2))
    optimizer, plain = (sgd_of(one, settings_of(True), combination("keras", "keras")) for one in (weight, twin))
    scaler, updates = torch.amp.GradScaler("cpu", init_scale=1024.0), []
    optimizer.register_step_post_hook(lambda *_: updates.append(1))
    for factor in (1.0, float("inf"), 3.0):
        optimizer.zero_grad(set_to_none=True)
        scaler.scale((weight * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        if np.isfinite(factor):
            twin.grad = torch.full((3,), factor)
            plain.step()
    assert len(updates) == 2
    assert torch.equal(weight, twin)


STORE = SimpleNamespace(
    mean=np.array([0.4914, 0.4822, 0.4465]), std=np.array([0.247, 0.2435, 0.2616]), dataset=DATASETS["digits"]
)


def all_bytes():
    """Five images that hold every byte in every channel, and a split that leaves two of them out."""
    random = np.random.default_rng(0)
    pixels = [[random.permutation(1024).reshape(32, 32) % 256 for _ in range(3)] for _ in range(5)]
    return Split(np.array(pixels, np.uint8).transpose(0, 2, 3, 1), np.arange(5), np.array([4, 0, 2]))


def normalised(image):
    """Bytes (H, W, 3) as both frameworks must see them, in NumPy's float32."""
    scaled = image.astype(np.float32) * np.float32(1 / 255)
    return (scaled - STORE.mean.astype(np.float32)) / STORE.std.astype(np.float32)


def test_every_byte_becomes_the_same_float32_as_in_numpy():
    split = all_bytes()
    images, _ = next(iter(evaluation_loader(split, STORE, 8, num_workers=0)))
    expected = normalised(split.images[split.indices])
    assert {len(np.unique(split.images[..., channel])) for channel in range(3)} == {256}
    assert (images.numpy().transpose(0, 2, 3, 1).view(np.int32) == expected.view(np.int32)).all()


@pytest.mark.parametrize("flip", [True, False])
def test_a_shared_epoch_is_the_stream_s_images_to_the_bit(flip):
    settings = tiny(batch_size=1, augmentation={"crop_padding": 4, "flip": flip}, pairing=SHARED).settings
    split, seen = all_bytes(), []
    loader = training_loader(split, STORE, settings, steps=3)
    for seed in (7, 8, 2**32 - 1):
        loader.sampler.reseed(seed)
        drawn = stream.draw(seed, 3, settings)
        for (image, label), *draw in zip(loader, *drawn, strict=True):
            position, (top, left), mirrored = draw
            index = split.indices[position]
            padded = np.pad(split.images[index], ((4, 4), (4, 4), (0, 0)))
            crop = padded[top : top + 32, left : left + 32]
            expected = normalised(crop[:, ::-1] if mirrored else crop)
            assert (image.numpy()[0].transpose(1, 2, 0).view(np.int32) == expected.view(np.int32)).all()
            assert label.item() == index
            seen.append((index, top, left, mirrored))
    assert len(set(seen)) == 9
    assert {mirrored for *_, mirrored in seen} == ({True, False} if flip else {False})


def test_a_learner_starts_from_the_shared_weights_and_keeps_the_rest(digits):
    cell = tiny(pairing=SHARED | {"align": ("initialisation",), "reference": "keras"})
    model = PyTorchLearner(cell, digits).model
    drawn = initial.weights(cell, shapes_of(model))
    assert len(drawn) == 21  # 19 convolutions, the head and its bias
    for name, values in model.state_dict().items():
        expected = drawn[name].astype(np.float32) if name in drawn else np.full(values.shape, _start(name))
        np.testing.assert_array_equal(values.cpu().numpy(), expected, err_msg=name)


def _start(name):
    return int(name.endswith(("running_var", "weight")))


def test_native_weights_are_left_to_pytorch(digits):
    own = PyTorchLearner(tiny(), digits).model.state_dict()
    torch.manual_seed(42)
    expected = build("resnet20").state_dict()
    assert all(torch.equal(own[name].cpu(), expected[name]) for name in expected)


@pytest.mark.parametrize("model", MODELS)
def test_paired_cells_draw_the_same_weights_and_unpaired_ones_do_not(model):
    with torch.device("meta"):
        shapes = dict(itertools.islice(shapes_of(build(model)).items(), 65))

    def drawn(framework, shared):
        pairing = {"shared": shared, "align": ("initialisation",), "reference": "keras"}
        cell = tiny(framework=framework, pairing=pairing)
        return initial.weights(cell.model_copy(update={"model": model}), shapes)

    ours, theirs, unpaired = drawn("pytorch", True), drawn("keras", True), drawn("keras", False)
    assert list(ours) == list(theirs) == list(unpaired)
    assert all((ours[name] == theirs[name]).all() for name in ours)
    assert all((ours[name] != unpaired[name]).any() for name in ours if ours[name].any())


@pytest.mark.parametrize("model", MODELS)
def test_the_pytorch_convention_draws_what_torchvision_draws(model):
    network = built(model, classes=200)
    cell = tiny(pairing=SHARED).model_copy(update={"model": model})
    drawn = initial.weights(cell, shapes_of(network))
    ratios = {}
    for name, values in network.named_parameters():
        own = values.detach().numpy()
        # PyTorch 2.10 draws the bound itself, a hundred standard deviations, once in some ten million values: there
        # `trunc_normal_` meets an infinite inverse error function. PyTorch 2.13 does not.
        own = np.where(np.abs(own) < 2, own, 0)
        if name not in drawn or not own.any():
            assert not drawn.get(name, np.zeros(1)).any()
            assert len(np.unique(own)) == 1, name  # all 0, all 1 or all 1e-6: nothing is drawn
            continue
        ratio, error = drawn[name].std() / own.std(), own.size**-0.5
        assert abs(ratio - 1) < 4 * error, name
        assert abs(drawn[name].mean()) < 4 * own.std() * error, name
        peaks = [np.abs(values).max() / own.std() for values in (drawn[name], own)]
        assert (peaks[0] < 2) == (peaks[1] < 2), name  # uniform: the bound is 1.73 standard deviations; normal: more
        if peaks[1] < 2:
            assert peaks[0] == pytest.approx(peaks[1], rel=0.05), name
        kind = "depthwise" if own.shape[1:2] == (1,) else f"{own.ndim} axes"
        ratios.setdefault(kind, []).append((ratio, own.size))
    for kind, found in ratios.items():
        values, sizes = zip(*found, strict=True)
        assert np.average(values, weights=sizes) == pytest.approx(1, abs=0.01 + 2 * sum(sizes) ** -0.5), kind


EVERYTHING = {"pairing": SHARED | {"align": SWITCHES, "reference": "keras"}}


def test_in_fp64_a_step_is_made_in_float64_from_weights_that_were_never_rounded(digits, tmp_path):
    cell = tiny("fp64", **EVERYTHING)
    learner = PyTorchLearner(cell, digits)
    drawn, parameters = initial.weights(cell, shapes_of(learner.model)), dict(learner.model.named_parameters())
    assert all((parameters[name].detach().cpu().numpy() == values).all() for name, values in drawn.items())
    logits = []
    learner.model.register_forward_hook(lambda _model, _inputs, output: logits.append(output.detach().cpu().numpy()))
    learner.reseed(42, 1)
    batch = next(iter(learner.batches()))
    learner.step(batch, 0.1)
    assert logits[0].dtype == np.float64
    assert learner.take_sums().loss / 32 == pytest.approx(metrics.cross_entropy(batch[1].numpy(), logits[0]), rel=1e-13)
    assert all((parameters[name].detach().cpu().numpy() != values).any() for name, values in drawn.items())
    tensors = [*learner.model.state_dict().values(), *(state["momentum_buffer"] for state in states_of(learner))]
    assert {tensor.dtype for tensor in tensors} == {torch.float64, torch.int64}  # int64: the batches are counted
    assert {parameter.dtype for parameter in learner.model.parameters()} == {torch.float64}
    assert learner.predict("val").logits.dtype == np.float64


def states_of(learner):
    return learner._optimizer.state.values()


@pytest.mark.parametrize("precision", ["fp32", "amp", "fp64"])
def test_an_aligned_learner_goes_on_from_its_state_to_the_bit(digits, tmp_path, precision):
    learner, resumed = (PyTorchLearner(tiny(precision, accumulation_steps=2, **EVERYTHING), digits) for _ in range(2))
    learner.reseed(42, 1)
    for batch, rate in zip(learner.batches(), (0.0, 0.05, 0.1), strict=True):
        learner.step(batch, rate)
    learner.save_state(tmp_path / "state.pt")
    resumed.load_state(tmp_path / "state.pt")
    for each in (learner, resumed):
        each.reseed(42, 2)
        for batch in each.batches():
            each.step(batch, 0.1)
    assert isinstance(learner._optimizer, ConventionalSGD)
    assert {type(norm) for norm in layers(learner.model, nn.BatchNorm2d)} == {BiasedBatchNorm2d}
    assert (learner.predict("val").logits == resumed.predict("val").logits).all()
    assert all(torch.equal(*pair) for pair in zip(learner.model.parameters(), resumed.model.parameters(), strict=True))
