"""`report/index.html`: every study with its state, its findings, and links to its report."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from lib import files, paths
from lib.errors import ChapterError
from lib.report import freshness
from lib.report.pandoc import TEMPLATES, escaped, pandoc
from lib.runs import records
from lib.study.loading import readable_studies
from lib.study.study import Study

_PATIENCE = 60
"""So many seconds a process waits for another one that writes the index."""


def write() -> None:
    """Write the index, whole, from the studies and reports of this moment.

    Raises:
        ChapterError: another process is writing it, and does not end.
    """
    path = paths.REPORT / "index.html"
    refusal = ChapterError(f"another process is writing report/{path.name}; wait for it, or stop it")
    with files.held(path.with_name(".index.lock"), refusal, seconds=_PATIENCE), files.replacing(path) as temporary:
        _write(temporary)


def _write(path: Path) -> None:
    studies = list(readable_studies())
    reported = [study for study in studies if freshness.outputs(study)[0].exists()]
    others = [study for study in studies if study not in reported]
    parts = ["# With a report", *map(_reported, reported)] if reported else []
    parts += ["# Without a report", *map(_unreported, others)] if others else []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "index.md").write_text("\n\n".join(parts), encoding="utf-8")
        shutil.copyfile(TEMPLATES / "style.css", work / "style.css")
        facts = {
            "title": "Studies and reports",
            "description": "Every study of this project: how far it is, what it found, and where to read it.",
            "runs": f"{len(reported)} of {len(studies)} studies have a report",
        }
        options = [f"--metadata={key}:{text}" for key, text in facts.items()]
        look = [
            f"--template={TEMPLATES / 'report.html'}",
            "--css=style.css",
            "--embed-resources",
            "--toc",
            "--toc-depth=2",
        ]
        pandoc(work, "--to=html5", *options, *look, "--output=index.html", "index.md")
        shutil.copyfile(work / "index.html", path)


def _reported(study: Study) -> str:
    """Return the section of a study with a report."""
    html, pdf = freshness.outputs(study)
    exported = datetime.fromtimestamp(html.stat().st_mtime, UTC)
    fresh = (
        "It is up to date."
        if freshness.is_report_fresh(study)
        else f"**It is stale:** `make report STUDY={study.name}`"
    )
    when = f"The report was exported on {exported.day} {exported:%B %Y at %H:%M} UTC. {fresh}"
    archive = html.with_suffix(".zip")
    made = [path for path in (html, pdf, archive) if path.exists()]
    notebooks = [path for stem in study.contents if (path := freshness.notebook(study, stem)).exists()]
    lines = [f"- Report: {_links(made)}", f"- Executed notebooks: {_links(notebooks)}"]
    return "\n\n".join([*_opening(study), _findings(study), when, "\n".join(lines)])


def _findings(study: Study) -> str:
    """Return the findings of a report's first page, as a list."""
    path = freshness.first_page(study)
    return json.loads(path.read_text(encoding="utf-8"))["findings"] if path.exists() else ""


def _unreported(study: Study) -> str:
    """Return the section of a study without a report."""
    made = f"`make sweep STUDY={study.name}`, then `make report STUDY={study.name}`"
    return "\n\n".join([*_opening(study), made if study.is_trained else f"`make bench STUDY={study.name}`"])


def _opening(study: Study) -> Iterator[str]:
    yield f"## {escaped(study.title)}"
    yield escaped(study.description)
    if not study.is_trained:
        yield f"Study `{study.name}` is measured, without runs."
        return
    done = len({record.run for _, record in records.finished(study)})
    yield f"Study `{study.name}`: {done} of {len(study.cells)} runs have results."


def _links(found: list[Path]) -> str:
    return ", ".join(f"[{path.name}]({path.relative_to(paths.REPORT).as_posix()})" for path in found)
