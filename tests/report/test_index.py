"""The index of reports: every study, with the state of its runs and its report."""

import json
import os

import pytest
from bs4 import BeautifulSoup

from lib import files, paths
from lib.errors import ChapterError
from lib.report import freshness, index
from lib.study.loading import load_study, readable_studies
from tests.report.test_build import finish


@pytest.fixture
def page(study):
    """Returns a function that writes the index and reads it."""

    def read():
        index.write()
        return BeautifulSoup((paths.REPORT / "index.html").read_text(encoding="utf-8"), "html.parser")

    return read


def section(page, title):
    """The text and the links below a study's heading."""
    (heading,) = [one for one in page.main.find_all("h2") if title in " ".join(one.get_text().split())]
    parts = []
    for part in heading.find_next_siblings():
        if part.name in ("h1", "h2"):
            break
        parts.append(part)
    text = " ".join(" ".join(part.get_text(" ", strip=True).split()) for part in parts)
    return text, [link["href"] for part in parts for link in part.find_all("a")]


@pytest.fixture
def reported(study, monkeypatch):
    """The study with one run, a report of 2 February 2026 and one executed chapter."""
    paths.DATA.mkdir(parents=True)
    files.write_sealed(paths.DATA / "digits.json", {"digest": "content"})
    finish(study.cells[0], "2026-02-01T10:00:00+00:00")
    html, pdf = freshness.outputs(study)
    for path in (html, pdf, freshness.notebook(study, "01_data")):
        files.write_text(path, "made")
    os.utime(html, (1_770_000_000, 1_770_000_000))
    monkeypatch.setattr(index, "readable_studies", lambda: [study])
    return study


def test_every_study_has_a_section_also_without_runs(page):
    found = page()
    assert len(found.main.find_all("h2")) == len(list(readable_studies()))
    assert [one.get_text() for one in found.main.find_all("h1")] == ["Without a report"]
    assert f"0 of {len(list(readable_studies()))} studies have a report" in " ".join(found.header.get_text().split())
    text, links = section(found, "Quick start")
    assert "Study quickstart : 0 of 6 runs have results. make sweep STUDY=quickstart , then" in text
    assert links == []


def test_a_report_is_linked_with_its_date_its_notebooks_and_its_findings(page, reported):
    text, links = section(page(), "Quick start")
    assert "1 of 6 runs have results" in text
    assert "exported on 2 February 2026 at 02:40 UTC. It is stale: make report STUDY=quickstart" in text
    assert links == ["quickstart.html", "quickstart.pdf", "quickstart/chapters/01_data.ipynb"]
    assert all((paths.REPORT / link).exists() for link in links)
    found = {"findings": "- **Accuracy.** Keras & PyTorch are *equal*.\n- **Speed.** PyTorch is faster.\n", "key": ""}
    files.write_text(freshness.first_page(reported), json.dumps(found))
    files.write_text(paths.REPORT / "quickstart.zip", "made")
    freshness.mark(freshness.report_stamp(reported), freshness.report_digest(reported), [])
    text, links = section(page(), "Quick start")
    assert "Accuracy. Keras & PyTorch are equal . Speed. PyTorch is faster." in text
    assert "UTC. It is up to date." in text
    assert "quickstart.zip" in links


def test_two_reports_that_end_together_write_the_index_one_after_the_other(page, monkeypatch):
    lock, held = paths.REPORT / ".index.lock", []
    monkeypatch.setattr(index, "readable_studies", lambda: held.append(files.is_held(lock)) or [])
    page()
    assert held == [True]
    assert not files.is_held(lock)
    monkeypatch.setattr(index, "_PATIENCE", 0.1)
    with files.held(lock, ChapterError("held")), pytest.raises(ChapterError, match="is writing report/index.html"):
        page()


def test_the_page_loads_nothing_names_its_language_and_is_found_by_heading(page):
    found = page()
    assert found.html["lang"] == "en"
    assert found.title.get_text() == "Studies and reports"
    assert not found.find_all(["script", "link"])
    assert found.nav.find("a", href="#without-a-report")
    ids = [one["id"] for one in found.find_all(id=True)]
    assert len(ids) == len(set(ids))


def test_a_study_that_is_only_measured_asks_for_the_bench_and_not_for_a_sweep():
    text = index._unreported(load_study("bench"))
    assert "make bench STUDY=bench" in text
    assert "make sweep" not in text
    assert "make sweep STUDY=stage1" in index._unreported(load_study("stage1"))
