import json
import re

import nbformat
import pypdf
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_output

from lib import files, paths
from lib.errors import ChapterError
from lib.report import freshness
from lib.report.build import build, title_block
from lib.runs import records, status
from lib.runs.digests import code_digest, inputs_digest
from lib.runs.records import Record
from lib.runs.status import Kind
from lib.study.loading import load_study

from .conftest import chapter_of, executed

TABLE = "| a |\n|---|\n| 1 |"
HTML = "<table><thead><tr><th>b</th></tr></thead><tbody><tr><td>2</td></tr></tbody></table>"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="60"><circle cx="30" cy="30" r="9"/></svg>'
LABELLED = (
    f"[Table](#tbl-b) has it.\n\n::: {{#tbl-b .report-table}}\n```{{=html}}\n{HTML}\n```\n\nThe caption.\n:::\n\n"
)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """A report with the chapters of the test alone."""
    monkeypatch.setattr("lib.study.study.openings", tuple)
    monkeypatch.setattr("lib.study.study.appendices", tuple)


def write(study, *cells):
    path = freshness.notebook(study, "01_data")
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(chapter_of(*cells), path)


@pytest.mark.parametrize(
    ("prose", "message"),
    [
        ("See [Figure](#fig-nowhere).", "unknown label #fig-nowhere"),
        (LABELLED.partition("\n")[2], "no sentence of the text refers to #tbl-b"),
        (LABELLED.partition("\n")[2].replace("caption", "[Table](#tbl-b)"), "no sentence of the text refers to #tbl-b"),
        (LABELLED + LABELLED, "the label #tbl-b is given twice"),
        ("As shown [@nobody1999].", "nobody1999 not found"),
        ("As shown [@he2016", "not a citation: \\[@he2016"),
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


def test_a_citation_is_author_and_year_and_its_work_stands_among_the_references(study):
    write(
        study,
        "It is so [@he2016; @guo2017], **and [@holm1979]**; `[@code]` is code.",
        LABELLED.replace("caption", "[@lu2019]"),
    )
    build(study)
    html, pdf = freshness.outputs(study)
    pages = " ".join(page.extract_text() for page in pypdf.PdfReader(pdf).pages)
    for text in (re.sub("<[^>]+>", "", html.read_text()), pages):
        text = " ".join(text.split())
        assert "It is so (He et al. 2016; Guo et al. 2017), and (Holm 1979); [@code] is code." in text
        assert "The (Lu et al. 2019)." in text
        references = text.rpartition("References ")[2]
        assert [references.count(name) for name in ("He, Kaiming", "Guo, Chuan", "Holm, Sture", "Lu, Lu")] == [1] * 4
        assert "Cliff" not in references


def test_a_report_without_citations_has_no_references(study):
    write(study, "Nothing is cited.")
    build(study)
    assert "References" not in freshness.outputs(study)[0].read_text()


def shown(kind, text="", **report):
    """The output of a chapter's finding or figure."""
    data = {"text/markdown": text} if kind == "finding" else {"image/svg+xml": SVG, "image/png": ""}
    return executed("f()", new_output("display_data", data=data, metadata={"report": {"kind": kind} | report}))


def figure(name, key):
    texts = {"caption": f"The dots of {name}.", "alt": f"dots of {name}"}
    return shown("figure", label=f"fig-{name}", width="50%", key=key, **texts)


def test_the_first_page_has_the_findings_by_topic_and_the_first_key_figure_with_its_number(study):
    write(
        study,
        shown("finding", "**Speed.** PyTorch is *faster*.", topic="Speed"),
        "Look at [Figure](#fig-first), [Figure](#fig-second) and [Figure](#fig-third).",
        figure("first", key=False),
        figure("second", key=True),
        figure("third", key=True),
        shown("finding", "**Accuracy.** Both are alike.", topic="Accuracy"),
        "## A section\n\nIts text.",
    )
    build(study)
    html, pdf = freshness.outputs(study)
    first = " ".join(pypdf.PdfReader(pdf).pages[0].extract_text().replace("\xa0", " ").split())
    head = BeautifulSoup(html.read_text(encoding="utf-8"), "html.parser").header
    for text in (first.partition("Contents")[0], " ".join(head.get_text(" ").replace("\xa0", " ").split())):
        assert re.search(r"Accuracy\. Both are alike\. \W*Speed\. PyTorch is faster ?\.", text)
        assert re.search(r"The dots of second\. This is Figure 2 ?\.", text)
        assert "third" not in text
    assert [image["alt"] for image in head.find_all("img")] == ["dots of second"]
    assert json.loads(freshness.first_page(study).read_text())["findings"].count("\n") == 2
    assert "A section" not in first.partition("Contents")[2].partition("1 Title")[0]


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


def test_a_failed_run_is_named_and_those_made_by_other_code_are_counted_with_their_reasons(finished):
    failed, other = finished.cells[:2]
    (records.folder(failed) / "record.json").unlink()
    status.write(failed, Kind.FAILED, "the loss is [nan]\nat step 7")
    finish(other, "2026-02-01T10:00:00+00:00", code="another")
    block = title_block(finished)
    box = block["problems"]
    assert "**1 of 6 runs have no results in this report.**" in box
    assert f"- failed, the loss is \\[nan\\] at step 7 (1): `{failed.name}`" in box
    assert "other code than today\\'s (1)\n" in box
    assert other.name not in box
    assert block["runs"] == "5 of 6 runs done"


def test_failed_runs_come_first_and_many_reasons_are_counted_only(study):
    for number, cell in enumerate(study.cells[1:4]):
        status.write(cell, Kind.FAILED, f"reason {number}")
    box = title_block(study)["problems"]
    assert box.index("- failed, reason 2 (1)") < box.index("- missing, never run (3)")
    large = load_study("stage2")
    for number, cell in enumerate(large.cells[:9]):
        status.write(cell, Kind.FAILED, f"reason {number}")
    box = title_block(large)["problems"]
    assert "**180 of 180 runs have no results in this report.**" in box
    assert box.count("\n- ") == 8
    assert "- and 174 more, for other reasons" in box
    assert "- not made without images: chapter `01_data`, `02_parity` (`make data DATASET=cifar10` and `make" in box


def test_a_study_without_records_has_no_date(study):
    assert "date" not in title_block(study)


def test_a_study_that_is_only_measured_misses_no_run(finished):
    block = title_block(load_study("bench"))
    assert (block["runs"], block["problems"]) == ("no chapter needs a run", "")
