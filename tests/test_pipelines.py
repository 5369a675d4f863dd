"""Both input pipelines: what they do to an image, and how they cut an epoch into batches."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import torch

from lib.data.store import Split
from lib.environment import cores
from lib.keras.data import TrainingPipeline, evaluation_dataset
from lib.pytorch.data import Draws, evaluation_loader, functional, training_loader
from lib.study.datasets import DATASETS, Dataset
from lib.study.loading import load_study
from lib.study.nested import merged
from lib.study.settings import Augmentation, Settings

STORE = SimpleNamespace(mean=np.array([0.4, 0.5, 0.6]), std=np.array([0.2, 0.25, 0.3]), dataset=DATASETS["digits"])
COUNT = 100


def coded():
    """Images in which every pixel has its place and its image's number; none is black, as padding is."""
    rows, columns = np.mgrid[1:33, 1:33]
    images = np.stack([np.stack([rows, columns, np.full((32, 32), 1 + i)], axis=-1) for i in range(COUNT)])
    return Split(images.astype(np.uint8), np.arange(COUNT), np.arange(COUNT))


def settings(crop_padding=4, flip=True, **changes):
    base = load_study("quickstart").cells[0].settings.model_dump()
    changes |= {"augmentation": {"crop_padding": crop_padding, "flip": flip}}
    return Settings.model_validate(merged(base, {"batch_size": 32, "num_workers": 0} | changes))


def keras_epoch(settings, seed=1):
    for images, labels in TrainingPipeline(coded(), STORE, settings, steps=3).epoch(seed):
        yield images.numpy(), labels.numpy()


def pytorch_epoch(settings, seed=1):
    device = torch.device("cpu") if settings.batches_on == "device" else None
    loader = training_loader(coded(), STORE, settings, steps=3, device=device)
    loader.sampler.reseed(seed)
    for images, labels in loader:
        yield images.numpy().transpose(0, 2, 3, 1), labels.numpy()


def as_bytes(images):
    """The images before they were normalised."""
    return np.rint((images * STORE.std + STORE.mean) * 255).astype(np.uint8)


def crop_of(image, label, padding):
    """Where in the padded original the image was cut out, and whether it is mirrored; fails if it was not."""
    padded = np.pad(coded().images[label], ((padding, padding), (padding, padding), (0, 0)))
    for mirrored in (False, True):
        wanted = image[:, ::-1] if mirrored else image
        for top in range(2 * padding + 1):
            for left in range(2 * padding + 1):
                if (padded[top : top + 32, left : left + 32] == wanted).all():
                    return top, left, mirrored
    pytest.fail("not a crop of its original")


@pytest.mark.parametrize("epoch", [keras_epoch, pytorch_epoch])
@pytest.mark.parametrize("flip", [False, True])
def test_every_training_image_is_a_crop_of_its_padded_self_and_half_are_mirrored(epoch, flip):
    images, labels = (np.concatenate(parts) for parts in zip(*epoch(settings(flip=flip)), strict=True))
    crops = [crop_of(image, label, 4) for image, label in zip(as_bytes(images), labels, strict=True)]
    assert len({crop[:2] for crop in crops}) > 40  # of 81 corners, in 96 images
    assert {min(axis) for axis in list(zip(*crops, strict=True))[:2]} == {0}
    assert {max(axis) for axis in list(zip(*crops, strict=True))[:2]} == {8}
    mirrored = sum(crop[2] for crop in crops)
    assert 30 < mirrored < 66 if flip else mirrored == 0


@pytest.mark.parametrize("epoch", [keras_epoch, pytorch_epoch])
def test_without_padding_and_flip_the_images_are_the_originals(epoch):
    for images, labels in epoch(settings(crop_padding=0, flip=False)):
        assert (as_bytes(images) == coded().images[labels]).all()


def augmented(**changes):
    return settings(crop_padding=0, flip=False).model_copy(
        update={"augmentation": Augmentation(crop_padding=0, flip=False, **changes)}
    )


def test_a_rotation_is_by_up_to_the_angle_to_either_side_and_brings_black_corners():
    images = np.concatenate([images for images, _ in pytorch_epoch(augmented(rotation=20.0))])
    corners = as_bytes(images)[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert 80 < (corners == 0).all(axis=2).any(axis=1).sum() <= 96
    sampler = training_loader(coded(), STORE, augmented(rotation=20.0), steps=3).sampler
    sampler.reseed(1)
    angles = np.concatenate([draws.angle for draws in sampler])
    assert -20 < angles.min() < -15
    assert 15 < angles.max() < 20


def test_erasing_sets_a_rectangle_to_the_mean_of_that_share_of_the_images():
    images, labels = (np.concatenate(parts) for parts in zip(*pytorch_epoch(augmented(erasing=0.5)), strict=True))
    changed = (as_bytes(images) != coded().images[labels]).any(axis=-1)
    erased = [image for image, where in zip(images, changed, strict=True) if where.any()]
    assert 30 < len(erased) < 66
    for image, where in zip(erased, changed[changed.any(axis=(1, 2))], strict=True):
        rows, columns = np.nonzero(where)
        area = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert where.sum() == area[0] * area[1]
        assert (image[where] == 0).all()
        assert 0.015 < where.mean() < 0.35


def drawn(policy):
    """The first image again and again, each time with another seed of the policy and nothing else."""
    nothing = np.zeros(len(policy), np.int64)
    return Draws(nothing, np.zeros((len(policy), 2), np.int64), nothing == 1, nothing, nothing, np.array(policy))


@pytest.mark.parametrize("policy", ["randaugment", "autoaugment"])
def test_a_policy_changes_most_images_by_a_seed_of_their_own(policy):
    settings = augmented(policy=policy)
    images, labels = (np.concatenate(parts) for parts in zip(*pytorch_epoch(settings), strict=True))
    assert (as_bytes(images) != coded().images[labels]).any(axis=(1, 2, 3)).mean() > 0.5
    dataset = training_loader(coded(), STORE, settings, steps=3).dataset
    one, other, again = dataset[drawn(policy=[3, 4, 3])][0]
    assert (again == one).all()
    assert (one != other).any()


def test_randaugment_changes_images_by_its_magnitude():
    """At magnitude 0 nothing but an equalised or stretched histogram can change an image."""

    def change(magnitude):
        dataset = training_loader(coded(), STORE, augmented(policy="randaugment", magnitude=magnitude), steps=3).dataset
        plain, *changed = dataset[drawn(policy=range(60))][0]
        return sum(float((one - plain).abs().mean()) for one in changed)

    assert change(0) < change(9) < change(27)


def _turned(angle):
    policy = "randaugment" if angle else "none"
    augmentation = Augmentation(crop_padding=4, flip=True, rotation=angle, erasing=angle / 10, policy=policy)
    return settings().model_copy(update={"augmentation": augmentation})


def test_rotation_erasing_and_policy_leave_the_order_crops_and_flips_as_they_are():
    loaders = [training_loader(coded(), STORE, _turned(angle), steps=3) for angle in (0.0, 5.0)]
    draws = []
    for loader in loaders:
        loader.sampler.reseed(1)
        draws.append([np.concatenate(parts) for parts in list(zip(*loader.sampler, strict=True))[:3]])
    assert all((one == other).all() for one, other in zip(*draws, strict=True))


@pytest.mark.parametrize("epoch", [keras_epoch, pytorch_epoch])
@pytest.mark.parametrize("shared", [False, True])
def test_batches_made_on_the_device_are_those_of_the_host_to_the_bit(epoch, shared):
    host, device = (epoch(settings(batches_on=place, pairing={"shared": shared})) for place in ("host", "device"))
    for (images, labels), (same_images, same_labels) in zip(host, device, strict=True):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(labels, same_labels)


def test_a_device_makes_no_batches_with_what_only_the_host_can_do():
    with pytest.raises(ValueError, match="batches_on: device cannot be had with augmentation rotation and erasing"):
        Settings.model_validate(augmented(rotation=5.0, erasing=0.5).model_dump() | {"batches_on": "device"})


def test_a_batch_has_the_bits_that_torchvision_makes_image_by_image():
    loader = training_loader(coded(), STORE, settings(), steps=3)
    loader.sampler.reseed(1)
    draws = [image for batch in loader.sampler for image in zip(*batch, strict=True)]
    loader.sampler.reseed(1)
    ours = torch.cat([images for images, _ in loader])
    for image, (index, (top, left), mirrored, *_) in zip(ours, draws, strict=True):
        padded = functional.pad(torch.tensor(coded().images[index]).permute(2, 0, 1), [4])
        crop = functional.crop(padded, top, left, 32, 32)
        crop = functional.horizontal_flip(crop) if mirrored else crop
        scaled = functional.to_dtype(crop, torch.float32, scale=True)
        assert (image == functional.normalize(scaled, STORE.mean.tolist(), STORE.std.tolist())).all()


def test_a_batch_has_the_bits_that_tensorflow_makes_image_by_image():
    tf.random.set_seed(1)  # the order that `tf.data` gives with both seeds
    positions = tf.data.Dataset.range(COUNT).shuffle(COUNT, seed=1)
    mean, std, scale = (tf.constant(values, tf.float32) for values in (STORE.mean, STORE.std, 1 / 255))
    images, labels = (np.concatenate(parts) for parts in zip(*keras_epoch(settings()), strict=True))
    for ours, label, position in zip(images, labels, positions, strict=False):
        seed = tf.stack([tf.constant(1, tf.int64), position])
        padded = tf.pad(tf.constant(coded().images[position]), [[4, 4], [4, 4], [0, 0]])
        crop = tf.image.stateless_random_crop(padded, [32, 32, 3], seed)
        crop = tf.image.stateless_random_flip_left_right(crop, seed)
        assert label == position
        np.testing.assert_array_equal(ours, (tf.cast(crop, tf.float32) * scale - mean) / std)


@pytest.mark.parametrize("epoch", [keras_epoch, pytorch_epoch])
def test_an_epoch_is_a_function_of_its_seed(epoch):
    first, again, other = (np.concatenate([images for images, _ in epoch(settings(), seed)]) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("epoch", [keras_epoch, pytorch_epoch])
def test_the_incomplete_training_batch_is_dropped(epoch):
    assert [len(labels) for _, labels in epoch(settings())] == [32, 32, 32]


def dataset_parts(dataset):
    """The datasets of a `tf.data` pipeline by kind, the last one and all that feed it; only privately do they tell."""
    parts = {type(dataset).__name__: dataset}
    for before in dataset._inputs():
        parts |= dataset_parts(before)
    return parts


@pytest.mark.parametrize(
    "dataset",
    [
        pytest.param(lambda: TrainingPipeline(coded(), STORE, settings(), steps=3).epoch(1), id="training"),
        pytest.param(lambda: evaluation_dataset(coded(), STORE, 32), id="evaluation"),
    ],
)
def test_tf_data_maps_in_parallel_and_prefetches_as_much_as_it_finds_best(dataset):
    parts = dataset_parts(dataset())
    assert parts["_ParallelMapDataset"]._num_parallel_calls == tf.data.AUTOTUNE
    assert parts["_PrefetchDataset"]._buffer_size == tf.data.AUTOTUNE


def test_tf_data_drops_the_remainder_of_a_training_and_keeps_that_of_an_evaluation():
    """Only where the remainder is dropped is a batch's size known before."""
    training = TrainingPipeline(coded(), STORE, settings(), steps=3).epoch(1)
    assert [spec.shape[0] for spec in training.element_spec] == [32, 32]
    assert [spec.shape[0] for spec in evaluation_dataset(coded(), STORE, 32).element_spec] == [None, None]


def test_the_incomplete_evaluation_batch_is_kept():
    keras = [len(labels) for _, labels in evaluation_dataset(coded(), STORE, 32)]
    pytorch = [len(labels) for _, labels in evaluation_loader(coded(), STORE, 32, num_workers=0)]
    assert keras == pytorch == [32, 32, 32, 4]


def test_worker_processes_help_where_images_are_changed_one_by_one_or_beside_a_gpu(monkeypatch):
    changed = augmented(rotation=5.0).model_copy(update={"num_workers": 8})
    loader = training_loader(coded(), STORE, changed, steps=3)
    assert loader.num_workers == min(8, cores())
    assert (loader.persistent_workers, loader.prefetch_factor) == (True, 2)
    assert training_loader(coded(), STORE, settings(num_workers=8), steps=3).num_workers == 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert training_loader(coded(), STORE, settings(num_workers=8), steps=3).num_workers == min(8, cores())
    assert evaluation_loader(coded(), STORE, 32, num_workers=8).num_workers == min(8, cores())


GREY = SimpleNamespace(
    mean=np.array([0.4]),
    std=np.array([0.2]),
    dataset=Dataset("grey", "Grey", classes=10, size=28, channels=1, train=40, test=10, val=10),
)


def grey():
    """Forty images of 28 x 28 pixels and one channel, every byte among them."""
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28, 1), dtype=np.uint8)
    return Split(images, np.arange(40), np.arange(40))


@pytest.mark.parametrize("shared", [False, True])
def test_images_of_one_channel_go_through_both_training_pipelines(shared):
    small, split = settings(crop_padding=0, flip=False, batch_size=8, pairing={"shared": shared}), grey()
    loader = training_loader(split, GREY, small, steps=5)
    loader.sampler.reseed(1)
    pytorch = [(images.numpy().transpose(0, 2, 3, 1), labels.numpy()) for images, labels in loader]
    epoch = TrainingPipeline(split, GREY, small, steps=5).epoch(1)
    keras = [(images.numpy(), labels.numpy()) for images, labels in epoch]
    for batches in (pytorch, keras):
        images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        assert images.shape == (40, 28, 28, 1)
        assert sorted(labels) == list(range(40))
        assert (np.rint((images * GREY.std + GREY.mean) * 255) == split.images[labels]).all()
    pairs = zip(pytorch, keras, strict=True)
    same = [(ours[0] == theirs[0]).all() and (ours[1] == theirs[1]).all() for ours, theirs in pairs]
    assert all(same) == shared


def test_images_of_one_channel_are_evaluated_alike_to_the_bit():
    pytorch = [images.numpy().transpose(0, 2, 3, 1) for images, _ in evaluation_loader(grey(), GREY, 16, num_workers=0)]
    keras = [images.numpy() for images, _ in evaluation_dataset(grey(), GREY, 16)]
    assert [len(images) for images in keras] == [16, 16, 8]
    np.testing.assert_array_equal(np.concatenate(pytorch), np.concatenate(keras))
