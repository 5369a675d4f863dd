"""Real images, where `PAIRED_TEST_DATA` names a folder with `cifar10`, `tiny-imagenet` or `FashionMNIST-Resplit`."""

import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lib.data.checks import checks
from lib.data.preparation import prepare

FOLDER = Path(os.environ.get("PAIRED_TEST_DATA", "absent"))
SOURCES = {"cifar10": ("cifar10", "img", "test"), "tiny_imagenet": ("tiny-imagenet", "image", "valid")}


@pytest.mark.parametrize("name", SOURCES)
def test_a_store_of_real_images_is_what_pillow_decodes(project, name):
    folder, column, test = SOURCES[name]
    files = sorted((FOLDER / folder / "data").glob(f"{test}-*.parquet"))
    if not files:
        pytest.skip(f"PAIRED_TEST_DATA names no folder with {folder}/data/{test}-*.parquet")
    store = prepare(name, FOLDER / folder)
    table = checks(store).set_index("check")
    assert table["passed"].drop("official image counts").all()
    cells = pq.read_table(files[0])[column].to_pylist()
    images = [Image.open(io.BytesIO(cell["bytes"])) for cell in cells[:2_000]]
    grey = [number for number, image in enumerate(images) if image.mode == "L"]
    assert bool(grey) == (name == "tiny_imagenet")
    for number, image in enumerate(images):
        pixels = np.asarray(image)
        expected = np.repeat(pixels[..., None], 3, axis=-1) if image.mode == "L" else pixels
        assert np.array_equal(store.test_images[number], expected)


def test_a_store_of_the_resplit_fashion_mnist_is_what_pillow_decodes(project):
    folder = FOLDER / "FashionMNIST-Resplit"
    if not folder.exists():
        pytest.skip("PAIRED_TEST_DATA names no folder with FashionMNIST-Resplit")
    store = prepare("fashion_mnist", folder)
    table = checks(store).set_index("check")
    assert table.index[~table["passed"]].tolist() == ["official image counts"]
    assert (store.complete, store.resplit) == (True, True)
    cells = pq.read_table(folder / "data.parquet")["image"]
    for part in ("train", "test"):
        listed = pd.read_csv(folder / f"{part}.csv")
        np.testing.assert_array_equal(getattr(store, f"{part}_labels"), listed["label"])
        images = getattr(store, f"{part}_images")
        for number, row in enumerate(listed["index"][:2_000]):
            pixels = np.asarray(Image.open(io.BytesIO(cells[row]["bytes"].as_py())))
            assert np.array_equal(images[number, ..., 0], pixels)
