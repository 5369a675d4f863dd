"""Where a report comes from: its code, its runs in the order in which they began, its data, and how to cite it."""

from datetime import datetime
from typing import Any

import pandas as pd

from lib import paths
from lib.clock import duration
from lib.commit import commit
from lib.report import freshness
from lib.runs import records
from lib.runs.digests import code_digest, dataset_digest
from lib.runs.records import Record
from lib.study.study import Study
from lib.study.validation import parsed, read_file


def code() -> str:
    """Return a sentence on the commit of this code, and on whether the working tree had changes."""
    sha, _, changed = commit().partition(", ")
    if len(sha) != 40:
        return f"The commit of the code that made this report is {sha}."
    tree = f"**{changed}**, which the commit does not hold" if changed else "without uncommitted changes"
    return f"The code that made this report is commit `{sha}`, {tree}."


def runs(study: Study) -> pd.DataFrame:
    """Return the runs with results in the order in which they began: `number`, `run`, `environment`, times, `duration`.

    `environment` is the number of a column of `environments`. Times are in UTC; a duration is without pauses.
    """
    found = _records(study)
    kinds = _kinds(found)
    rows = [
        {"number": number, "run": record.run, "environment": kinds.index(record.environment) + 1}
        | {"started": _time(record.started), "finished": _time(record.finished), "duration": duration(record.seconds)}
        for number, record in enumerate(found, start=1)
    ]
    return pd.DataFrame(rows)


def environments(study: Study) -> pd.DataFrame:
    """Return what runs were made with: a row for each `item`, and a numbered column for each distinct environment."""
    kinds = _kinds(_records(study))
    items = dict.fromkeys(item for kind in kinds for item in kind)
    columns = {str(number): [kind.get(item, "not recorded") for item in items] for number, kind in enumerate(kinds, 1)}
    return pd.DataFrame({"item": list(items)} | columns)


def inputs(study: Study) -> pd.DataFrame:
    """Return `run` and `digest`, the SHA-256 of settings and data, of the runs with results in the order of `runs`."""
    return pd.DataFrame([(record.run, record.inputs_digest) for record in _records(study)], columns=["run", "digest"])


def codes(study: Study) -> pd.DataFrame:
    """Return the digests of code that made runs: `digest`, `of this report` (yes or no), and the number of `runs`."""
    rows = [(record.code_digest, record.code_digest == code_digest(record.cell)) for record in _records(study)]
    found = pd.DataFrame(rows, columns=["digest", "of this report"])
    found["of this report"] = found["of this report"].map({True: "yes", False: "no"})
    return found.value_counts(sort=False).reset_index(name="runs")


def data(study: Study) -> pd.DataFrame:
    """Return each `dataset` of the study with the SHA-256 of its arrays, the `digest`."""
    return pd.DataFrame(
        [(dataset, dataset_digest(dataset) or "not prepared") for dataset in study.datasets],
        columns=["dataset", "digest"],
    )


def tables(study: Study) -> str:
    """Return a Markdown list of the CSV files of each chapter, with links that hold beside the exported report."""
    lines = []
    for stem in study.body:
        made = [path for path in freshness.stamped(freshness.chapter_stamp(study, stem)) if path.suffix == ".csv"]
        links = [f"[{path.name}]({path.relative_to(paths.REPORT).as_posix()})" for path in made]
        lines += [f"- `{stem}`: {', '.join(links)}"] if links else []
    return "\n".join(lines)


def citation(study: Study) -> str:
    """Return a BibTeX entry for the report from `CITATION.cff`, with the year of the newest run if there is one.

    Source: the Citation File Format 1.2.0, https://citation-file-format.github.io.
    """
    project = _project()
    years = [datetime.fromisoformat(record.finished).year for record in _records(study)]
    fields = {
        "author": f"{{{' and '.join(author['name'] for author in project['authors'])}}}",
        "title": f"{{{study.title}}}",
        **({"year": max(years)} if years else {}),
        "howpublished": f"{project['title']}, version {project['version']}",
        "note": f"Study {study.name}, commit {commit()}",
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@misc{{paired-seeds-{study.name},", *lines, "}"])


def finding(study: Study) -> str:
    """Return how many runs have results, in how many environments, and how many were made by other code."""
    found = _records(study)
    many = f"{len(found)} of {len(study.cells)} runs have results"
    if not found:
        return f"{many}."
    kinds, other = len(_kinds(found)), sum(record.code_digest != code_digest(record.cell) for record in found)
    where = "in one environment" if kinds == 1 else f"in {kinds} environments"
    made = f"{other} of them made by other code than this report's" if other else "all made by the code of this report"
    return f"{many}, {where}, {made}."


def licence() -> str:
    """Return the licence's name from `CITATION.cff`."""
    return _project()["license"]


def _project() -> dict[str, Any]:
    return parsed(read_file(freshness.CITATION), freshness.CITATION)


def _records(study: Study) -> list[Record]:
    """Return the records of the runs with results, each run once, in the order in which they began."""
    found = {record.run: record for _, record in records.finished(study)}
    return sorted(found.values(), key=lambda record: (record.started, record.run))


def _kinds(found: list[Record]) -> list[dict[str, str]]:
    """Return the distinct environments, in the order of their first runs."""
    kinds: list[dict[str, str]] = []
    for record in found:
        if record.environment not in kinds:
            kinds.append(record.environment)
    return kinds


def _time(iso: str) -> str:
    return f"{datetime.fromisoformat(iso):%Y-%m-%d %H:%M:%S}"
