"""The confusion of classes, the misclassified images, and their figures."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from lib.analysis import confusion
from lib.figures.confusion import captions, draw_confusions, draw_mistakes
from lib.study.study import Comparison

NAMES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
ARMS = Comparison("arm", "base", ("gelu", "plain"), ["dataset", "model", "precision"])


def answered(given, labels, arm="base"):
    """The answers of one arm, from each seed's predictions."""
    runs = [
        pd.DataFrame({"seed": seed, "image": range(len(labels)), "label": labels, "prediction": predictions})
        for seed, predictions in enumerate(given)
    ]
    return pd.concat(runs, ignore_index=True).assign(arm=arm)


def random_answers(right, arm, seeds=3):
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 10
    given = [np.where(rng.random(400) < right, labels, rng.integers(0, 10, 400)) for _ in range(seeds)]
    return answered(given, labels, arm)


def test_a_confusion_is_scikit_learn_s_with_the_true_classes_in_rows():
    answers = random_answers(0.7, "base")
    counts = confusion.confusion(answers, NAMES)
    expected = confusion_matrix(answers["label"], answers["prediction"])
    np.testing.assert_array_equal(counts, expected)
    assert counts.to_numpy().sum() == 3 * 400
    assert (counts.index.name, counts.columns.name) == ("true", "predicted")
    assert confusion.shares(counts).to_numpy() == pytest.approx(expected / expected.sum(axis=1, keepdims=True))


@pytest.mark.filterwarnings("error")
def test_a_class_without_images_has_no_shares():
    counts = confusion.confusion(answered([[0, 2]], [0, 0]), NAMES[:3])
    assert counts.to_numpy().tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]
    shares = confusion.shares(counts)
    assert shares.loc["T-shirt/top"].tolist() == [0.5, 0, 0.5]
    assert shares.loc["Trouser":].isna().all(axis=None)


def test_the_worst_level_has_the_lowest_mean_accuracy_and_is_never_the_base():
    answers = pd.concat([random_answers(right, arm) for right, arm in ((0.5, "base"), (0.6, "plain"), (0.9, "gelu"))])
    assert confusion.worst(answers, ARMS) == "plain"
    arms = pd.CategoricalDtype(["base", "gelu", "plain"])
    assert confusion.worst(answers[answers["arm"] != "plain"].astype({"arm": arms}), ARMS) == "gelu"
    with pytest.raises(ValueError, match="empty"):
        confusion.worst(answers[answers["arm"] == "base"], ARMS)


def test_the_most_confused_pair_comes_first_and_right_answers_are_no_pair():
    answers = answered([[0, 1, 1, 2, 2], [0, 0, 1, 2, 1]], [0, 0, 0, 1, 2])
    table = confusion.confused(confusion.confusion(answers, NAMES[:3]))
    assert table.to_numpy().tolist() == [
        ["T-shirt/top", "Trouser", 3, 3 / 6],
        ["Trouser", "Pullover", 2, 1],
        ["Pullover", "Trouser", 1, 1 / 2],
    ]
    assert list(table.columns) == ["true", "predicted", "count", "share"]


def test_a_mistake_is_counted_by_the_seeds_that_make_the_same_one():
    answers = answered([[0, 2, 1], [0, 2, 0], [1, 0, 0]], [0, 1, 1])
    table = confusion.mistakes(answers, NAMES)
    assert table.to_numpy().tolist() == [
        [1, "Trouser", "Pullover", 2, 3],
        [2, "Trouser", "T-shirt/top", 2, 3],
        [0, "T-shirt/top", "Trouser", 1, 3],
        [1, "Trouser", "T-shirt/top", 1, 3],
    ]
    assert captions(table)[0] == "Trouser\n→ Pullover\n2 of 3 seeds"


def test_without_a_mistake_the_tables_are_empty():
    answers = answered([[0, 1]], [0, 1])
    assert confusion.mistakes(answers, NAMES).empty
    assert confusion.confused(confusion.confusion(answers, NAMES)).empty


def test_the_maps_show_both_levels_in_percent_and_the_second_minus_the_first_around_zero():
    base, plain = (confusion.confusion(random_answers(right, "any"), NAMES) for right in (0.9, 0.6))
    figure = draw_confusions(base, plain, ("base", "plain"))
    first, second, change = (axis for axis in figure.axes if axis.get_title("left"))
    shares = [100 * confusion.shares(counts).to_numpy() for counts in (base, plain)]
    for axis, values in ((first, shares[0]), (second, shares[1]), (change, shares[1] - shares[0])):
        assert np.asarray(axis.collections[0].get_array()).reshape(10, 10) == pytest.approx(values)
        assert [label.get_text() for label in axis.get_xticklabels()] == NAMES
    assert first.get_title("left") == "base\n% of the true class, n = 1,200 answers"
    assert change.get_title("left") == "plain minus base\npoints"
    low, high = change.collections[0].get_clim()
    assert low == -high
    numbers = [text.get_text() for text in first.texts]
    assert numbers[0] == f"{shares[0][0, 0]:.1f}"
    assert "0.0" not in numbers
    assert figure.get_size_inches()[0] == pytest.approx(16 / 2.54)


@pytest.mark.filterwarnings("error")
def test_two_levels_without_a_difference_or_with_a_class_without_images_can_be_drawn():
    counts = confusion.confusion(answered([[0, 2]], [0, 0]), NAMES[:3])
    assert draw_confusions(counts, counts, ("base", "noop"))._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(("count", "channels"), [(1, 1), (5, 3), (7, 1)])
def test_every_misclassified_image_stands_above_its_caption(count, channels):
    images = np.random.default_rng(0).integers(0, 256, (count, 8, 8, channels), dtype=np.uint8)
    figure = draw_mistakes(images, [f"caption {number}" for number in range(count)])
    assert [axis.get_xlabel() for axis in figure.axes] == [f"caption {number}" for number in range(count)]
    for axis, image in zip(figure.axes, images, strict=True):
        np.testing.assert_array_equal(np.asarray(axis.images[0].get_array()).reshape(image.shape), image)
    assert figure._repr_png_().startswith(b"\x89PNG")
