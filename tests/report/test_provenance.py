"""The appendix on provenance: what it reads, what makes it stale, and that every report ends with it."""

import re
import tomllib

import pytest
import yaml

from lib import files, paths
from lib.report import freshness, provenance
from lib.runs import records
from lib.runs.digests import code_digest
from lib.study.study import Matrix
from tests.report.conftest import PROJECT
from tests.report.test_build import finish

SHA = "a" * 40


@pytest.fixture
def finished(study):
    """The study with its data in the store and two runs, the later one of the earlier cell."""
    paths.DATA.mkdir(parents=True)
    files.write_sealed(paths.DATA / "digits.json", {"digest": "content"})
    first, second = study.cells[:2]
    finish(first, "2026-02-02T10:00:00+00:00")
    finish(second, "2026-02-01T10:00:00+00:00", code="another")
    return study


def begin(cell, started, **changes):
    record = records.read_record(cell).model_copy(update={"started": started} | changes)
    records.write_record(record)


def test_runs_stand_in_the_order_in_which_they_began_with_their_environment(finished):
    first, second = finished.cells[:2]
    begin(first, "2026-02-02T09:58:55+00:00", environment={"cpu": "a"})
    begin(second, "2026-02-01T09:00:00+00:00", environment={"cpu": "b", "gpu": "c"})
    runs = provenance.runs(finished)
    assert runs.run.tolist() == [second.name, first.name]
    assert runs.number.tolist() == runs.environment.tolist() == [1, 2]
    assert runs.duration.tolist() == ["1 h 0 min", "1 min 5 s"]
    environments = provenance.environments(finished)
    assert environments.columns.tolist() == ["item", "1", "2"]
    assert environments["2"].tolist() == ["a", "not recorded"]


def test_digests_are_in_full_and_other_code_is_said(finished):
    first = finished.cells[0]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in provenance.inputs(finished).digest)
    codes = provenance.codes(finished).set_index("digest")["of this report"].to_dict()
    assert codes == {"another": "no", code_digest(first): "yes"}
    assert provenance.data(finished).to_numpy().tolist() == [["digits", "content"]]
    expected = "2 of 6 runs have results, in one environment, 1 of them made by other code than this report's."
    assert provenance.finding(finished) == expected


def test_a_study_without_runs_or_data_has_a_provenance_too(study):
    assert provenance.finding(study) == "0 of 6 runs have results."
    assert provenance.runs(study).empty
    assert provenance.data(study).digest.tolist() == ["not prepared"]
    assert "year" not in provenance.citation(study)


@pytest.mark.parametrize(
    ("commit", "sentence"),
    [
        (SHA, f"commit `{SHA}`, without uncommitted changes."),
        (f"{SHA}, with uncommitted changes", "**with uncommitted changes**, which the commit does not hold"),
        ("unknown: the project is no git repository here", "is unknown: the project is no git repository here."),
    ],
)
def test_the_commit_is_named_with_the_state_of_the_tree(monkeypatch, commit, sentence):
    monkeypatch.setattr(provenance, "commit", lambda: commit)
    assert sentence in provenance.code()


def test_the_citation_is_that_of_the_project_and_names_study_and_year(finished):
    project = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert (project["version"], project["license"]) == (pyproject["version"], pyproject["license"])
    assert {"cff-version", "message", "title", "authors"} <= project.keys()
    entry = provenance.citation(finished)
    assert "year = {2026}," in entry
    assert "author = {{The Paired Seeds authors}}," in entry
    assert f"Study {finished.name}" in entry


def test_every_report_opens_and_ends_alike_and_no_study_lists_these_chapters(study):
    assert study.contents == ("00_setup", "01_data", "A_provenance")
    for path in (PROJECT / "params/studies").glob("*.yaml"):
        assert not re.search("00_|A_", path.read_text())
    with pytest.raises(ValueError, match="unknown; choose from: 01_data, 02_parity, 30_results"):
        Matrix.model_validate(study.model_dump(include=Matrix.model_fields.keys()) | {"chapters": ("00_setup",)})


def test_another_commit_and_another_chapter_make_the_appendix_stale(finished, monkeypatch):
    def digests():
        return [freshness.chapter_digest(finished, stem) for stem in ("01_data", "A_provenance")]

    monkeypatch.setattr(freshness, "commit", lambda: SHA)
    data, before = digests()
    assert digests() == [data, before]
    monkeypatch.setattr(freshness, "commit", lambda: "b" * 40)
    assert digests()[0] == data
    assert digests()[1] != before
    monkeypatch.setattr(freshness, "commit", lambda: SHA)
    freshness.mark(freshness.chapter_stamp(finished, "01_data"), data, [])
    assert digests()[0] == data
    assert digests()[1] != before
