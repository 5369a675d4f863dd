"""Fashion-MNIST: the official IDX files and the re-split folder, read to the pixel; what is wrong, named by file."""

import dataclasses
import functools
import gzip
import hashlib
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import datasets
import numpy as np
import pandas as pd
import pytest

from lib import paths
from lib.data import exhibits
from lib.data.__main__ import report
from lib.data.checks import checks
from lib.data.preparation import prepare
from lib.data.store import open_store
from lib.errors import DataError
from lib.figures import data as figures
from lib.study.datasets import DATASETS, Download
from tests.data.conftest import encoded, noise, png, write_folder
from tests.data.test_archives import assert_holds, read
from tests.data.test_store import assert_no_store

FACTS = DATASETS["fashion_mnist"]
IMAGES, LABELS = "{}-images-idx3-ubyte", "{}-labels-idx1-ubyte"
CONTENT = noise(classes=10, train_each=10, test_each=2, size=28, channels=1, seed=4)


def idx(array):
    """An array of bytes in IDX."""
    return b"".join(number.to_bytes(4, "big") for number in (0x0800 + array.ndim, *array.shape)) + array.tobytes()


def plain(images, labels, prefix):
    return {IMAGES.format(prefix): idx(images[..., 0]), LABELS.format(prefix): idx(labels.astype(np.uint8))}


def packed(files):
    return {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in files.items()}


PLAIN = plain(CONTENT.train_images, CONTENT.train_labels, "train") | plain(
    CONTENT.test_images, CONTENT.test_labels, "t10k"
)
PACKED = packed(PLAIN)


@pytest.fixture
def row(project, monkeypatch):
    """The dataset's row in small: the images and the files of this test are the official ones."""
    files = tuple(dataclasses.replace(file, md5=hashlib.md5(PACKED[file.file]).hexdigest()) for file in FACTS.files)
    row = dataclasses.replace(FACTS, train=100, test=20, val=10, files=files)
    monkeypatch.setitem(DATASETS, "fashion_mnist", row)
    return row


@pytest.fixture(params=["packed", "plain"])
def files(request):
    """The four files, as published or unpacked."""
    return PACKED if request.param == "packed" else PLAIN


def assert_refused(folder, message):
    """The source is refused in one sentence, and nothing of it is left."""
    with pytest.raises(DataError, match=message) as caught:
        prepare("fashion_mnist", folder)
    assert "\n" not in str(caught.value)
    assert_no_store("fashion_mnist")
    assert list(paths.DATA.rglob("*.npy")) == []


def test_the_row_names_the_official_files():
    base = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    assert FACTS.files == (
        Download(f"{base}train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        Download(f"{base}train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        Download(f"{base}t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        Download(f"{base}t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    )
    assert (FACTS.shape, FACTS.names[0], FACTS.names[9]) == ((28, 28, 1), "T-shirt/top", "Ankle boot")


def test_idx_files_are_read_to_the_pixel(row, tmp_path, files):
    origin, parts = read("fashion_mnist", write_folder(tmp_path / "raw", files))
    assert_holds(parts, CONTENT)
    assert (origin.kind, origin.location) == ("files", str(tmp_path / "raw"))
    assert origin.official is (True if files is PACKED else None)


def test_the_packed_files_are_read_where_both_are_there(row, tmp_path):
    unpacked = dict.fromkeys(PLAIN, b"damaged")
    origin, parts = read("fashion_mnist", write_folder(tmp_path / "raw", PACKED | unpacked))
    assert_holds(parts, CONTENT)
    assert origin.official is True


def test_files_on_disk_become_a_store_of_one_channel(row, tmp_path, files):
    store = prepare("fashion_mnist", write_folder(tmp_path / "raw", files))
    assert store.train_images.shape == (100, 28, 28, 1)
    assert store.mean.shape == store.std.shape == (1,)
    assert checks(store)["passed"].all()
    source = exhibits.overview([store]).iloc[0]["source"]
    assert source == ("files on disk, official checksum" if files is PACKED else "files on disk")


def test_other_images_of_the_official_number_pass_as_a_count_and_no_more(row, tmp_path):
    other = noise(classes=10, train_each=10, test_each=2, size=28, channels=1, seed=5)
    made_up = plain(other.train_images, other.train_labels, "train") | plain(
        other.test_images, other.test_labels, "t10k"
    )
    store = prepare("fashion_mnist", write_folder(tmp_path / "raw", made_up))
    table = checks(store)
    assert table["passed"].all()
    assert table["check"].iloc[-1] == "official image counts"
    assert not table["check"].str.contains("official images").any()
    assert exhibits.overview([store]).iloc[0]["source"] == "files on disk"  # and no "official checksum"


def test_a_column_of_the_samples_has_the_name_of_its_class(row, tmp_path):
    store = prepare("fashion_mnist", write_folder(tmp_path / "raw", PLAIN))
    axis = figures.samples(*store.split("train"), store.dataset.class_names).axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == list(FACTS.class_names)
    assert np.squeeze(axis.images[0].get_array()).shape == (5 * 32, 10 * 32)


def test_all_files_are_downloaded_and_verified(row, tmp_path, monkeypatch):
    handler = functools.partial(SimpleHTTPRequestHandler, directory=write_folder(tmp_path / "web", PACKED))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{web.server_port}"
        local = tuple(dataclasses.replace(file, url=f"{base}/{file.file}") for file in row.files)
        monkeypatch.setitem(DATASETS, "fashion_mnist", dataclasses.replace(row, files=local))
        wrong = dataclasses.replace(local[3], md5="0" * 32)
        monkeypatch.setitem(DATASETS, "fashion_mnist", dataclasses.replace(row, files=(*local[:3], wrong)))
        assert_refused(None, f"t10k-labels-idx1-ubyte.gz: the download has the checksum {local[3].md5}, not 0000")
        monkeypatch.setitem(DATASETS, "fashion_mnist", dataclasses.replace(row, files=local))
        store = prepare("fashion_mnist")
        web.shutdown()
    np.testing.assert_array_equal(store.test_images, CONTENT.test_images)
    assert (store.manifest.origin.kind, store.manifest.origin.official) == ("download", True)
    assert {path.name for path in (paths.DATA / "downloads" / "fashion_mnist").iterdir()} == set(PACKED)


def test_an_altered_file_among_the_official_ones_is_refused(row, tmp_path):
    images = CONTENT.test_images.copy()
    images[0, 0, 0, 0] ^= 1
    altered = packed(plain(images, CONTENT.test_labels, "t10k"))
    assert_refused(write_folder(tmp_path / "raw", PACKED | altered), "raw has as many images .* and another checksum")


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.999])
def test_a_truncated_file_is_named(row, tmp_path, files, name, share):
    name = name if files is PLAIN else f"{name}.gz"
    cut = files | {name: files[name][: int(share * len(files[name]))]}
    assert_refused(write_folder(tmp_path / "raw", cut), f"{name} (is damaged or truncated|has the magic number)")


def test_a_lost_file_is_named(row, tmp_path, files):
    some = {name: content for name, content in files.items() if "t10k-labels" not in name}
    assert_refused(write_folder(tmp_path / "raw", some), "raw has no file t10k-labels-idx1-ubyte")


MANY = plain(np.repeat(CONTENT.train_images, 2, axis=0), np.repeat(CONTENT.train_labels, 2), "train")
TALL = plain(np.zeros((100, 32, 28, 1), np.uint8), CONTENT.train_labels, "train")
TEN = plain(CONTENT.test_images, np.arange(20) % 11, "t10k")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {IMAGES.format("train"): PLAIN[LABELS.format("train")]},
            r"train-images-idx3-ubyte(\.gz)? has the magic number 2049 \(labels\), not 2051 \(images\)$",
        ),
        (
            {LABELS.format("t10k"): PLAIN[IMAGES.format("t10k")]},
            r"t10k-labels-idx1-ubyte(\.gz)? has the magic number 2051 \(images\), not 2049 \(labels\)$",
        ),
        (
            {kind.format("t10k"): PLAIN[kind.format("train")] for kind in (IMAGES, LABELS)},
            r"t10k-images-idx3-ubyte(\.gz)? holds 100 images, and the test part of Fashion-MNIST has 20$",
        ),
        (
            {LABELS.format("t10k"): PLAIN[LABELS.format("train")]},
            r"t10k-labels-idx1-ubyte(\.gz)? holds 100 labels, and the test part of Fashion-MNIST has 20$",
        ),
        (
            {IMAGES.format("train"): PLAIN[IMAGES.format("t10k")]},
            r"train-labels-idx1-ubyte(\.gz)? holds 100 labels for 20 images$",
        ),
        (MANY, r"train-images-idx3-ubyte(\.gz)? holds 200 images, and the train part of Fashion-MNIST has 100$"),
        (TALL, r"train-images-idx3-ubyte(\.gz)? holds images of 32 x 28 pixels, not 28 x 28$"),
        (TEN, r"t10k-labels-idx1-ubyte(\.gz)?: label 11 is 10, not one of 0 to 9$"),
    ],
)
def test_what_is_not_the_file_that_its_name_says_is_refused(row, tmp_path, files, change, message):
    change = change if files is PLAIN else packed(change)
    assert_refused(write_folder(tmp_path / "raw", files | change), message)


def test_a_folder_of_something_else_says_what_is_expected(row, tmp_path):
    assert_refused(tmp_path, r"holds no Fashion-MNIST: expected train-images-idx3-ubyte\.gz and the other")
    assert_refused(tmp_path / "nowhere", f"no such file or folder: {tmp_path}/nowhere")


def write_resplit(folder, images=None, cells=None, **changes):
    """The folder with all images in one file, test images first; `changes` replace a table or a CSV file's text."""
    folder.mkdir()
    everything = SimpleNamespace(
        images=np.concatenate([CONTENT.test_images, CONTENT.train_images]),
        labels=np.concatenate([CONTENT.test_labels, CONTENT.train_labels]),
    )
    cells = {number: png(image) for number, image in enumerate(everything.images)} | (cells or {})
    rows = {"image": [{"bytes": cell, "path": None} for cell in cells.values()], "label": everything.labels}
    rows = {changes.get(name, name): values for name, values in rows.items()}
    datasets.Dataset.from_dict(rows).to_parquet(folder / "data.parquet")
    for name, part in (("test", range(20)), ("train", range(20, 120))):
        table = pd.DataFrame({"index": part, "label": everything.labels[part]})
        text = changes.get(f"{name}_csv", lambda table: table)(table)
        (folder / f"{name}.csv").write_text(text if isinstance(text, str) else text.to_csv(index=False))
    return folder


def test_a_resplit_folder_is_read_to_the_pixel(row, tmp_path):
    folder = write_resplit(tmp_path / "resplit")
    origin, parts = read("fashion_mnist", folder)
    assert_holds(parts, CONTENT)
    assert (origin.kind, origin.location, origin.official) == ("resplit", str(folder), None)


def test_the_order_of_the_csv_file_is_the_order_of_the_part(row, tmp_path):
    folder = write_resplit(tmp_path / "resplit", train_csv=lambda table: table[::-1])
    (_, images), _ = read("fashion_mnist", folder)[1]
    np.testing.assert_array_equal(images, CONTENT.train_images[::-1])


def test_nothing_is_left_of_the_datasets_librarys_cache(row, project, tmp_path):
    prepare("fashion_mnist", write_resplit(tmp_path / "resplit"))
    assert not list(project.rglob("*.arrow"))


def test_a_resplit_dataset_is_said_to_be_one(row, tmp_path, capsys):
    store = prepare("fashion_mnist", write_resplit(tmp_path / "resplit"))
    assert store.complete
    assert store.resplit
    assert open_store("fashion_mnist").resplit
    assert not prepare("digits").resplit
    table = checks(store).set_index("check")
    assert table.index[~table["passed"]].tolist() == ["official image counts"]
    assert table.loc["official image counts", "found"] == "100 train, 20 test, re-split"
    assert "re-split: the test images are not the official ones" in exhibits.overview([store]).iloc[0]["source"]
    assert "(not: official image counts: 100 train, 20 test, re-split, " in exhibits.finding(store, checks(store))
    report(store)
    assert "re-split: its test images are not the official ones" in capsys.readouterr().out


def row_twice(table):
    return pd.concat([table, table.iloc[[3]]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_csv": lambda t: t.replace({"index": {7: 120}})}, r"test\.csv lists row 120, and data\.parquet has 120"),
        (
            {"train_csv": lambda t: t.replace({"index": {20: -1}})},
            r"train\.csv lists row -1, and data\.parquet has 120",
        ),
        (
            {"test_csv": lambda t: t.assign(label=t["label"].mask(t["index"] == 4, 5))},
            r"test\.csv: row 4 has the label 5, and 4 in data\.parquet$",
        ),
        (
            {"train_csv": lambda t: t.rename(columns={"index": "row"})},
            r"train\.csv has the columns row, label, and none named index$",
        ),
        (
            {"test_csv": lambda t: t.rename(columns={"label": "class"})},
            r"test\.csv has the columns index, class, and none named label$",
        ),
        ({"image": "picture"}, r"data\.parquet has the columns picture, label, and none named img or image$"),
        ({"label": "kind"}, r"data\.parquet has the columns image, kind, and none named fine_label or label$"),
        ({"train_csv": row_twice}, r"train\.csv lists row 23 twice$"),
        (
            {"test_csv": lambda t: t.replace({"index": {7: 27}})},
            r"resplit: train\.csv and test\.csv both list row 27 of data\.parquet$",
        ),
        (
            {"test_csv": lambda t: t.astype({"index": float})},
            r"test\.csv: the column index holds something else than whole numbers$",
        ),
        (
            {"test_csv": lambda t: t.astype(str).replace({"label": {"3": "Dress"}})},
            r"test\.csv: the column label holds something else",
        ),
        ({"test_csv": lambda t: ""}, r"test\.csv cannot be read: No columns to parse from file$"),
        (
            {"cells": {5: encoded(np.zeros((32, 28), np.uint8), "PNG")}},
            r"data\.parquet, row 5 has 32 x 28 pixels, not 28 x 28$",
        ),
        (
            {"cells": {25: encoded(np.zeros((28, 28, 3), np.uint8), "PNG")}},
            r"data\.parquet, row 25 is an image of mode RGB; its dataset has grey",
        ),
        (
            {"cells": {25: encoded(np.zeros((28, 28), np.uint16), "PNG")}},
            r"data\.parquet, row 25 is an image of mode I;16; its dataset has grey",
        ),
        ({"cells": {3: b"no image"}}, r"data\.parquet, row 3 is no image that can be decoded"),
    ],
)
def test_files_that_contradict_each_other_are_refused(row, tmp_path, changes, message):
    assert_refused(write_resplit(tmp_path / "resplit", **changes), message)


@pytest.mark.parametrize("name", ["train.csv", "test.csv"])
def test_a_lost_csv_file_is_named(row, tmp_path, name):
    folder = write_resplit(tmp_path / "resplit")
    (folder / name).unlink()
    assert_refused(folder, f"{name} does not exist$")


def test_a_truncated_parquet_file_is_named(row, tmp_path):
    folder = write_resplit(tmp_path / "resplit")
    path = folder / "data.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    assert_refused(folder, f"{path} cannot be read: ")
