"""Stores: what they hold, what they refuse, and that nothing half-written is taken for good."""

import dataclasses
import errno
import os
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
import yaml
from sklearn.model_selection import train_test_split

from lib import files, paths
from lib.data import contents, layout, writing
from lib.data.__main__ import report
from lib.data.checks import checks
from lib.data.layout import IMAGES_AND_LABELS, SPLITS
from lib.data.preparation import prepare
from lib.data.statistics import read_statistics
from lib.data.store import open_store
from lib.errors import DataError, ParameterError
from lib.study.datasets import DATASETS
from tests.data.conftest import batch, jpeg, write_folder, write_parquet, write_tar, write_zip

FULL_DISK = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def cifar10_source(cifar10, tmp_path):
    return write_folder(tmp_path / "cifar-10-batches-py", cifar10.files)


@pytest.fixture
def found_arrays(project, cifar10):
    """The four arrays of a CIFAR-10 store, as somebody else may have written them."""
    for name in IMAGES_AND_LABELS:
        np.save(paths.DATA / f"cifar10_{name}.npy", getattr(cifar10, name))
    return paths.DATA


def contents_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.npy")}


def assert_no_store(dataset):
    with pytest.raises(DataError, match=f"{dataset} is not prepared: run `make data DATASET={dataset}`"):
        open_store(dataset)


@pytest.mark.parametrize(
    ("name", "write"), [("cifar10", write_tar), ("cifar100", write_tar), ("tiny_imagenet", write_zip)]
)
def test_a_store_holds_its_source_to_the_pixel(request, project, tmp_path, name, write):
    content = request.getfixturevalue(name)
    archive = DATASETS[name].archive
    prepare(name, write(tmp_path / archive.file, archive.folder, content.files))
    store = open_store(name)
    for array in IMAGES_AND_LABELS:
        np.testing.assert_array_equal(getattr(store, array), getattr(content, array))
        assert isinstance(getattr(store, array), np.memmap)
    assert not store.complete
    assert checks(store).set_index("check")["passed"].drop("official image counts").all()


def test_an_archive_of_the_official_size_must_have_the_official_checksum(project, cifar10, tmp_path, monkeypatch):
    size = {"train": len(cifar10.train_labels), "test": len(cifar10.test_labels)}
    monkeypatch.setitem(DATASETS, "cifar10", dataclasses.replace(DATASETS["cifar10"], **size, val=10))
    archive = write_tar(tmp_path / "cifar-10-python.tar.gz", DATASETS["cifar10"].archive.folder, cifar10.files)
    with pytest.raises(DataError, match="cifar-10-python.tar.gz has as many images as CIFAR-10 and another checksum"):
        prepare("cifar10", archive)
    assert_no_store("cifar10")


def test_grey_images_of_tiny_imagenet_are_counted(tiny_imagenet, project, tmp_path):
    store = prepare("tiny_imagenet", write_folder(tmp_path / "tiny", tiny_imagenet.files))
    found = checks(store).set_index("check").loc["grey images", "found"]
    assert found == "58 train, 29 test"  # every seventh of 400 and of 200
    assert store.train_images.shape == (400, 64, 64, 3)


def test_splits_are_scikit_learns_stratified_with_seed_42(project):
    store = prepare("digits")
    labels = np.asarray(store.train_labels)
    train, val = train_test_split(np.arange(1_437), test_size=0.1, stratify=labels, random_state=42)
    np.testing.assert_array_equal(store.train_indices, train)
    np.testing.assert_array_equal(store.val_indices, val)
    assert (paths.SPLITS / "digits_val_indices.npy").exists()


@pytest.mark.parametrize(
    ("dataset", "train", "val", "a_class"),
    [
        ("cifar10", 45_000, 5_000, 500),
        ("cifar100", 45_000, 5_000, 50),
        ("tiny_imagenet", 90_000, 10_000, 50),
        ("fashion_mnist", 55_000, 5_000, 500),
    ],
)
def test_splits_of_official_size_have_exactly_the_shares_of_the_benchmark(dataset, train, val, a_class):
    facts = DATASETS[dataset]
    labels = np.random.default_rng(0).permutation(np.arange(facts.train) % facts.classes)
    train_indices, val_indices = contents.split_indices(facts, labels)
    assert (len(train_indices), len(val_indices)) == (train, val)
    assert (np.bincount(labels[val_indices]) == a_class).all()
    assert sorted([*train_indices, *val_indices]) == list(range(facts.train))


def test_statistics_are_those_of_the_train_split_alone(project, cifar10_source):
    store = prepare("cifar10", cifar10_source)
    pixels = store.train_images[np.sort(store.train_indices)] / 255
    np.testing.assert_allclose(store.mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(store.std, pixels.std(axis=(0, 1, 2)), rtol=1e-12)
    entry = yaml.safe_load((paths.PARAMS / "dataset_stats.yaml").read_text())["cifar10"]
    assert entry == {"mean": store.mean.tolist(), "std": store.std.tolist()}


def test_preparing_a_dataset_leaves_the_working_tree_clean():
    ignored = (Path(__file__).parents[2] / ".gitignore").read_text().splitlines()
    assert {"params/dataset_stats.yaml", "data/*"} <= set(ignored)


def test_lost_statistics_are_written_again(project):
    store = prepare("digits")
    (paths.PARAMS / "dataset_stats.yaml").unlink()
    assert checks(store).set_index("check").loc["params/dataset_stats.yaml", "found"] == "absent: `make data` writes it"
    assert checks(prepare("digits"))["passed"].all()


def test_a_second_dataset_leaves_the_statistics_of_the_first(project, cifar10_source):
    prepare("digits")
    before = read_statistics()["digits"]
    prepare("cifar10", cifar10_source)
    assert read_statistics()["digits"] == before


def test_preparing_again_changes_no_file(project, capsys):
    prepare("digits")
    written = {path: path.stat().st_mtime_ns for path in project.rglob("*.*") if path.suffix != ".lock"}
    capsys.readouterr()
    prepare("digits")
    assert capsys.readouterr().out == "data/digits: ready\n"
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_a_ready_store_is_opened_without_reading_it(project, monkeypatch):
    prepare("digits")
    monkeypatch.setattr("lib.data.contents.sha256", lambda array: pytest.fail("the arrays were read"))
    open_store("digits")


@pytest.mark.parametrize("name", [*IMAGES_AND_LABELS, *SPLITS])
def test_preparing_again_finds_a_bit_that_changed_though_size_and_time_did_not(project, name):
    expected = prepare("digits").digest
    damage(paths.DATA / layout.relative("digits", name))
    assert prepare("digits").digest == expected


def test_touched_files_are_compared_by_their_contents_once(project, monkeypatch, capsys):
    prepare("digits")
    for path in paths.DATA.rglob("*.npy"):
        os.utime(path, ns=(1, 1))
    assert prepare("digits").digest == open_store("digits").digest
    assert capsys.readouterr().out.endswith("data/digits: ready\n")
    monkeypatch.setattr("lib.data.contents.sha256", lambda array: pytest.fail("the arrays were read"))
    open_store("digits")


def test_the_digest_is_that_of_the_contents_wherever_they_came_from(project, cifar10, cifar10_source, tmp_path):
    digest = prepare("cifar10", cifar10_source).digest
    assert prepare("cifar10", write_tar(tmp_path / "any.tar.gz", "cifar-10-batches-py", cifar10.files)).digest == digest
    (paths.DATA / "cifar10.json").unlink()
    for part in ("train", "test"):
        np.save(paths.DATA / f"cifar10_{part}_labels.npy", getattr(cifar10, f"{part}_labels").astype(np.int32))
    assert prepare("cifar10").digest == digest


def test_the_digest_tells_one_pixel_from_another(project, cifar10, cifar10_source):
    digest = prepare("cifar10", cifar10_source).digest
    images = cifar10.test_images.copy()
    images[0, 0, 0, 0] ^= 1
    test_batch = batch(images, cifar10.test_labels, b"labels")
    other = write_folder(cifar10_source.parent / "other", cifar10.files | {"test_batch": test_batch})
    assert prepare("cifar10", other).digest != digest


def test_arrays_in_the_stores_layout_are_used_as_they_are(found_arrays, cifar10):
    before = contents_of(found_arrays)
    store = prepare("cifar10")
    assert {path: content for path, content in contents_of(found_arrays).items() if path in before} == before
    assert store.manifest.origin.kind == "arrays"
    assert len(store.val_indices) == 10


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("train_images", lambda a: a.astype(np.float32), r"train images are float32 .*not uint8 \(100, 32, 32, 3\)"),
        ("test_images", lambda a: a[..., 0], r"test images are uint8 \(20, 32, 32\), not uint8"),
        ("train_images", lambda a: a[:-1], r"train images are uint8 \(99, 32, 32, 3\), not uint8 \(100"),
        ("train_labels", lambda a: a + 1, "train labels run from 1 to 10, not from 0 to 9"),
        ("test_labels", lambda a: a - 1, "test labels run from -1 to 8"),
        ("train_labels", lambda a: a[:, None], r"train labels are int64 \(100, 1\), not integers"),
        ("test_labels", lambda a: a.astype(float), "test labels are float64"),
        ("train_labels", lambda a: np.where(a == 7, 8, a), "fewer than 2 train images of class 7"),
        ("test_labels", lambda a: np.where(a < 3, 3, a), "fewer than 1 test images of class 0, 1, 2"),
        ("train_images", lambda a: np.zeros_like(a), r"standard deviation: expected in \(0, 0\.5\], found 0\.0000"),
    ],
)
def test_arrays_that_are_not_the_datasets_are_refused(found_arrays, cifar10, name, change, message):
    np.save(found_arrays / f"cifar10_{name}.npy", change(getattr(cifar10, name)))
    with pytest.raises(DataError, match=message):
        prepare("cifar10")
    assert_no_store("cifar10")


def test_a_truncated_array_is_refused(found_arrays):
    path = found_arrays / "cifar10_train_images.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="cifar10_train_images.npy is no whole NumPy array"):
        prepare("cifar10")
    assert_no_store("cifar10")


def test_more_images_than_the_dataset_has_are_refused(found_arrays):
    np.save(found_arrays / "cifar10_test_labels.npy", np.arange(10_001) % 10)
    with pytest.raises(DataError, match="10,001 test images, and CIFAR-10 has 10,000"):
        prepare("cifar10")


def test_arrays_that_changed_after_they_were_checked_are_refused(found_arrays, cifar10):
    prepare("cifar10")
    np.save(found_arrays / "cifar10_test_images.npy", 255 - cifar10.test_images)
    with pytest.raises(DataError, match=r"data/cifar10_test_images\.npy: changed since cifar10 was prepared"):
        open_store("cifar10")
    with pytest.raises(DataError, match="has changed since it was checked. Put back the original"):
        prepare("cifar10")


def test_a_damaged_store_is_built_again_from_where_it_came(project, cifar10_source, capsys):
    digest = prepare("cifar10", cifar10_source).digest
    path = paths.DATA / "cifar10_train_images.npy"
    path.write_bytes(path.read_bytes()[:5_000])
    with pytest.raises(DataError, match="changed since cifar10 was prepared"):
        open_store("cifar10")
    assert prepare("cifar10").digest == digest
    assert "train_images changed or missing" in capsys.readouterr().out


def test_lost_splits_are_made_again_from_the_arrays(found_arrays):
    digest = prepare("cifar10").digest
    (found_arrays / "splits" / "cifar10_val_indices.npy").unlink()
    assert prepare("cifar10").digest == digest


def test_another_source_replaces_the_store(project, cifar10, cifar10_source, tmp_path):
    prepare("cifar10", cifar10_source)
    archive = write_tar(tmp_path / "cifar-10-python.tar.gz", "cifar-10-batches-py", cifar10.files)
    assert prepare("cifar10", archive).manifest.origin.kind == "archive"


def test_a_bad_source_leaves_the_good_store(project, cifar10, cifar10_source):
    digest = prepare("cifar10", cifar10_source).digest
    labels = np.where(cifar10.test_labels == 9, 8, cifar10.test_labels)
    bad = {"test_batch": batch(cifar10.test_images, labels, b"labels")}
    with pytest.raises(DataError, match="fewer than 1 test images of class 9"):
        prepare("cifar10", write_folder(cifar10_source.parent / "bad", cifar10.files | bad))
    assert open_store("cifar10").digest == digest


@pytest.mark.parametrize("survivors", range(6))
def test_a_build_that_is_interrupted_while_moving_is_not_taken_for_good(project, monkeypatch, survivors):
    expected = prepare("digits").digest
    (paths.DATA / "digits.json").unlink()
    (paths.DATA / "digits_test_labels.npy").unlink()
    moved = []
    replace = Path.replace

    def fail_later(path, target):
        if path.suffix == ".npy" and len(moved) == survivors:
            raise KeyboardInterrupt
        moved.append(target)
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail_later)
        with pytest.raises(KeyboardInterrupt):
            prepare("digits")
    assert len(moved) == survivors
    assert_no_store("digits")
    assert prepare("digits").digest == expected


def test_what_a_killed_build_left_is_removed(project):
    left = paths.DATA / ".digits.building"
    left.mkdir()
    (left / "digits_train_images.npy").write_bytes(b"half")
    prepare("digits")
    assert not left.exists()
    left.mkdir()
    prepare("digits")
    assert not left.exists()


def test_a_disk_without_room_is_refused_beforehand(project, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1_000_000}))
    with pytest.raises(DataError, match=r"digits's store needs 5\.5 MB in .* has 1\.0 MB free"):
        prepare("digits")
    assert_no_store("digits")


def test_a_disk_that_fills_up_on_the_way_is_one_error(project, monkeypatch):
    write = writing.write_array

    def full(path, *arguments):
        if "test_images" in path.name:
            raise FULL_DISK
        write(path, *arguments)

    monkeypatch.setattr(writing, "write_array", full)
    with pytest.raises(DataError, match="digits: the disk of .* is full"):
        prepare("digits")
    assert_no_store("digits")
    assert list(paths.DATA.rglob("*.npy")) == []


def test_a_disk_that_the_datasets_library_fills_up_is_the_same_error(project, cifar10, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise datasets.exceptions.DatasetGenerationError("An error occurred") from FULL_DISK

    monkeypatch.setattr(datasets, "load_dataset", full)
    with pytest.raises(DataError, match="cifar10: the disk of .* is full"):
        prepare("cifar10", write_parquet(tmp_path / "hub", cifar10))


def test_images_of_another_size_are_refused(tiny_imagenet, project, tmp_path):
    name = next(name for name in sorted(tiny_imagenet.files) if name.startswith("train/"))
    files = tiny_imagenet.files | {name: jpeg(np.zeros((32, 64, 3), np.uint8))}
    with pytest.raises(DataError, match=f"{name} has 32 x 64 pixels, not 64 x 64"):
        prepare("tiny_imagenet", write_folder(tmp_path / "tiny", files))
    assert_no_store("tiny_imagenet")


def test_cifar10_must_differ_from_cifar100(project, cifar10_source, cifar100, tmp_path):
    store = prepare("cifar10", cifar10_source)
    statistics = {"cifar100": {"mean": store.mean.tolist(), "std": store.std.tolist()}}
    (paths.PARAMS / "dataset_stats.yaml").write_text(yaml.safe_dump(statistics))
    table = checks(store).set_index("check")
    assert not table.loc["statistics", "passed"]
    prepare("cifar10")
    prepare("cifar100", write_folder(tmp_path / "cifar-100-python", cifar100.files))
    assert checks(open_store("cifar10")).set_index("check").loc["statistics", "found"] == "different"


def test_a_part_of_a_dataset_is_said_to_be_one(project, cifar10_source):
    table = checks(prepare("cifar10", cifar10_source)).set_index("check")
    assert table.index[~table["passed"]].tolist() == ["official image counts"]
    assert table.loc["official image counts", ["expected", "found"]].tolist() == [
        "50,000 train, 10,000 test",
        "100 train, 20 test",
    ]


def test_checks_read_the_contents(project):
    store = prepare("digits")
    path = paths.DATA / "digits_train_images.npy"
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    table = checks(store).set_index("check")
    assert not table.loc["SHA-256 of the contents", "passed"]


def test_digits_pass_every_check(project):
    store = prepare("digits")
    table = checks(store)
    assert store.complete
    assert table["passed"].all()
    assert table.columns.tolist() == ["check", "expected", "found", "passed"]


def test_an_unknown_dataset_is_named_with_the_choices(project):
    with pytest.raises(
        ParameterError, match="no dataset 'mnist'; choose from: digits, cifar10, cifar100, tiny_imagenet, fashion"
    ):
        prepare("mnist")
    with pytest.raises(ParameterError, match="no dataset 'mnist'"):
        open_store("mnist")


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]", "edited"])
def test_a_manifest_that_was_damaged_or_edited_vouches_for_nothing(project, content):
    """An edited mean would be the mean that every run normalises with."""
    prepare("digits")
    manifest, statistics = paths.DATA / "digits.json", paths.PARAMS / "dataset_stats.yaml"
    edited = manifest.read_text().replace("0.305", "0.9").encode()
    manifest.write_bytes(edited if content == "edited" else content)
    before = statistics.read_bytes()
    for use in (open_store, prepare):
        with pytest.raises(DataError, match=r"data/digits.json cannot be used: digits.json was damaged or edited"):
            use("digits")
    assert statistics.read_bytes() == before
    manifest.unlink()
    assert prepare("digits").complete


def test_a_store_of_another_version_is_said_to_be_one(project):
    prepare("digits")
    content = files.read_sealed(paths.DATA / "digits.json")
    files.write_sealed(paths.DATA / "digits.json", content | {"colours": 3})
    with pytest.raises(DataError, match="another version of this code wrote it"):
        open_store("digits")


def damage(path):
    """Flip the lowest bit in the middle of a file, and leave its time as it was."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("step", range(14))
def test_damaged_arrays_are_never_adopted_wherever_their_repair_is_interrupted(project, monkeypatch, step):
    expected = prepare("digits").digest
    damage(paths.DATA / "digits_train_images.npy")
    steps = []

    def interrupted(act):
        def later(path, *arguments, **options):
            if not path.is_relative_to(paths.DATA / ".digits.building") or act is replace:
                steps.append(path)
                if len(steps) > step:
                    raise KeyboardInterrupt
            return act(path, *arguments, **options)

        return later

    replace = Path.replace
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted(replace))
        patch.setattr(Path, "unlink", interrupted(Path.unlink))
        with pytest.raises(KeyboardInterrupt):
            prepare("digits")
    assert prepare("digits").digest == expected


def test_a_check_that_fails_ends_the_command_with_an_error(project, monkeypatch, capsys):
    store = prepare("digits")
    damage(paths.DATA / "digits_train_images.npy")
    with pytest.raises(DataError, match="data/digits failed the checks: .*SHA-256 of the contents"):
        report(store)
    assert "NO SHA-256 of the contents" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        "- digits",
        "digits: 3",
        "cifar10: {mean: [1.0, 2.0, 3.0]}",
        "digits: {mean: [1, 2, 3], sd: [1, 2, 3]}",
        "digits: {mean: [0.5], std: [0.2]}",
        "a: [",
    ],
)
def test_statistics_that_are_none_are_refused_in_one_sentence(project, content):
    (paths.PARAMS / "dataset_stats.yaml").write_text(content)
    with pytest.raises(DataError, match="params/dataset_stats.yaml does not hold a mean and a std of each channel"):
        prepare("digits")


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_a_limited_split_is_stratified_nested_and_in_order(project, name):
    whole, small, large = (prepare("digits").split(name, samples) for samples in (None, 50, 100))
    assert len(small.indices) == 50
    assert set(small.indices) <= set(large.indices) <= set(whole.indices)
    positions = [whole.indices.tolist().index(index) for index in large.indices]
    assert positions == sorted(positions)
    counts = np.bincount(large.labels[large.indices], minlength=10)
    share = np.bincount(whole.labels[whole.indices], minlength=10) * 100 / len(whole.indices)
    assert np.abs(counts - share).max() <= 1


def test_a_limit_above_the_split_is_the_split(project):
    store = prepare("digits")
    np.testing.assert_array_equal(store.split("val", 10_000).indices, store.val_indices)


def test_several_processes_may_prepare_at_once(tmp_path):
    (tmp_path / "params").mkdir()
    environment = os.environ | {"PAIRED_ROOT": str(tmp_path)}
    command = [sys.executable, "-m", "lib.data", "digits"]
    project = Path(__file__).parents[2]
    running = [
        subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    first_lines = sorted(process.communicate()[0].splitlines()[0] for process in running)
    assert [process.returncode for process in running] == [0, 0, 0]
    assert first_lines == ["data/digits: building from scikit-learn", *["data/digits: ready"] * 2]


def test_the_command_line_ends_in_one_line(tmp_path):
    environment = os.environ | {"PAIRED_ROOT": str(tmp_path)}
    command = [sys.executable, "-m", "lib.data", "cifar10", "--source", "/nowhere"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "error: no such file or folder: /nowhere\n")


def test_the_data_room_imports_no_framework():
    code = "import sys, lib.data.preparation, datasets; print({'torch', 'tensorflow', 'keras'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_reading_a_store_imports_nothing_that_prepares_one():
    code = "import sys, lib.data.store; print(*sorted(name for name in sys.modules if name.startswith('lib.data.')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.stdout == "lib.data.contents lib.data.layout lib.data.store\n"


def test_every_array_of_the_manifest_is_a_file(project):
    store = prepare("digits")
    assert set(store.manifest.arrays) == {*IMAGES_AND_LABELS, *SPLITS}
    for name, facts in store.manifest.arrays.items():
        assert (paths.DATA / layout.relative("digits", name)).stat().st_size == facts.bytes
