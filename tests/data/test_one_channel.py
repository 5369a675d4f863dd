"""A dataset of 28 x 28 images of one channel, known by its row alone: from its source to the chapter's figures."""

import numpy as np
import pytest
import yaml

from lib import paths
from lib.data import exhibits, generated
from lib.data.checks import checks
from lib.data.preparation import prepare
from lib.data.store import open_store
from lib.errors import DataError
from lib.figures import data as figures
from lib.study.datasets import DATASETS, Archive, Dataset
from tests.data.conftest import cifar10_files, encoded, noise, write_folder, write_parquet

FACTS = Dataset(
    name="mono",
    title="Mono",
    classes=10,
    size=28,
    channels=1,
    train=100,
    test=20,
    val=10,
    reader="cifar.read_cifar10",
    archive=Archive("https://example.org/mono.tar.gz", "0" * 32, folder="mono", marker="test_batch"),
)


@pytest.fixture
def mono(project, monkeypatch):
    """The dataset's row is registered; its content is returned."""
    monkeypatch.setitem(DATASETS, "mono", FACTS)
    return noise(classes=10, train_each=10, test_each=2, size=28, channels=1, seed=3)


@pytest.fixture
def store(mono, tmp_path):
    return prepare("mono", write_parquet(tmp_path / "hub", mono))


def test_parquet_files_become_a_store_of_one_channel(store, mono):
    np.testing.assert_array_equal(store.train_images, mono.train_images)
    np.testing.assert_array_equal(open_store("mono").test_images, mono.test_images)
    assert store.train_images.shape == (100, *FACTS.shape) == (100, 28, 28, 1)
    assert store.complete


def test_a_known_format_needs_no_more_than_a_row(store, mono, tmp_path):
    again = prepare("mono", write_folder(tmp_path / "mono", cifar10_files(mono)))
    assert again.manifest.origin.kind == "folder"
    assert again.digest == store.digest


def test_statistics_are_one_number(store):
    pixels = store.train_images[np.sort(store.train_indices)] / 255
    np.testing.assert_allclose((*store.mean, *store.std), (pixels.mean(), pixels.std()), rtol=1e-12)
    entry = yaml.safe_load((paths.PARAMS / "dataset_stats.yaml").read_text())["mono"]
    assert entry == {"mean": store.mean.tolist(), "std": store.std.tolist()}


def test_statistics_of_three_channels_are_refused(store):
    three = {"mono": {"mean": [0.1, 0.2, 0.3], "std": [0.1, 0.2, 0.3]}}
    (paths.PARAMS / "dataset_stats.yaml").write_text(yaml.safe_dump(three))
    with pytest.raises(DataError, match="mean and a std of each channel .*mono has 1 channel"):
        prepare("mono")


def test_every_check_passes_and_none_is_about_grey_images(store):
    prepare("digits")
    table = checks(store).set_index("check")
    assert table["passed"].all()
    assert "grey images" not in table.index
    assert table.loc["train images", "found"] == "100 x 28 x 28 x 1, uint8"


def test_an_image_in_colour_is_named(mono, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.data.conftest.jpeg", lambda pixels: encoded(np.zeros((28, 28, 3), np.uint8), "PNG"))
    with pytest.raises(DataError, match="train, row 7 is an image of mode RGB; its dataset has grey images"):
        prepare("mono", write_parquet(tmp_path / "hub", mono, grey={7}))


def test_a_mosaic_shows_white_as_white_and_grey_as_grey(store):
    image = figures.samples(*store.split("train"), "0123456789").axes[0].images[0]
    assert np.squeeze(image.get_array()).shape == (5 * 32, 10 * 32)
    assert image.to_rgba([[0, 128, 255]], bytes=True)[0, :, :3].tolist() == [[0] * 3, [128] * 3, [255] * 3]


def test_the_tables_name_its_shape_and_its_channel(store):
    row = exhibits.overview([store]).iloc[0]
    assert (row["shape"], row["images"], row["grey"]) == ("28 x 28 x 1", 120, 120)
    assert exhibits.statistics([prepare("digits"), store])["channel"].tolist() == ["red", "green", "blue", "grey"]


def test_generated_images_have_its_shape():
    images, labels = generated.images(FACTS, "train", per_class=2)
    assert (images.shape, labels.shape) == ((20, 28, 28, 1), (20,))
    made = generated.store(28, 10, per_class=2, channels=1)
    assert made.split("train").images.shape == (40, 28, 28, 1)
    assert made.mean.shape == made.std.shape == (1,)
