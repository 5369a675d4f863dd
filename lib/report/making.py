"""A study's report, made as far as it is stale: its chapters are executed and exported."""

import time
from pathlib import Path

from lib import files, paths
from lib.errors import ChapterError
from lib.report import freshness
from lib.runs import records
from lib.study.study import Study


def refresh_one(study: Study, stem: str) -> None:
    """Execute one of the study's chapters if it is stale."""
    if stem not in study.contents:
        raise ChapterError(f"study {study.name!r} has no chapter {stem!r}; choose from: {', '.join(study.contents)}")
    if not refresh(study, stem):
        print(f"chapter {stem} of {study.name} is up to date")


def refresh(study: Study, stem: str, results: bytes | None = None) -> bool:
    """Execute a chapter if it is stale, and return whether it was; `results` as for `freshness.chapter_digest`."""
    stamp, digest = freshness.chapter_stamp(study, stem), freshness.chapter_digest(study, stem, results)
    if freshness.is_fresh(stamp, digest):
        return False
    from lib.execution import execute

    print(f"chapter {stem} ...", end=" ", flush=True)
    start, target = time.perf_counter(), freshness.notebook(study, stem)
    _forget(stamp)
    before = _saved(study)
    if missing := freshness.unprepared(study, stem):
        _stand_in(freshness.source(stem), target, missing)
    else:
        execute(freshness.source(stem), target, {"study_name": study.name})
    written = _saved(study).items() - before.items()
    freshness.mark(stamp, digest, [target, *(path for path, _ in written)])
    print(f"{time.perf_counter() - start:.1f} s", flush=True)
    return True


def _stand_in(source: Path, target: Path, missing: list[str]) -> None:
    """Write a chapter's title and the datasets that it waits for, in the place of the executed chapter."""
    import jupytext
    import nbformat

    title = jupytext.read(source).cells[0].source.splitlines()[0]
    waits = "\n".join(f"- {dataset} is not prepared: run `make data DATASET={dataset}`" for dataset in missing)
    text = f"{title}\n\n**This chapter is missing**, since it reads images that are not there:\n\n{waits}"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text, id="missing")])
    files.write_text(target, nbformat.writes(notebook))


def _forget(stamp: Path) -> None:
    """Remove a stamp with the files that it names, so that a table which is no longer shown does not stay."""
    for path in (*freshness.stamped(stamp), stamp):
        path.unlink(missing_ok=True)


def _saved(study: Study) -> dict[Path, int]:
    """Return the files that chapters save beside the report, each with its time in nanoseconds."""
    folder = paths.REPORT / study.name
    saved = (path for part in ("tables", "figures") for path in (folder / part).glob("*") if path.is_file())
    return {path: path.stat().st_mtime_ns for path in saved}


def report(study: Study) -> None:
    """Execute the stale chapters, then write HTML and PDF if anything has changed since they were written."""
    html, pdf = freshness.outputs(study)
    shown = f"report/{html.name} and {pdf.suffix}"
    results = freshness.results(study)  # those of runs that end meanwhile are stale in this report
    executed = [stem for stem in study.contents if refresh(study, stem, results)]
    stamp, digest = freshness.report_stamp(study), freshness.report_digest(study, results)
    if not executed and freshness.is_fresh(stamp, digest):
        print(f"{shown} are up to date")
        return
    from lib.report.build import build

    print(f"{shown} ...", end=" ", flush=True)
    start = time.perf_counter()
    build(study)
    freshness.mark(stamp, digest, (html, pdf, freshness.first_page(study)))
    done = len({entry.cell for entry, _ in records.finished(study)})
    told = f", {done} of {len(study.cells)} runs have results" if study.is_trained else ""
    print(f"{time.perf_counter() - start:.1f} s{told}", flush=True)
