import nbformat
import pypdf
import pytest

from lib import files, paths
from lib.errors import ChapterError
from lib.report import freshness
from lib.report.build import build, title_block
from lib.runs import records, status
from lib.runs.digests import code_digest, inputs_digest
from lib.runs.records import Record
from lib.runs.status import Kind

from .conftest import chapter_of

TABLE = "| a |\n|---|\n| 1 |"
HTML = "<table><thead><tr><th>b</th></tr></thead><tbody><tr><td>2</td></tr></tbody></table>"
LABELLED = f"::: {{#tbl-b .report-table}}\n```{{=html}}\n{HTML}\n```\n\nThe caption.\n:::\n\n"


def write(study, *cells):
    path = freshness.notebook(study, "01_data")
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(chapter_of(*cells), path)


@pytest.mark.parametrize(
    ("prose", "message"),
    [
        ("See [Figure](#fig-nowhere).", "unknown label #fig-nowhere"),
        (LABELLED + LABELLED, "the label #tbl-b is given twice"),
        ("![](picture.svg)", "picture.svg has no alt text"),
        ("H<sub>2</sub>O", "raw HTML in the prose is lost in the PDF"),
        ("$\\frac{a$", "not a formula: "),
        ("$\\nosuch{a}$", "Could not convert TeX math"),
        ("A sign that no font has: \U00013080.", "cannot be typeset"),
        ("![somewhere](nowhere.svg)", "nowhere.svg"),
    ],
)
def test_what_would_spoil_the_report_stops_it_and_leaves_the_old_one(study, prose, message):
    old = freshness.outputs(study)
    for path in old:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old")
    write(study, prose)
    with pytest.raises(ChapterError, match=message):
        build(study)
    assert [path.read_text() for path in old] == ["old", "old"]
    assert sorted(path.name for path in paths.REPORT.iterdir()) == ["quickstart", "quickstart.html", "quickstart.pdf"]


def test_a_table_without_caption_takes_no_number(study):
    write(study, TABLE, LABELLED)
    build(study)
    text = " ".join(page.extract_text() for page in pypdf.PdfReader(freshness.outputs(study)[1]).pages)
    assert "Table 1. The caption." in " ".join(text.replace("\xa0", " ").split())


def finish(cell, finished, code=None, products=None):
    records.write_record(
        Record(
            run=cell.name,
            cell=cell,
            inputs_digest=inputs_digest(cell, "content"),
            code_digest=code or code_digest(cell),
            environment={},
            started="2026-01-31T10:00:00+00:00",
            finished=finished,
            parameters=1,
            steps_per_epoch=1,
            accumulation_steps=1,
            epoch_best=1,
            acc_best=0.5,
            f1_best=0.5,
            test_accuracy=0.5,
            test_macro_f1=0.5,
            test_loss=1.0,
            test_images=1,
            skipped_steps=0,
            peak_memory_mb=None,
            products=products or {},
        )
    )


@pytest.fixture
def finished(study):
    """The study with its data in the store and every run done."""
    paths.DATA.mkdir(parents=True)
    files.write_sealed(paths.DATA / "digits.json", {"digest": "content"})
    for day, cell in enumerate(study.cells, start=1):
        finish(cell, f"2026-02-0{day}T10:00:00+00:00")
    return study


def test_a_whole_study_has_no_box_and_the_date_of_its_newest_run(finished):
    block = title_block(finished)
    assert block["problems"] == ""
    assert block["runs"] == "6 of 6 runs done"
    assert block["date"] == "6 February 2026"


def test_a_failed_run_and_one_made_by_other_code_are_named_with_their_reasons(finished):
    failed, other = finished.cells[:2]
    (records.folder(failed) / "record.json").unlink()
    status.write(failed, Kind.FAILED, "the loss is [nan]\nat step 7")
    finish(other, "2026-02-01T10:00:00+00:00", code="another")
    block = title_block(finished)
    box = block["problems"]
    assert "**1 of 6 runs have no results in this report.**" in box
    assert f"- failed, the loss is \\[nan\\] at step 7 (1): `{failed.name}`" in box
    assert f"other code than today\\'s (1): `{other.name}`" in box
    assert block["runs"] == "5 of 6 runs done"


def test_a_study_without_records_has_no_date(study):
    assert "date" not in title_block(study)
