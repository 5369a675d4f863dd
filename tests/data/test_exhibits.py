"""What the data chapter shows of a store."""

import numpy as np
import pytest

from lib.data import exhibits
from lib.data.checks import checks
from lib.data.preparation import prepare
from lib.figures import data as figures
from tests.data.conftest import write_folder


@pytest.fixture
def part(project, cifar100, tmp_path):
    """A store of 300 train and 100 test images of CIFAR-100's format."""
    return prepare("cifar100", write_folder(tmp_path / "cifar-100-python", cifar100.files))


def test_the_overview_says_where_images_came_from_and_whether_they_are_all(part):
    rows = exhibits.overview([prepare("digits"), part]).set_index("dataset")
    assert rows.loc["scikit-learn digits", ["images", "grey", "source", "whole"]].tolist() == [
        1_797,
        1_797,
        "scikit-learn",
        "yes",
    ]
    assert rows.loc["CIFAR-100", ["images", "grey", "source", "whole"]].tolist() == [
        400,
        0,
        "extracted archive",
        "a part",
    ]


def test_the_balance_counts_every_image_once(part):
    rows = exhibits.balance([part]).set_index("split")
    assert rows["images"].to_dict() == {"train": 200, "val": 100, "test": 100}
    assert rows.loc["train", ["fewest in a class", "most in a class"]].tolist() == [2, 2]


def test_the_finding_names_the_checks_that_fail(part):
    sentence = exhibits.finding(part, checks(part))
    assert sentence.startswith("**CIFAR-100**: 200 train, 100 val, 100 test images; ")
    assert "(not: official image counts: 300 train, 100 test, not 50,000 train, 10,000 test)." in sentence
    digits = prepare("digits")
    assert exhibits.finding(digits, checks(digits)).endswith("checks pass.")


def test_a_column_of_the_samples_is_a_class(project):
    store = prepare("digits")
    names = store.dataset.names
    axis = figures.samples(*store.split("train"), names).axes[0]
    mosaic = axis.images[0].get_array()
    assert mosaic.shape == (5 * 36, 10 * 36, 3)
    labels = store.train_labels[store.train_indices]
    fours = store.train_images[store.train_indices[labels == 4]]
    for row in range(5):
        np.testing.assert_array_equal(mosaic[row * 36 + 2 : row * 36 + 34, 4 * 36 + 2 : 4 * 36 + 34], fours[row])
    assert axis.get_xticks().tolist() == [36 * column + 18 for column in range(10)]
    assert [label.get_text() for label in axis.get_xticklabels()] == list("0123456789")


def test_many_classes_show_one_image_each(part):
    assert figures.samples(*part.split("train"), [""] * 100).axes[0].images[0].get_array().shape == (5 * 36, 20 * 36, 3)


def test_a_mosaic_of_any_number_of_classes_and_images_is_drawn():
    """26 classes fill a row of 20 and a part of another; one class has two images only, so each shows two."""
    images = np.zeros((26, 8, 8, 3), np.uint8)
    mosaic = figures.samples(images, np.arange(26), np.arange(26), [""] * 26).axes[0].images[0].get_array()
    assert mosaic.shape == (2 * 12, 20 * 12, 3)
    assert (mosaic[12:, 6 * 12 :] == 255).all()
    labels = np.array([0, 1, 2, 2, 1, 0, 2])
    assert figures.samples(images[:7], labels, np.arange(7), "abc").axes[0].images[0].get_array().shape == (24, 36, 3)


def test_the_statistics_have_a_row_a_channel(part):
    table = exhibits.statistics([part])
    assert table["channel"].tolist() == ["red", "green", "blue"]
    np.testing.assert_array_equal(table[["mean", "std"]].to_numpy().T, [part.mean, part.std])


def test_the_balance_has_a_bar_for_each_class_in_each_split(part):
    figure = figures.class_balance(exhibits.class_counts(part))
    assert [len(axis.patches) for axis in figure.axes] == [100, 100, 100]
