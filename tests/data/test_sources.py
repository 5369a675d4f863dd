"""The sources that are no archive: scikit-learn's digits, parquet files, the hub; and paths that hold nothing."""

from importlib import import_module
from pathlib import Path

import datasets
import numpy as np
import pytest
from sklearn.datasets import load_digits

from lib.data.preparation import prepare
from lib.errors import DataError
from lib.study.datasets import DATASETS
from tests.data.conftest import write_parquet
from tests.data.test_archives import assert_holds, read


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)
def test_every_row_has_a_reader_and_one_official_source(dataset):
    module, _, function = dataset.reader.partition(".")
    assert callable(getattr(import_module(f"lib.data.formats.{module}"), function))
    assert sum(map(bool, (dataset.archive, dataset.files, dataset.library))) == 1
    assert dataset.shape == (dataset.size, dataset.size, dataset.channels)
    assert len(dataset.class_names) in (0, dataset.classes)
    assert len(dataset.names) == dataset.classes


def test_digits_are_scikit_learns_images_enlarged(project):
    origin, parts = read("digits", None)
    images = np.concatenate([images for _, images in parts])
    assert [len(labels) for labels, _ in parts] == [1_437, 360]
    assert origin.kind == "scikit-learn"
    assert np.unique(images).tolist() == [round(value * 255 / 16 + 1e-9) for value in range(17)]
    small = images[:, ::4, ::4]
    assert (small.repeat(4, axis=1).repeat(4, axis=2) == images).all()
    assert (images == images[..., :1]).all()
    expected = sorted(digit.tobytes() for digit in load_digits().images.astype(np.uint8))
    assert sorted(digit.tobytes() for digit in np.round(small[..., 0] / 255 * 16).astype(np.uint8)) == expected


def test_digits_take_no_source(project, tmp_path):
    with pytest.raises(DataError, match="come with scikit-learn: leave the source out"):
        read("digits", tmp_path)


@pytest.mark.parametrize(
    ("name", "image", "label", "test"),
    [
        ("cifar10", "img", "label", "test"),
        ("cifar100", "image", "fine_label", "validation"),
        ("tiny_imagenet", "image", "label", "valid"),
    ],
)
def test_parquet_files_are_read_to_the_pixel(request, project, tmp_path, name, image, label, test):
    content = request.getfixturevalue(name)
    folder = write_parquet(tmp_path / "hub", content, image, label, test)
    origin, parts = read(name, folder)
    assert_holds(parts, content)
    assert (origin.kind, origin.location) == ("parquet", str(folder))
    assert_holds(read(name, folder / "data")[1], content)


def test_nothing_is_left_of_the_datasets_librarys_cache(cifar10, project, tmp_path):
    prepare("cifar10", write_parquet(tmp_path / "hub", cifar10))
    assert not list(project.rglob("*.arrow"))
    assert {path.name for path in (project / "data").iterdir() if path.is_dir()} == {"splits"}


def test_the_hubs_id_is_a_source(tiny_imagenet, project, tmp_path, monkeypatch):
    folder = write_parquet(tmp_path / "hub", tiny_imagenet)
    load = datasets.load_dataset

    def mirror(name, cache_dir):
        assert name == "zh-plus/tiny-imagenet"
        return load(str(folder), cache_dir=cache_dir)

    monkeypatch.setattr(datasets, "load_dataset", mirror)
    origin, parts = read("tiny_imagenet", Path("zh-plus/tiny-imagenet"))
    assert_holds(parts, tiny_imagenet)
    assert origin.kind == "hub"


def test_grey_images_in_parquet_become_rgb(cifar10, project, tmp_path):
    _, parts = read("cifar10", write_parquet(tmp_path / "hub", cifar10, grey={0, 3}))
    images = parts[0][1]
    assert np.flatnonzero((images == images[..., :1]).all(axis=(1, 2, 3))).tolist() == [0, 3]


def test_a_damaged_parquet_file_is_refused(cifar10, project, tmp_path):
    folder = write_parquet(tmp_path / "hub", cifar10)
    path = next(folder.glob("data/train-*"))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=f"{folder} cannot be read"):
        read("cifar10", folder)


def test_parquet_without_the_columns_is_refused_with_the_choices(cifar10, project, tmp_path):
    folder = write_parquet(tmp_path / "hub", cifar10, label="kind")
    with pytest.raises(DataError, match="has the columns image, kind, and none named fine_label or label"):
        read("cifar10", folder)


def test_an_image_that_cannot_be_decoded_is_named_by_its_row(cifar10, project, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.data.conftest.jpeg", lambda pixels: b"no image")
    folder = write_parquet(tmp_path / "hub", cifar10, grey={7})
    with pytest.raises(DataError, match="train, row 7 is no image"):
        read("cifar10", folder)


def test_a_path_that_is_not_there_is_named(project, tmp_path):
    with pytest.raises(DataError, match=f"no such file or folder: {tmp_path}/nowhere"):
        read("cifar10", tmp_path / "nowhere")


def test_a_file_of_something_else_is_refused_in_one_line(project, tmp_path):
    (tmp_path / "notes.txt").write_text("no archive")
    with pytest.raises(DataError, match=r"no archive of cifar-100-python \(file could not be opened successfully\)$"):
        read("cifar100", tmp_path / "notes.txt")


def test_a_folder_of_something_else_says_what_is_expected(project, tmp_path):
    with pytest.raises(DataError, match=r"holds no CIFAR-100: expected cifar-100-python\.tar\.gz"):
        read("cifar100", tmp_path)
