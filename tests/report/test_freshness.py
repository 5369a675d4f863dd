import shutil
from pathlib import Path

import pytest

from lib import files, imports, paths
from lib.errors import ChapterError
from lib.report import freshness, making
from lib.runs import records, status
from lib.runs.status import Kind
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
    for stem, source in {"01_data": "# %%", "30_results": "# %%\nfrom lib.analysis import results"}.items():
        (notebooks / f"{stem}.py").write_text(source)
    monkeypatch.setattr(paths, "NOTEBOOKS", notebooks)
    monkeypatch.setattr("lib.execution.execute", execute)
    return done


def refresh(study):
    return [stem for stem in ("01_data", "30_results") if making.refresh(study, stem)]


def test_a_chapter_is_executed_once(study, executed):
    assert refresh(study) == ["01_data", "30_results"]
    assert refresh(study) == []
    assert executed == ["01_data", "30_results"]


def test_a_new_result_concerns_the_chapters_that_read_results(study, executed):
    refresh(study)
    status.write(study.cells[0], Kind.FAILED, "no")
    assert refresh(study) == ["30_results"]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"damaged")])
def test_a_run_s_damaged_or_lost_file_concerns_the_chapters_that_read_results(study, executed, damage):
    path = records.folder(study.cells[0]) / "logits.npz"
    files.write_text(path, "logits")
    finish(study.cells[0], "2026-01-31T10:00:00+00:00", products={path.name: files.sha256(path)})
    refresh(study)
    assert refresh(study) == []
    damage(path)
    assert refresh(study) == ["30_results"]


def test_a_report_s_digest_reads_each_run_once(study, monkeypatch):
    read, real = [], records.read_record
    monkeypatch.setattr(freshness, "commit", lambda: "a" * 40)
    monkeypatch.setattr(freshness, "state", lambda cell: "done")
    monkeypatch.setattr(records, "read_record", lambda cell: read.append(cell) or real(cell))
    freshness.report_digest(study)
    assert read == list(study.cells)


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


def test_a_table_that_is_no_longer_shown_is_removed_and_a_lost_one_makes_its_chapter_stale(
    study, executed, monkeypatch
):
    tables = paths.REPORT / study.name / "tables"

    def saving(*names):
        def execute(source, target, parameters):
            for path in (target, *(tables / f"{name}.csv" for name in names)):
                files.write_text(path, "{}")

        monkeypatch.setattr("lib.execution.execute", execute)

    saving("old", "both")
    assert making.refresh(study, "30_results")
    saving("both", "new")
    (tables / "old.csv").unlink()
    assert making.refresh(study, "30_results")
    assert {path.stem for path in tables.iterdir()} == {"both", "new"}
    saving("new")
    (paths.NOTEBOOKS / "30_results.py").write_text("# %% edited")
    assert making.refresh(study, "30_results")
    assert [path.stem for path in tables.iterdir()] == ["new"]
    assert freshness.stamped(freshness.chapter_stamp(study, "30_results"))[-1] == tables / "new.csv"


def test_a_chapter_that_failed_stays_stale(study, executed, monkeypatch):
    refresh(study)
    status.write(study.cells[0], Kind.FAILED, "no")

    def fail(source, target, parameters):
        raise ChapterError("no")

    with monkeypatch.context() as patch:
        patch.setattr("lib.execution.execute", fail)
        with pytest.raises(ChapterError):
            making.refresh(study, "30_results")
    (records.folder(study.cells[0]) / "status.json").unlink()
    assert refresh(study) == ["30_results"]


def test_a_chapter_without_a_source_is_one_clear_message(study, executed):
    (paths.NOTEBOOKS / "01_data.py").unlink()
    with pytest.raises(ChapterError, match="there is no chapter"):
        refresh(study)


CHAPTERS = ("01_data", "02_parity", "30_results", "31_statistics", "32_figures", "34_predictions", "35_gates")
ALL = {*CHAPTERS, "report"}


@pytest.fixture
def whole(study, tmp_path, monkeypatch):
    """The real chapters, and a copy of the project's sources beside a lock."""
    shutil.copytree(paths.LIB, tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "requirements.lock").write_text("numpy==1.0")
    monkeypatch.setattr(paths, "LIB", tmp_path / "lib")
    return study.model_copy(update={"chapters": CHAPTERS})


def digests(study):
    chapters = {stem: freshness.chapter_digest(study, stem) for stem in study.chapters}
    return chapters | {"report": freshness.report_digest(study)}


def stale_after(study, path, text):
    """What an edit makes stale, the state of the runs aside."""
    before = digests(study)
    with path.open("a") as source:
        source.write(text)
    after = digests(study)
    return {name for name in before if before[name] != after[name]}


def drawing(module):
    """The chapters that import a module of figures themselves."""
    sources = {stem: (paths.NOTEBOOKS / f"{stem}.py").read_bytes() for stem in CHAPTERS}
    return {stem for stem, source in sources.items() if f"lib.figures.{module}" in imports.imported(source)}


@pytest.mark.parametrize("module", ["data", "training", "predictions", "parity"])
def test_an_edited_figure_concerns_the_chapters_that_draw_it(whole, module):
    assert drawing(module)
    assert stale_after(whole, paths.LIB / f"figures/{module}.py", "NUMBER = 1\n") == drawing(module) | {"report"}


def test_a_module_below_concerns_every_chapter_that_needs_it_in_the_end(whole):
    found = stale_after(whole, paths.LIB / "figures/style.py", "NUMBER = 1\n")
    assert found >= drawing("data") | drawing("training") | drawing("predictions")
    assert not found & {"30_results", "35_gates"}
    assert stale_after(whole, paths.LIB / "errors.py", "NUMBER = 1\n") == ALL


@pytest.mark.parametrize("file", ["style.css", "report.html", "report.typ", "filter.lua"])
def test_a_template_concerns_the_report_alone(whole, file):
    assert stale_after(whole, paths.LIB / "report/templates" / file, "\n") == {"report"}


def test_the_export_concerns_the_report_alone(whole):
    assert stale_after(whole, paths.LIB / "report/build.py", "NUMBER = 1\n") == {"report"}


def test_what_no_chapter_needs_concerns_none(whole):
    assert stale_after(whole, paths.LIB / "sweep/plan.py", "NUMBER = 1\n") == set()


def test_a_lock_concerns_the_chapters_that_show_what_it_pins(whole):
    found = stale_after(whole, paths.LIB.parent / "requirements.lock", "\n")
    assert "30_results" in found
    assert "01_data" not in found


@pytest.mark.parametrize(("family", "stale"), [("cifar_resnet", {"02_parity", "report"}), ("convnext", set())])
def test_a_family_concerns_a_chapter_that_builds_the_study_s_networks(whole, family, stale):
    assert stale_after(whole, paths.LIB / f"pytorch/networks/{family}.py", "NUMBER = 1\n") == stale
