"""Official archives, read to the pixel; damaged and foreign ones, refused in one sentence."""

import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

from lib import paths
from lib.data.sources import open_source
from lib.errors import DataError
from lib.study.datasets import DATASETS
from tests.data.conftest import batch, write_folder, write_tar, write_zip

NAMES = ("cifar10", "cifar100", "tiny_imagenet")


@pytest.fixture(params=NAMES)
def official(request):
    """A dataset's name, and its small content with its official files."""
    return request.param, request.getfixturevalue(request.param)


def packed(tmp_path, name, files):
    archive = DATASETS[name].archive
    write = write_zip if archive.file.endswith(".zip") else write_tar
    return write(tmp_path / archive.file, archive.folder, files)


def read(name, path):
    """Everything that a source holds, or the error on the way."""
    with open_source(DATASETS[name], path, paths.DATA / "cache") as source:
        parts = [(part.labels, np.stack(list(part.images))) for part in (source.train, source.test)]
        return source.origin, parts


def assert_holds(parts, content):
    (train_labels, train_images), (test_labels, test_images) = parts
    np.testing.assert_array_equal(train_labels, content.train_labels)
    np.testing.assert_array_equal(train_images, content.train_images)
    np.testing.assert_array_equal(test_labels, content.test_labels)
    np.testing.assert_array_equal(test_images, content.test_images)


def test_an_archive_is_read_to_the_pixel(official, project, tmp_path):
    name, content = official
    origin, parts = read(name, packed(tmp_path, name, content.files))
    assert_holds(parts, content)
    assert (origin.kind, origin.official) == ("archive", False)


def test_an_extracted_folder_is_read_to_the_pixel(official, project, tmp_path):
    name, content = official
    origin, parts = read(name, write_folder(tmp_path / "anywhere", content.files))
    assert_holds(parts, content)
    assert (origin.kind, origin.official) == ("folder", None)


def test_a_folder_that_holds_the_extracted_folder_or_the_archive_will_do(official, project, tmp_path):
    name, content = official
    write_folder(tmp_path / "unpacked" / DATASETS[name].archive.folder, content.files)
    (tmp_path / "packed").mkdir()
    packed(tmp_path / "packed", name, content.files)
    assert_holds(read(name, tmp_path / "unpacked")[1], content)
    assert_holds(read(name, tmp_path / "packed")[1], content)


def test_batches_that_python_3_wrote_are_read_too(cifar100, project, tmp_path):
    files = {name: pickle.dumps(pickle.loads(raw, encoding="bytes")) for name, raw in cifar100.files.items()}
    assert_holds(read("cifar100", packed(tmp_path, "cifar100", files))[1], cifar100)


def test_an_archive_with_the_official_checksum_says_so(cifar10, project, tmp_path, monkeypatch):
    path = packed(tmp_path, "cifar10", cifar10.files)
    monkeypatch.setattr("lib.data.sources.md5", lambda path: DATASETS["cifar10"].archive.md5)
    assert read("cifar10", path)[0].official is True


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_archive_is_refused(official, project, tmp_path, share):
    name, content = official
    path = packed(tmp_path, name, content.files)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match="damaged, truncated or no archive"):
        read(name, path)


def test_a_wrong_checksum_of_the_compressed_stream_is_seen(cifar10, project, tmp_path):
    path = packed(tmp_path, "cifar10", cifar10.files)
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # gzip's trailer: four bytes of CRC-32, four of length
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cifar-10-python.tar.gz is damaged, truncated or no archive .*CRC"):
        read("cifar10", path)


@pytest.mark.parametrize("compression", ["xz", "bz2"])
def test_damage_in_any_compression_is_refused_in_one_sentence(cifar10, project, tmp_path, compression):
    path = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(path, f"w:{compression}") as archive:
        archive.add(write_folder(tmp_path / "files", cifar10.files), "cifar-10-batches-py")
    content = bytearray(path.read_bytes())
    for position in range(len(content) // 2, len(content) // 2 + 200):
        content[position] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cifar-10-python.tar.gz is damaged, truncated or no archive"):
        read("cifar10", path)


@pytest.mark.parametrize(("offset", "value"), [(6, 1), (8, 99)])
def test_an_encrypted_zip_and_one_of_an_unknown_method_are_refused(tiny_imagenet, project, tmp_path, offset, value):
    """Both are one field of the local and of the central header: the flags, and the compression method."""
    path = packed(tmp_path, "tiny_imagenet", tiny_imagenet.files)
    content = bytearray(path.read_bytes())
    for signature, shift in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
        start = -1
        while (start := content.find(signature, start + 1)) >= 0:
            content[start + offset + shift] = value
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"tiny-imagenet-200.zip: .* cannot be unpacked \("):
        read("tiny_imagenet", path)


def test_a_zip_directory_of_an_unknown_version_is_refused(tiny_imagenet, project, tmp_path):
    path = packed(tmp_path, "tiny_imagenet", tiny_imagenet.files)
    content = bytearray(path.read_bytes())
    content[content.find(b"PK\x01\x02") + 6] = 99
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"tiny-imagenet-200.zip is damaged, truncated or no archive .*version 9.9"):
        read("tiny_imagenet", path)


def test_an_image_that_would_fill_the_memory_is_refused(tiny_imagenet, project, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"JPEG is no image that can be decoded .*decompression bomb"):
        read("tiny_imagenet", packed(tmp_path, "tiny_imagenet", tiny_imagenet.files))


@pytest.mark.parametrize(
    ("name", "lost"),
    [("cifar10", "data_batch_3"), ("cifar100", "train"), ("tiny_imagenet", "val/val_annotations.txt")],
)
def test_a_lost_file_is_named(request, project, tmp_path, name, lost):
    files = dict(request.getfixturevalue(name).files)
    del files[lost]
    with pytest.raises(DataError, match=f"has no file {lost}"):
        read(name, packed(tmp_path, name, files))


class Malice:
    def __reduce__(self):
        return print, ("this must never be printed",)


def test_a_pickle_that_calls_a_function_is_refused_and_not_obeyed(cifar10, project, tmp_path, capsys):
    files = cifar10.files | {"test_batch": pickle.dumps({"data": Malice(), "labels": []}, protocol=2)}
    with pytest.raises(DataError, match=r"test_batch cannot be read.*asks for builtins\.print|__builtin__\.print"):
        read("cifar10", packed(tmp_path, "cifar10", files))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no pickle at all", "cannot be read as a batch"),
        (pickle.dumps([1, 2]), "holds a list, not a dictionary"),
        (pickle.dumps({"data": np.zeros((2, 3072), np.uint8)}), "no 'labels'"),
        (pickle.dumps({"data": np.zeros((2, 3071), np.uint8), "labels": [0, 1]}), r"uint8 \(2, 3071\) for 2 labels"),
        (pickle.dumps({"data": np.zeros((2, 3072)), "labels": [0, 1]}), r"float64 \(2, 3072\)"),
        (batch(np.zeros((3, 32, 32, 3), np.uint8), [0, 1], b"labels"), "for 2 labels"),
    ],
)
def test_a_file_that_is_no_batch_is_refused(cifar10, project, tmp_path, content, message):
    files = cifar10.files | {"data_batch_2": content}
    with pytest.raises(DataError, match=rf"data_batch_2 .*{message}"):
        read("cifar10", packed(tmp_path, "cifar10", files))


def test_a_damaged_jpeg_is_named(tiny_imagenet, project, tmp_path):
    name = "val/images/val_5.JPEG"
    files = tiny_imagenet.files | {name: tiny_imagenet.files[name][:200]}
    with pytest.raises(DataError, match=f"{name} is no image that can be decoded"):
        read("tiny_imagenet", packed(tmp_path, "tiny_imagenet", files))


def test_images_of_a_class_that_is_not_listed_are_refused(tiny_imagenet, project, tmp_path):
    files = tiny_imagenet.files | {"train/n99999999/images/a.JPEG": b""}
    with pytest.raises(DataError, match="n99999999, a class that is not in wnids.txt"):
        read("tiny_imagenet", packed(tmp_path, "tiny_imagenet", files))
