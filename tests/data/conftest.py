"""An empty project, and small archives in the official formats, made of noise that is the same every time."""

import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
from PIL import Image

from lib import paths


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project folder, into which all of `lib.paths` that the data room uses points."""
    root = tmp_path / "project"
    for name, folder in (("DATA", "data"), ("SPLITS", "data/splits"), ("PARAMS", "params")):
        (root / folder).mkdir(parents=True)
        monkeypatch.setattr(paths, name, root / folder)
    return root


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2's strings, which is how the official CIFAR batches hold them."""

    def save_bytes(self, content):
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(content)

    dispatch = pickle._Pickler.dispatch | {bytes: save_bytes}


def python2_pickle(value):
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def batch(images, labels, key):
    """A CIFAR batch: each image as its red, green and blue plane."""
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)
    return python2_pickle({b"data": planes, key: [int(label) for label in labels], b"batch_label": b"noise"})


def noise(classes, train_each, test_each, size=32, channels=3, seed=0):
    """Images and labels of both parts, the classes in turn."""
    random = np.random.RandomState(seed)
    labels = [np.arange(classes * each) % classes for each in (train_each, test_each)]
    images = [random.randint(0, 256, (len(part), size, size, channels), dtype=np.uint8) for part in labels]
    return SimpleNamespace(train_images=images[0], train_labels=labels[0], test_images=images[1], test_labels=labels[1])


def cifar10_files(content):
    fifth = len(content.train_labels) // 5
    parts = [slice(i * fifth, (i + 1) * fifth) for i in range(5)]
    files = {
        f"data_batch_{i}": batch(content.train_images[part], content.train_labels[part], b"labels")
        for i, part in enumerate(parts, start=1)
    }
    return files | {"test_batch": batch(content.test_images, content.test_labels, b"labels"), "readme.html": b""}


def cifar100_files(content):
    return {
        name: batch(getattr(content, f"{name}_images"), getattr(content, f"{name}_labels"), b"fine_labels")
        for name in ("test", "train")
    }


def write_tar(path, folder, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in reversed(files.items()):  # the official order is no order either
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_zip(path, folder, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{folder}/{name}", content)
    return path


def write_folder(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


@pytest.fixture(scope="session")
def cifar10():
    """100 train and 20 test images, and the files of the official archive that hold them."""
    content = noise(classes=10, train_each=10, test_each=2)
    return SimpleNamespace(**vars(content), files=cifar10_files(content))


@pytest.fixture(scope="session")
def cifar100():
    content = noise(classes=100, train_each=3, test_each=1, seed=1)
    return SimpleNamespace(**vars(content), files=cifar100_files(content))


def encoded(image, kind):
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze()).save(buffer, kind)
    return buffer.getvalue()


def jpeg(image):
    return encoded(image, "JPEG")


def png(image):
    return encoded(image, "PNG")


def write_parquet(folder, content, image="image", label="label", test="valid", grey=()):
    """Write both parts in the hub's layout, the images as PNG or, where a number is in `grey`, as grey JPEG."""
    features = datasets.Features({image: datasets.Image(), label: datasets.Value("int64")})
    for name, part in (("train", "train"), (test, "test")):
        images, labels = getattr(content, f"{part}_images"), getattr(content, f"{part}_labels")
        cells = [jpeg(pixels[..., 0]) if number in grey else png(pixels) for number, pixels in enumerate(images)]
        rows = {image: [{"bytes": cell, "path": None} for cell in cells], label: labels}
        path = folder / "data" / f"{name}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_dict(rows, features=features).to_parquet(path)
    return folder


@pytest.fixture(scope="session")
def tiny_imagenet():
    """400 train and 200 test JPEGs, every seventh of them grey; `*_images` hold what Pillow decodes."""
    content = noise(classes=200, train_each=2, test_each=1, size=64, seed=2)
    wnids = [f"n{number:08d}" for number in range(1, 201)]
    files = {"wnids.txt": "\n".join(reversed(wnids)).encode(), "words.txt": b"", "test/images/test_0.JPEG": b"?"}
    decoded = {"train": {}, "val": {}}
    for part, images, labels in (
        ("train", content.train_images, content.train_labels),
        ("val", content.test_images, content.test_labels),
    ):
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            wnid = wnids[label]
            content_of_file = jpeg(image[..., 0] if number % 7 == 0 else image)
            name = f"train/{wnid}/images/{wnid}_{number}.JPEG" if part == "train" else f"val/images/val_{number}.JPEG"
            files[name] = content_of_file
            pixels = np.asarray(Image.open(io.BytesIO(content_of_file)))
            decoded[part][name] = np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels
    rows = (f"val_{number}.JPEG\t{wnids[label]}\t0\t0\t63\t63\n" for number, label in enumerate(content.test_labels))
    files["val/val_annotations.txt"] = "".join(rows).encode()
    names = sorted(decoded["train"])
    return SimpleNamespace(
        files=files,
        train_images=np.stack([decoded["train"][name] for name in names]),
        train_labels=np.array([wnids.index(Path(name).parts[1]) for name in names]),
        test_images=np.stack(list(decoded["val"].values())),
        test_labels=content.test_labels,
    )
