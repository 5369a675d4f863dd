"""Both learners, trained for real on the digits: the same cell gives the same numbers, stopped or not."""

import copy
import importlib
import io
import math
import random
import shutil
import weakref
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from lib import files
from lib.data import generated
from lib.errors import TrainingError
from lib.runs import records
from lib.study.loading import load_study
from lib.study.models import MODELS, Model
from lib.study.nested import merged
from lib.study.settings import Settings
from lib.training import metrics
from lib.training import protocol as training

LEARNERS = {"keras": "KerasLearner", "pytorch": "PyTorchLearner"}

OUT_OF_MEMORY = {
    "keras": lambda: importlib.import_module("tensorflow").errors.ResourceExhaustedError(None, None, "too large"),
    "pytorch": lambda: importlib.import_module("torch").OutOfMemoryError("too large"),
}


def make(cell, store):
    """Return the cell's learner, in its framework."""
    module = importlib.import_module(f"lib.{cell.framework}.learner")
    return getattr(module, LEARNERS[cell.framework])(cell, store)


def tiny(framework, precision="fp32", **settings):
    """A cell of the quick study, so small that it trains in seconds."""
    cell = load_study("quickstart").cell(f"{framework}_digits_resnet20_fp32_seed42-quick")
    small = {"epochs": 3, "batch_size": 32, "num_workers": 0, "limits": {"train_samples": 96, "test_samples": 40}}
    changed = merged(merged(cell.settings.model_dump(), small), settings)
    return cell.model_copy(update={"settings": Settings.model_validate(changed), "precision": precision})


def outcome(cell, store, learner=None):
    """Train and test; return all that must be equal: the log without its times, the test, the best weights."""
    learner = learner or make(cell, store)
    log = training.fit(cell, learner, store.digest)
    result = training.test(cell, learner, log)
    log_bytes = (
        pd.read_csv(records.unfinished(cell) / "epochs.csv", dtype=str).drop(columns="epoch_time_seconds").to_csv()
    )
    return log_bytes, result, learner.predict("val").logits.tobytes()


def stop_in_the_second_epoch(cell, store):
    """Train the cell and stop it, as by a signal, after the first step of its second epoch."""
    learner = make(cell, store)
    batches, reseed = learner.batches, learner.reseed

    def batches_until_killed():
        for count, batch in enumerate(batches()):
            if learner.epoch == 2 and count == 1:
                raise KeyboardInterrupt
            yield batch

    def reseed_and_note(seed, epoch):
        learner.epoch = epoch
        reseed(seed, epoch)

    learner.batches, learner.reseed = batches_until_killed, reseed_and_note
    with pytest.raises(KeyboardInterrupt):
        training.fit(cell, learner, store.digest)
    assert len(pd.read_csv(records.unfinished(cell) / "epochs.csv")) == 1


@pytest.mark.parametrize(
    ("framework", "precision"),
    [
        ("pytorch", "fp32"),
        ("pytorch", "amp"),
        ("keras", "fp32"),
        pytest.param("keras", "amp", marks=pytest.mark.thorough),
    ],
)
def test_a_cell_run_twice_or_stopped_and_resumed_gives_the_same_bits(digits, elsewhere, framework, precision):
    cell = tiny(framework, precision)
    once = outcome(cell, digits)

    elsewhere("second")
    assert outcome(cell, digits) == once

    elsewhere("stopped")
    stop_in_the_second_epoch(cell, digits)
    assert outcome(cell, digits) == once


@pytest.mark.parametrize("precision", ["fp32", "amp"])
def test_a_keras_network_with_dropout_goes_on_with_the_same_draws(digits, elsewhere, monkeypatch, precision):
    import keras

    def with_dropout(model, shape, classes, conventions, options):
        layers = [keras.layers.Flatten(), keras.layers.Dropout(0.5), keras.layers.Dense(classes)]
        return keras.Sequential([keras.Input(shape), *layers])

    importlib.import_module("lib.keras.learner")
    monkeypatch.setattr("lib.keras.learner.build", with_dropout)
    cell = tiny("keras", precision, optimizer={"learning_rate": 0.001})
    once = outcome(cell, digits)
    elsewhere("stopped")
    stop_in_the_second_epoch(cell, digits)
    assert outcome(cell, digits) == once


@pytest.mark.parametrize("framework", LEARNERS)
def test_another_seed_gives_other_numbers(digits, elsewhere, framework):
    first = outcome(tiny(framework, epochs=2), digits)
    elsewhere("second")
    second = outcome(tiny(framework, epochs=2).model_copy(update={"seed": 123}), digits)
    assert first[0] != second[0]


@pytest.mark.parametrize("framework", LEARNERS)
def test_a_training_gone_nan_says_so(digits, elsewhere, framework):
    cell = tiny(framework, optimizer={"learning_rate": 1e30})
    with pytest.raises(TrainingError, match="loss became (nan|inf) in epoch [12] at learning rate"):
        training.fit(cell, make(cell, digits), digits.digest)


@pytest.mark.parametrize("framework", LEARNERS)
def test_every_step_is_an_update_at_the_rate_it_was_given(digits, framework):
    learner = make(tiny(framework), digits)
    learner.reseed(42, 1)
    for rate, batch in zip([0.0, 0.05, 0.1], learner.batches(), strict=True):
        learner.step(batch, rate)
        assert learner.learning_rate() == pytest.approx(rate, abs=1e-8)
    sums = learner.take_sums()
    assert sums.updates == 3
    assert 0 <= sums.correct <= 96
    assert learner.take_sums() == (0, 0, 0)


@pytest.mark.parametrize("accumulation_steps", [1, 4])
@pytest.mark.parametrize("precision", ["fp32", "amp", "scaled"])
@pytest.mark.parametrize("framework", LEARNERS)
def test_n_steps_are_n_updates(digits, linear, framework, precision, accumulation_steps):
    settings = {"accumulation_steps": accumulation_steps}
    scaled = precision == "scaled"
    learner = half(framework, digits, **settings) if scaled else make(tiny(framework, precision, **settings), digits)
    learner.reseed(42, 1)
    seen = [trained(learner)]
    for batch in learner.batches():
        learner.step(batch, 0.01)
        seen.append(trained(learner))
    assert len(seen) - 1 == learner.take_sums().updates == learner.steps_per_epoch
    assert all((now != then).any() for now, then in pairwise(seen))


def test_without_amp_the_scaler_is_off_and_an_update_is_the_plain_one_bit_for_bit(digits):
    """The update is written out in PyTorch, without autocast, scaler or accumulation."""
    from torch import nn, optim

    learner = make(tiny("pytorch"), digits)
    assert not learner._scaler.is_enabled()
    plain = copy.deepcopy(learner.model).train()
    sgd = optim.SGD(plain.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    learner.reseed(42, 1)
    for batch in learner.batches():
        images, labels = (tensor.to(learner._device) for tensor in batch)
        sgd.zero_grad()
        nn.functional.cross_entropy(plain(images), labels).backward()
        sgd.step()
        learner.step(batch, 0.1)
    for found, expected in zip(learner.model.state_dict().values(), plain.state_dict().values(), strict=True):
        assert (found == expected).all()


@pytest.mark.parametrize("framework", LEARNERS)
def test_an_epoch_sees_every_image_once_and_another_epoch_in_another_order(digits, framework):
    def labels(learner, epoch):
        learner.reseed(42, epoch)
        return np.concatenate([np.asarray(labels) for _, labels in learner.batches()])

    learner = make(tiny(framework), digits)
    split = digits.split("train", 96)
    first, second = labels(learner, 1), labels(learner, 2)
    assert sorted(first) == sorted(second) == sorted(split.labels[split.indices])
    assert (first != second).any()
    assert (first == labels(learner, 1)).all()


def test_a_new_epoch_keeps_the_kernels_that_tensorflow_has_made(digits, monkeypatch):
    """To set TensorFlow's seed drops them: each epoch's first step took 0.7 s longer with a ResNet-20."""
    import tensorflow as tf

    def set_seed(seed):
        assert not tf.executing_eagerly(), "the kernels are dropped"

    learner = make(tiny("keras"), digits)
    monkeypatch.setattr(tf.random, "set_seed", set_seed)
    learner.reseed(42, 1)
    learner.step(next(iter(learner.batches())), 0.1)


@pytest.mark.parametrize("framework", LEARNERS)
def test_the_tail_of_an_evaluation_is_kept(digits, framework):
    learner = make(tiny(framework, limits={"test_samples": None}), digits)
    predictions = learner.predict("val")
    assert predictions.logits.shape == (144, 10)
    assert (predictions.labels == digits.train_labels[digits.val_indices]).all()


@pytest.fixture
def linear(monkeypatch):
    """Both learners build a network without batch normalisation: one dense layer."""
    import keras
    import torch

    def for_keras(model, shape, classes, conventions, options):
        return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(classes)])

    def for_pytorch(model, shape, classes, conventions, options):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(math.prod(shape), classes))

    importlib.import_module("lib.keras.learner")
    importlib.import_module("lib.pytorch.learner")
    monkeypatch.setattr("lib.keras.learner.build", for_keras)
    monkeypatch.setattr("lib.pytorch.learner.build", for_pytorch)


def logits_after_one_epoch(framework, store, **settings):
    learner = make(tiny(framework, **settings), store)
    before = learner.predict("val").logits
    learner.reseed(42, 1)
    for batch in learner.batches():
        learner.step(batch, 0.1)
    return before, learner.predict("val").logits, learner.take_sums()


@pytest.mark.parametrize("framework", LEARNERS)
def test_micro_batches_give_the_update_of_the_whole_batch(digits, linear, framework):
    _, whole, sums = logits_after_one_epoch(framework, digits)
    for parts in (2, 8):
        _, split, split_sums = logits_after_one_epoch(framework, digits, accumulation_steps=parts)
        assert np.abs(split - whole).max() < 1e-4 * np.abs(whole).max()
        assert (split_sums.correct, split_sums.updates) == (sums.correct, sums.updates)
        assert split_sums.loss == pytest.approx(sums.loss, rel=1e-5)


def trained(learner):
    """All trainable numbers of the model, in one vector."""
    if hasattr(learner.model, "trainable_variables"):
        return np.concatenate([variable.numpy().ravel() for variable in learner.model.trainable_variables])
    return np.concatenate([parameter.detach().cpu().numpy().ravel() for parameter in learner.model.parameters()])


@pytest.mark.parametrize("framework", LEARNERS)
def test_with_batch_normalisation_two_micro_batches_give_the_update_to_a_quarter_of_its_length(digits, framework):
    """Each micro-batch is normalised by its own 48 images instead of 96; 13 % (PyTorch) and 16 % (Keras) were seen."""

    def update(parts):
        learner = make(tiny(framework, batch_size=96, accumulation_steps=parts), digits)
        learner.reseed(42, 1)
        before = trained(learner)
        learner.step(next(iter(learner.batches())), 0.1)
        return trained(learner) - before

    whole, split = update(1), update(2)
    assert 0 < np.linalg.norm(split - whole) < 0.25 * np.linalg.norm(whole)


def half(framework, store, **settings):
    """The cell's learner with float16 and a loss scale, as on a GPU."""
    module = importlib.import_module(f"lib.{framework}.learner")
    types = dict.fromkeys(("cpu", "gpu", "cuda"), "float16" if framework == "keras" else module.torch.float16)
    learner = type("Half", (getattr(module, LEARNERS[framework]),), {"amp_types": types})
    return learner(tiny(framework, "amp", **settings), store)


@pytest.mark.parametrize("framework", LEARNERS)
def test_float16_is_scaled_and_a_step_whose_gradient_overflows_is_skipped_and_counted(digits, linear, framework):
    learner = half(framework, digits)
    learner.reseed(42, 1)
    first, second, third = learner.batches()
    learner.step(first, 0.1)
    before = learner.predict("val").logits
    learner.step((second[0] * 1e30, second[1]), 0.1)
    assert (learner.predict("val").logits == before).all()
    learner.step(third, 0.1)
    assert (learner.predict("val").logits != before).any()
    assert learner.take_sums().updates == 2


@pytest.mark.parametrize("framework", LEARNERS)
def test_the_loss_scale_goes_on_where_it_was(digits, linear, tmp_path, framework):
    learner, resumed = half(framework, digits), half(framework, digits)
    learner.reseed(42, 1)
    first, second, third = learner.batches()
    learner.step((first[0] * 1e30, first[1]), 0.1)
    learner.step(second, 0.1)
    learner.take_sums()
    learner.save_state(tmp_path / f"state{learner.state_suffix}")
    resumed.load_state(tmp_path / f"state{learner.state_suffix}")
    for each in (learner, resumed):
        each.step(third, 0.1)
    assert (learner.predict("val").logits == resumed.predict("val").logits).all()
    assert learner.take_sums() == resumed.take_sums()
    for each in (learner, resumed):
        each.save_state(tmp_path / f"{id(each)}{learner.state_suffix}")
    states = [(tmp_path / f"{id(each)}{learner.state_suffix}") for each in (learner, resumed)]
    assert scale_of(states[0]) == scale_of(states[1])


def scale_of(path):
    """All that a saved state says of the loss scale, and in Keras' case of everything else too."""
    if path.suffix == ".npz":
        with np.load(path) as state:
            return [value.tobytes() for value in state.values()]
    torch = importlib.import_module("torch")
    return torch.load(path, weights_only=True)["scaler"]


@pytest.mark.parametrize("framework", LEARNERS)
def test_out_of_memory_starts_a_real_learner_again_from_its_first_weights(digits, elsewhere, framework):
    cell = tiny(framework, on_oom="accumulate", epochs=2)
    learner = make(cell, digits)
    step, failures = learner.step, iter([False, True])

    def run_out(batch, rate):
        if next(failures, False):
            learner.step = type(learner).step.__get__(learner)
            raise OUT_OF_MEMORY[framework]()
        step(batch, rate)

    learner.step = run_out
    again = outcome(cell, digits, learner)
    elsewhere("second")
    assert again == outcome(tiny(framework, epochs=2, accumulation_steps=2), digits)


@pytest.mark.parametrize("framework", LEARNERS)
def test_a_network_that_does_not_fit_is_told_in_one_line(digits, monkeypatch, framework):
    importlib.import_module(f"lib.{framework}.learner")

    def run_out(*_):
        raise OUT_OF_MEMORY[framework]()

    monkeypatch.setattr(f"lib.{framework}.learner.build", run_out)
    with pytest.raises(TrainingError, match="before a step was made: the network alone does not fit"):
        make(tiny(framework), digits)


@pytest.mark.parametrize("framework", LEARNERS)
def test_an_evaluation_takes_a_micro_batch_at_a_time_and_gives_the_same(digits, linear, framework):
    two = {"max_steps_test": 2, "test_samples": None}
    whole = make(tiny(framework, limits=two), digits)
    parts = make(tiny(framework, limits=two, accumulation_steps=4), digits)
    assert {len(labels) for _, labels in parts._evaluation["val"]} == {8}
    expected, found = whole.predict("val"), parts.predict("val")
    assert len(expected.labels) == 64
    assert (found.labels == expected.labels).all()
    np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("framework", LEARNERS)
def test_a_restart_lets_go_of_the_old_network_before_it_builds_the_new_one(digits, monkeypatch, framework):
    learner = make(tiny(framework), digits)
    learner.reseed(42, 1)
    learner.step(next(iter(learner.batches())), 0.1)
    old, left = weakref.ref(learner.model), []
    build = importlib.import_module(f"lib.{framework}.networks").build

    def note_and_build(*arguments):
        left.append(old())
        return build(*arguments)

    monkeypatch.setattr(f"lib.{framework}.learner.build", note_and_build)
    learner.restart(2)
    assert left == [None]


@pytest.mark.parametrize("tf32", [False, True])
def test_tf32_is_set_explicitly_and_alike(digits, tf32):
    import tensorflow as tf
    import torch

    make(tiny("keras", tf32=tf32), digits)
    make(tiny("pytorch", tf32=tf32), digits)
    assert tf.config.experimental.tensor_float_32_execution_enabled() is tf32
    assert torch.backends.cuda.matmul.allow_tf32 is tf32
    assert torch.backends.cudnn.allow_tf32 is tf32


def softmax_gradient(weights, bias, images, labels):
    """The gradient of a dense layer's mean cross entropy, by hand: weights (pixels, classes), bias (classes,)."""
    logits = images @ weights + bias
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    shares[np.arange(len(labels)), labels] -= 1
    return images.T @ shares / len(labels), shares.mean(0)


def coupled(weight, gradient, state, rate, momentum, decay):
    """PyTorch's step with nesterov (`torch.optim.SGD`): the decay passes through the momentum."""
    gradient = gradient + decay * weight
    state = gradient if state is None else momentum * state + gradient
    return weight - rate * (gradient + momentum * state), state


def decoupled(weight, gradient, state, rate, momentum, decay):
    """Keras' step with nesterov (`keras.optimizers.SGD`): the decay stands outside the momentum."""
    weight = weight - rate * decay * weight
    state = momentum * (0 if state is None else state) - rate * gradient
    return weight + momentum * state - rate * gradient, state


def dense_layer(learner):
    """The weights `(pixels, classes)` and the bias of the linear network, float64."""
    if hasattr(learner.model, "trainable_variables"):
        weights, bias = (variable.numpy() for variable in learner.model.trainable_variables)
    else:
        weights, bias = (parameter.detach().cpu().numpy() for parameter in learner.model.parameters())
        weights = weights.T
    return weights.astype(np.float64), bias.astype(np.float64)


@pytest.mark.parametrize(("framework", "step"), [("keras", decoupled), ("pytorch", coupled)])
def test_two_steps_are_those_of_nesterov_with_the_framework_s_own_weight_decay(digits, linear, framework, step):
    learner = make(tiny(framework, optimizer={"weight_decay": 0.01}), digits)
    learner.reseed(42, 1)
    expected, states = dense_layer(learner), [None, None]
    for batch, rate in zip(learner.batches(), (0.05, 0.1), strict=False):
        images = np.asarray(batch[0], np.float64).reshape(32, -1)
        gradients = softmax_gradient(*expected, images, np.asarray(batch[1]))
        learner.step(batch, rate)
        pairs = [step(*parts, rate, 0.9, 0.01) for parts in zip(expected, gradients, states, strict=True)]
        expected, states = zip(*pairs, strict=True)
        for found, wanted in zip(dense_layer(learner), expected, strict=True):
            np.testing.assert_allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize("framework", LEARNERS)
def test_at_rate_zero_nothing_moves_and_the_loss_is_the_cross_entropy_of_the_batch(digits, linear, framework):
    learner = make(tiny(framework), digits)
    learner.reseed(42, 1)
    weights, bias = dense_layer(learner)
    batch = next(iter(learner.batches()))
    learner.step(batch, 0.0)
    assert all((now == then).all() for now, then in zip(dense_layer(learner), (weights, bias), strict=True))
    images, labels = np.asarray(batch[0]).reshape(32, -1), np.asarray(batch[1])
    logits = images @ weights + bias
    sums = learner.take_sums()
    assert sums.loss / 32 == pytest.approx(metrics.cross_entropy(labels, logits), rel=1e-5)
    assert sums.correct == (logits.argmax(1) == labels).sum()


@pytest.mark.parametrize("framework", LEARNERS)
def test_the_test_is_made_with_the_best_epoch_s_weights(digits, elsewhere, framework):
    cell = tiny(framework, epochs=2)
    learner = make(cell, digits)
    log = training.fit(cell, learner, digits.digest)
    for batch in learner.batches():
        learner.step(batch, 1.0)
    training.test(cell, learner, log)
    predictions = learner.predict("val")
    assert metrics.accuracy(predictions.labels, predictions.logits.argmax(1)) == log.best["val_accuracy"]
    assert metrics.cross_entropy(predictions.labels, predictions.logits) == log.best["val_loss"]


@pytest.mark.parametrize("framework", LEARNERS)
def test_every_generator_is_seeded_and_only_deterministic_kernels_are_allowed(digits, linear, framework):
    import torch
    from tensorflow.python.framework import config  # the only place that tells

    drawn = []
    for _ in range(2):
        make(tiny(framework), digits)
        drawn.append((random.random(), np.random.random()))
    assert drawn[0] == drawn[1]
    if framework == "keras":
        assert config.is_op_determinism_enabled()
    else:
        assert torch.are_deterministic_algorithms_enabled()
        assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)


@pytest.mark.parametrize("framework", LEARNERS)
def test_a_learner_trains_on_images_of_one_channel(framework):
    store = generated.store(28, 10, per_class=4, channels=1)
    learner = make(tiny(framework, batch_size=16, limits={"train_samples": None, "test_samples": None}), store)
    learner.reseed(42, 1)
    before = trained(learner)
    for batch in learner.batches():
        learner.step(batch, 0.1)
    assert (trained(learner) != before).any()
    assert np.isfinite(learner.take_sums().loss)
    assert learner.predict("test").logits.shape == (40, 10)


def test_label_smoothing_is_in_the_train_loss_alone(digits, linear):
    """Smoothed by s, a label's share is 1 - s, and s is spread over all classes."""
    learner = make(tiny("pytorch", regularisation={"label_smoothing": 0.2}), digits)
    learner.reseed(42, 1)
    weights, bias = dense_layer(learner)
    images, labels = batch = next(iter(learner.batches()))
    learner.step(batch, 0.0)
    logits = images.numpy().reshape(32, -1) @ weights + bias
    hard = metrics.cross_entropy(labels.numpy(), logits)
    spread = np.mean([metrics.cross_entropy(np.full(32, one), logits) for one in range(10)])
    assert learner.take_sums().loss / 32 == pytest.approx(0.8 * hard + 0.2 * spread, rel=1e-5)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_the_train_loss_is_that_of_mixed_labels_and_the_accuracy_that_of_the_larger_share(digits, linear, kind):
    """An image is mixed with the one before it, and its label has the shares of both."""
    learner = make(tiny("pytorch", mixing={kind: 1.0}), digits)
    learner.reseed(42, 1)
    weights, bias = dense_layer(learner)
    images, labels = next(iter(learner.batches()))
    seen = []
    learner.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].numpy()))
    learner.step((images.clone(), labels), 0.0)
    mixed, before = seen[0], images.roll(1, 0).numpy()
    share = _share_of(mixed, images.numpy(), before, kind)
    logits = mixed.reshape(32, -1) @ weights + bias
    both = (labels.numpy(), labels.roll(1).numpy())
    expected = share * metrics.cross_entropy(both[0], logits) + (1 - share) * metrics.cross_entropy(both[1], logits)
    sums = learner.take_sums()
    assert 0 < share < 1
    assert sums.loss / 32 == pytest.approx(expected, rel=1e-4)
    assert sums.correct == (logits.argmax(1) == both[int(share < 0.5)]).sum()


def _share_of(mixed, images, before, kind):
    """Return the share of each image in a mixed batch, from its pixels."""
    different = images != before
    if kind == "cutmix":  # outside the rectangle the pixels are the image's own
        inside = ((mixed == before) & different).any(axis=(0, 1))
        return 1 - inside[np.ix_(inside.any(axis=1), inside.any(axis=0))].size / inside.size
    return np.median((mixed - before)[different] / (images - before)[different])


def test_the_average_of_the_weights_is_evaluated_and_not_trained(digits, linear):
    learner = make(tiny("pytorch", regularisation={"average": 0.75}), digits)
    learner.reseed(42, 1)
    average = trained(learner)
    for batch, _ in zip(learner.batches(), range(3), strict=False):
        learner.step(batch, 0.1)
        average = 0.75 * average + 0.25 * trained(learner)
    images = learner._on_device(next(iter(learner._evaluation["val"]))[0])
    moved = learner.predict("val").logits[: len(images)]
    assert not np.allclose(moved, learner.model(images).detach().numpy())
    learner.model.load_state_dict(learner._evaluated.state_dict())
    assert np.allclose(trained(learner), average, atol=1e-6)
    assert np.allclose(moved, learner.model(images).detach().numpy(), atol=1e-6)


def test_the_settings_of_a_network_and_an_optimizer_reach_pytorch(digits):
    import torch

    optimizer = {"name": "adamw", "learning_rate": 0.001, "betas": (0.8, 0.9)}
    learner = make(tiny("pytorch", network={"width": 8, "skip": False}, optimizer=optimizer), digits)
    assert (learner.model.conv.out_channels, learner.model.stage1[0].shortcut) == (8, None)
    assert type(learner._optimizer) is torch.optim.AdamW
    assert learner._optimizer.param_groups[0]["betas"] == (0.8, 0.9)
    learner.reseed(42, 1)
    before = trained(learner)
    learner.step(next(iter(learner.batches())), 0.001)
    assert 0 < np.abs(trained(learner) - before).max() < 0.002


def test_a_network_of_one_framework_starts_from_its_own_weights_in_a_shared_pairing(digits, monkeypatch):
    """There is no other framework whose weights it could share."""
    import torch

    monkeypatch.setitem(MODELS, "deep", Model("deep", "cifar_resnet", {"depth": 8}))
    cell = tiny("pytorch", pairing={"shared": True}).model_copy(update={"model": "deep"})
    own = make(cell, digits).model.state_dict()
    torch.manual_seed(42)
    expected = importlib.import_module("lib.pytorch.networks").build("deep", (32, 32, 3), 10).state_dict()
    assert all((own[name].cpu() == expected[name]).all() for name in expected)


@pytest.mark.parametrize(("framework", "layer_images"), [("keras", 0), ("pytorch", 20)])
def test_measurements_change_no_number(digits, elsewhere, framework, layer_images):
    plain = outcome(tiny(framework), digits)
    elsewhere("second")
    measurements = {"layer_images": layer_images, "test_each_epoch": True}
    log, *rest = outcome(tiny(framework, measurements=measurements), digits)
    with_test = pd.read_csv(io.StringIO(log), dtype=str, index_col=0)
    assert (with_test.drop(columns="test_accuracy").to_csv(), *rest) == plain
    assert len(with_test["test_accuracy"]) == 3


def test_a_record_counts_the_multiplications_of_one_image(digits):
    """ResNet-20 has 41 million, as in the literature on its compression."""
    assert make(tiny("pytorch"), digits).multiply_adds == pytest.approx(40.8e6, rel=0.01)
    assert make(tiny("keras"), digits).multiply_adds is None


@pytest.mark.skipif(not shutil.which("c++"), reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_network_trains_like_the_other(digits, elsewhere):
    plain, compiled = make(tiny("pytorch"), digits), make(tiny("pytorch", compile=True), digits)
    assert compiled.describe()["compiled"] == "on"
    assert "compiled" not in plain.describe()  # Keras has no such item: a report would call it not recorded
    assert plain.model.state_dict().keys() == compiled.model.state_dict().keys()
    assert np.array_equal(trained(plain), trained(compiled))
    losses = []
    for learner in (plain, compiled):
        learner.reseed(42, 1)
        for batch in learner.batches():
            learner.step(batch, 0.01)
        losses.append(learner.take_sums().loss)
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_where_compiling_fails_the_run_says_so_and_trains_as_without(digits, monkeypatch, capsys):
    import torch

    def broken(network):
        def forward(images):
            network.bn.running_mean.add_(1)
            raise RuntimeError("no compiler\nwas found")

        return forward

    monkeypatch.setattr(torch, "compile", broken)
    plain, failed = make(tiny("pytorch"), digits), make(tiny("pytorch", compile=True), digits)
    assert (
        "torch.compile does not work here: failed (RuntimeError: no compiler): not compiled" in capsys.readouterr().out
    )
    assert failed.describe()["compiled"] == "failed (RuntimeError: no compiler)"
    assert all((failed.model.state_dict()[name] == value).all() for name, value in plain.model.state_dict().items())
    assert np.array_equal(plain.predict("val").logits, failed.predict("val").logits)


def summed(learner):
    """The summed losses of an epoch at a small rate."""
    learner.reseed(42, 1)
    for batch in learner.batches():
        learner.step(batch, 0.01)
    return learner.take_sums().loss


@pytest.mark.thorough
def test_xla_trains_like_the_other_and_its_trial_leaves_no_trace(digits):
    plain, compiled = make(tiny("keras"), digits), make(tiny("keras", compile=True), digits)
    before = trained(compiled)
    compiled.reseed(42, 1)
    compiled.batches()
    assert compiled.describe()["compiled"] == "on"
    assert np.array_equal(trained(compiled), before)
    assert summed(compiled) == pytest.approx(summed(plain), rel=1e-4)


def test_where_xla_fails_the_run_says_so_and_trains_as_without(digits, monkeypatch, capsys):
    import tensorflow as tf

    plain, failed = make(tiny("keras"), digits), make(tiny("keras", compile=True), digits)
    function = tf.function

    def broken(step=None, **options):
        def update(images, labels):
            failed._loss_sum.assign_add(1.0)
            raise tf.errors.UnimplementedError(None, None, "no such operation\nin XLA")

        return update if step == failed._eager_update and options else function(step, **options)

    monkeypatch.setattr(tf, "function", broken)
    assert summed(failed) == summed(plain)
    assert failed.describe()["compiled"] == "failed (UnimplementedError: no such operation)"
    assert "XLA does not work here: failed (UnimplementedError" in capsys.readouterr().out


@pytest.mark.parametrize("framework", ["keras", "pytorch"])
def test_batches_made_on_the_device_change_no_number(digits, elsewhere, framework):
    plain = outcome(tiny(framework), digits)
    elsewhere("second")
    assert outcome(tiny(framework, batches_on="device"), digits) == plain


def test_kernels_are_chosen_by_the_settings_and_change_the_last_digits_alone(digits):
    import torch

    plain = make(tiny("pytorch"), digits)
    assert torch.are_deterministic_algorithms_enabled()
    loss = summed(plain)
    free = {"deterministic": False, "cudnn_benchmark": True, "channels_last": True, "fused": True}
    chosen = make(tiny("pytorch", execution=free), digits)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark
    kernel = next(parameter for parameter in chosen.model.parameters() if parameter.ndim == 4)
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    assert chosen._optimizer.defaults["fused"]
    assert summed(chosen) == pytest.approx(loss, rel=1e-4)


def measured_layers(cell):
    return files.read_sealed(records.unfinished(cell) / "progress.json")["log"]["layers"]


def test_all_that_pytorch_draws_alone_goes_on_after_a_stop_with_any_number_of_workers(digits, elsewhere):
    """Dropout, rotation, erasing, policy and mixing, with averaged weights; and the measured layers are the same."""
    settings = {
        "network": {"width": 4, "dropout": 0.5},
        "augmentation": {"crop_padding": 4, "flip": True, "rotation": 20.0, "erasing": 0.5, "policy": "randaugment"},
        "mixing": {"mixup": 0.2, "cutmix": 1.0, "probability": 0.8},
        "regularisation": {"average": 0.9},
        "measurements": {"layer_images": 20, "layers_every": 1},
    }
    cells = [
        tiny("pytorch", **settings, num_workers=workers).model_copy(update={"model": "resnet9"}) for workers in (0, 1)
    ]
    whole = outcome(cells[0], digits), measured_layers(cells[0])
    elsewhere("second")
    stop_in_the_second_epoch(cells[1], digits)
    assert (outcome(cells[1], digits), measured_layers(cells[1])) == whole
