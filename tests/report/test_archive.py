"""An archive of a study: whole, the same each time, and enough to make the report again."""

import json
import shutil
import zipfile
from hashlib import sha256

import pytest
import yaml

from lib import files, paths
from lib.errors import ChapterError, DataError
from lib.report import archive, verify
from lib.runs import records
from lib.study.loading import load_study
from tests.report.conftest import PROJECT, python
from tests.report.test_build import finish

CHAPTER = """# %% [markdown]
# # What came out?
#
# [Table](#tbl-runs) has every run.

# %% tags=["parameters"]
study_name = "quickstart"

# %%
from lib.analysis import results
from lib.report.chapter import Chapter
from lib.study.loading import load_study

table = results.results(load_study(study_name))
Chapter(study_name).table(table, "runs", "Every run.")
"""

INVENT = """
from hashlib import sha256
from lib import files, paths
from lib.study.loading import load_study
from lib.bench.invented import finish
files.write_sealed(paths.DATA / "digits.json", {"digest": "content"})
for cell in load_study("quickstart").cells[:5]:
    finish(cell, accuracy=0.9 + cell.seed / 10_000, products={"best.pt": sha256(b"weights").hexdigest()})
    (paths.EXECUTED / cell.name / "best.pt").write_text("weights")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with one chapter, the appendix on provenance and five of six runs, and what `make archive` printed."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(PROJECT / "params", root / "params")
    (root / "notebooks").mkdir()
    (root / "notebooks" / "30_results.py").write_text(CHAPTER)
    shutil.copy(PROJECT / "notebooks" / "A_provenance.py", root / "notebooks")
    path = root / "params" / "studies" / "quickstart.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"chapters": ["30_results"]}))
    for arguments in (["-c", INVENT], ["-m", "lib.report", "quickstart"], ["-m", "lib.report.archive", "quickstart"]):
        answer = python(root, *arguments)
        assert answer.returncode == 0, answer.stderr
    return root, answer.stdout


@pytest.fixture(scope="module")
def zipped(project):
    return project[0] / "report" / "quickstart.zip"


@pytest.fixture
def changed(zipped, tmp_path):
    """Returns a function that copies the archive with other content of some members; None leaves one out."""

    def write(**contents):
        path = tmp_path / "changed.zip"
        with zipfile.ZipFile(zipped) as old, zipfile.ZipFile(path, "w") as new:
            for name in [*old.namelist(), *(contents.keys() - set(old.namelist()))]:
                content = contents[name] if name in contents else old.read(name)
                if content is not None:
                    new.writestr(name, content)
        return path

    return write


def record_of(zipped, seed):
    with zipfile.ZipFile(zipped) as content:
        (name,) = [one for one in content.namelist() if f"keras_digits_resnet20_fp32_seed{seed}-quick/record" in one]
        return name, content.read(name).decode()


def verified(path):
    return python(path.parent, "-m", "lib.report.verify", str(path))


def test_an_archive_has_what_the_report_is_made_from_but_not_the_weights(zipped):
    with zipfile.ZipFile(zipped) as content:
        names = content.namelist()
    assert "params/train.yaml" in names
    assert "notebooks/30_results.py" in names
    assert "data/digits.json" in names
    assert "requirements.lock" in names
    assert {"report/quickstart.html", "report/quickstart.pdf", "report/quickstart/tables/runs.csv"} <= set(names)
    assert "report/quickstart/chapters/30_results.ipynb" in names
    runs = [name for name in names if name.startswith("executed/")]
    assert sorted({name.rpartition("/")[2] for name in runs}) == ["epochs.csv", "logits.npz", "record.json"]
    assert len(runs) == 15


def test_the_description_has_the_checksum_of_every_file_the_commit_and_the_missing_run(zipped, project):
    missing = "pytorch_digits_resnet20_fp32_seed456-quick (missing, never run)"
    assert missing in project[1]
    with zipfile.ZipFile(zipped) as content:
        graph = {one["@id"]: one for one in json.loads(content.read(archive.METADATA))["@graph"]}
        for name in set(content.namelist()) - {archive.METADATA}:
            assert graph[name]["sha256"] == sha256(content.read(name)).hexdigest()
    assert f"5 of 6 runs have results. Without a result: {missing}." in graph["./"]["description"]
    assert graph["#code"]["version"] in project[1]


def test_the_index_links_the_archive(project):
    assert 'href="quickstart.zip"' in (project[0] / "report" / "index.html").read_text(encoding="utf-8")


def test_extracted_files_are_old_but_there_and_those_of_a_run_are_compared_with_its_record(
    zipped, tmp_path, monkeypatch
):
    archive.extract(zipped, tmp_path)
    monkeypatch.setattr(paths, "EXECUTED", tmp_path / "executed")
    cell = load_study("quickstart").cells[0]
    times = [records.changed(path) for path in records.folder(cell).iterdir()]
    assert all(0 < time < 1e10 for time in times)
    logits = records.folder(cell) / "logits.npz"
    record = records.read_record(cell).model_copy(update={"products": {logits.name: files.sha256(logits)}})
    assert records.damaged(cell, record) is None
    logits.write_bytes(b"other")
    archive._date(logits)
    assert records.damaged(cell, record) == "logits.npz"


def test_the_same_report_gives_the_same_bytes(zipped, project):
    before = zipped.read_bytes()
    zipped.unlink()
    assert python(project[0], "-m", "lib.report.archive", "quickstart").returncode == 0
    assert zipped.read_bytes() == before


def test_an_archive_gives_its_report_again_byte_for_byte_without_data(zipped, tmp_path):
    shutil.copy(zipped, tmp_path)
    answer = verified(tmp_path / zipped.name)
    assert answer.returncode == 0, answer.stderr
    assert "the report with its tables and figures, 8 files, is the archive's, byte for byte" in answer.stdout
    named = "chapters of the archive that are other than this clone's:\n  notebooks/30_results.py\nchapter"
    assert named in answer.stdout, "and not the provenance, which is the clone's"


def test_a_flipped_digit_in_a_record_is_found(zipped, changed):
    name, record = record_of(zipped, 42)
    path = changed(**{name: record.replace('"test_accuracy": 0.88', '"test_accuracy": 0.89')})
    answer = verified(path)
    assert answer.returncode == 1
    assert f"{name} is not the file that was archived" in answer.stderr
    assert answer.stderr.count("\n") == 2


def test_a_number_that_was_changed_with_all_its_checksums_is_named(zipped, changed):
    name, record = record_of(zipped, 42)
    content = json.loads(record)
    del content["seal"]
    content["test_accuracy"] = 0.5
    forged = json.dumps(content | {"seal": files._seal(content)})
    with zipfile.ZipFile(zipped) as old:
        metadata = old.read(archive.METADATA).decode()
    metadata = metadata.replace(sha256(record.encode()).hexdigest(), sha256(forged.encode()).hexdigest())
    answer = verified(changed(**{name: forged, archive.METADATA: metadata}))
    assert answer.returncode == 1
    assert "report/quickstart/tables/runs.csv, row 1, test_accuracy: 0.5, not 0.8842" in answer.stderr
    assert "report/quickstart.html differs" in answer.stderr


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"params/train.yaml": None}, "params/train.yaml is missing"),
        ({"params/new.yaml": "a: 1"}, "params/new.yaml was added"),
        ({archive.METADATA: None}, "has no ro-crate-metadata.json"),
        ({archive.METADATA: "{}"}, "does not describe an archive of a study"),
        ({archive.METADATA: "no JSON"}, "does not describe an archive of a study"),
    ],
)
def test_an_archive_that_is_not_whole_is_one_clear_message(changed, tmp_path, contents, message):
    with pytest.raises(DataError, match=message):
        archive.extract(changed(**contents), tmp_path / "extracted")


@pytest.mark.parametrize("size", [0, 100, 10_000])
def test_a_truncated_zip_is_one_clear_message(zipped, tmp_path, size):
    path = tmp_path / "short.zip"
    path.write_bytes(zipped.read_bytes()[:size])
    with pytest.raises(DataError, match=r"short\.zip is damaged, or no zip file"):
        archive.extract(path, tmp_path / "extracted")


def test_a_damaged_byte_and_a_file_that_is_not_there_are_clear_messages(zipped, tmp_path):
    content = bytearray(zipped.read_bytes())
    content[2000] ^= 1
    (tmp_path / "damaged.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"damaged\.zip is damaged"):
        archive.extract(tmp_path / "damaged.zip", tmp_path / "extracted")
    with pytest.raises(DataError, match=r"nowhere\.zip does not exist"):
        archive.extract(tmp_path / "nowhere.zip", tmp_path / "extracted")


def test_differences_name_the_row_and_the_column_and_what_is_absent():
    def found(then, now):
        return list(verify.differences("a.csv", then, now))

    assert found(b"x,y\n1,2\n3,4\n", b"x,y\n1,2\n3,5\n") == ["a.csv, row 2, y: 5, not 4"]
    assert found(b"x\n1\n", b"x\n1\n2\n") == ["a.csv has 2 rows, not 1"]
    assert found(b"x\n1\n", b"z\n1\n") == ["a.csv, row 0, x: z, not x"]
    assert found(b"x\n", None) == ["a.csv is not made again"]
    assert found(None, b"x\n") == ["a.csv is not in the archive"]
    assert found(b"x\n", b"x\n") == []


def test_other_code_is_said(monkeypatch):
    monkeypatch.setattr(verify, "commit", lambda: "b" * 40)
    assert "is this clone's" in verify._compared_code("b" * 40)
    assert f"its commit is {'a' * 40}, and this clone's {'b' * 40}" in verify._compared_code("a" * 40)
    assert "cannot be made again byte for byte" in verify._compared_code("a" * 40)
    monkeypatch.setattr(verify, "commit", lambda: f"{'b' * 40}, with uncommitted changes")
    assert "cannot be made again" in verify._compared_code("b" * 40)
    assert "may be other" in verify._compared_code(f"{'b' * 40}, with uncommitted changes")
    assert "cannot be made again" not in verify._compared_code(f"{'b' * 40}, with uncommitted changes")


def test_a_study_without_results_and_a_stale_report_are_refused(study):
    with pytest.raises(ChapterError, match="no run of quickstart has a result"):
        archive.write(study)
    paths.DATA.mkdir(parents=True)
    files.write_sealed(paths.DATA / "digits.json", {"digest": "content"})
    finish(study.cells[0], "2026-02-01T10:00:00+00:00")
    with pytest.raises(ChapterError, match="run `make report STUDY=quickstart`"):
        archive.write(study)
    assert not archive.target(study).exists()
