from pathlib import Path

import pytest

from lib import files, paths
from lib.errors import ChapterError
from lib.report import __main__ as command
from lib.report import freshness
from lib.runs import state as runs
from tests.report.test_build import finish


@pytest.fixture
def executed(study, tmp_path, monkeypatch):
    """Two chapters, and the list of those that were executed; execution itself is left out."""
    done = []

    def execute(source, target, parameters):
        done.append(source.stem)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("{}")

    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    for stem in ("01_data", "30_results"):
        (notebooks / f"{stem}.py").write_text("# %%")
    monkeypatch.setattr(paths, "NOTEBOOKS", notebooks)
    monkeypatch.setattr("lib.execution.execute", execute)
    return done


def refresh(study):
    return [stem for stem in ("01_data", "30_results") if command.refresh(study, stem)]


def test_a_chapter_is_executed_once(study, executed):
    assert refresh(study) == ["01_data", "30_results"]
    assert refresh(study) == []
    assert executed == ["01_data", "30_results"]


def test_a_new_result_concerns_the_chapters_that_read_results(study, executed):
    refresh(study)
    runs.write_status(study.cells[0], "failed", "no")
    assert refresh(study) == ["30_results"]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"damaged")])
def test_a_run_s_damaged_or_lost_file_concerns_the_chapters_that_read_results(study, executed, damage):
    path = runs.folder(study.cells[0]) / "logits.npz"
    files.write_text(path, "logits")
    finish(study.cells[0], "2026-01-31T10:00:00+00:00", products={path.name: files.sha256(path)})
    refresh(study)
    assert refresh(study) == []
    damage(path)
    assert refresh(study) == ["30_results"]


def test_other_data_or_parameters_concern_every_chapter(study, executed):
    refresh(study)
    paths.DATA.mkdir()
    (paths.DATA / "digits.json").write_text("{}")
    assert refresh(study) == ["01_data", "30_results"]
    assert refresh(study.model_copy(update={"seeds": (1,)})) == ["01_data", "30_results"]


def test_an_edited_chapter_is_executed_alone(study, executed):
    refresh(study)
    (paths.NOTEBOOKS / "01_data.py").write_text("# %% edited")
    assert refresh(study) == ["01_data"]


def test_a_lost_notebook_or_a_damaged_stamp_makes_a_chapter_stale(study, executed):
    refresh(study)
    freshness.notebook(study, "01_data").unlink()
    freshness.notebook(study, "30_results").with_suffix(".json").write_text("{")
    assert refresh(study) == ["01_data", "30_results"]


def test_a_chapter_that_failed_stays_stale(study, executed, monkeypatch):
    refresh(study)
    runs.write_status(study.cells[0], "failed", "no")

    def fail(source, target, parameters):
        raise ChapterError("no")

    with monkeypatch.context() as patch:
        patch.setattr("lib.execution.execute", fail)
        with pytest.raises(ChapterError):
            command.refresh(study, "30_results")
    (runs.folder(study.cells[0]) / "status.json").unlink()
    assert refresh(study) == ["30_results"]


def test_a_chapter_without_a_source_is_one_clear_message(study, executed):
    (paths.NOTEBOOKS / "01_data.py").unlink()
    with pytest.raises(ChapterError, match="there is no chapter"):
        refresh(study)
