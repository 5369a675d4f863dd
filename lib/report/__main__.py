"""`python -m lib.report STUDY`: execute a study's stale chapters, and export its report.

With `--chapter` one chapter is executed, if it is stale, and nothing is exported. Heavy imports are made only when
needed.
"""

import argparse
import time

from lib import files, paths
from lib.errors import ChapterError, one_line
from lib.report import freshness
from lib.runs import records
from lib.study.loading import load_study
from lib.study.study import Study


def main() -> None:
    """Read the command line, and execute and export."""
    parser = argparse.ArgumentParser(prog="python -m lib.report", description="Execute and export a study's report.")
    parser.add_argument("study_name", metavar="study", help="a file in params/studies, without .yaml")
    parser.add_argument("--chapter", help="execute this chapter only, and export nothing")
    arguments = parser.parse_args()
    with one_line():
        study = load_study(arguments.study_name)
        refusal = ChapterError(f"another process is writing the report of {study.name}; wait for it, or stop it")
        with files.held(paths.REPORT / f".{study.name}.lock", refusal):
            if arguments.chapter:
                refresh_one(study, arguments.chapter)
            else:
                report(study)


def refresh_one(study: Study, stem: str) -> None:
    """Execute one of the study's chapters if it is stale."""
    if stem not in study.chapters:
        raise ChapterError(f"study {study.name!r} has no chapter {stem!r}; choose from: {', '.join(study.chapters)}")
    if not refresh(study, stem):
        print(f"chapter {stem} of {study.name} is up to date")


def refresh(study: Study, stem: str) -> bool:
    """Execute a chapter if it is stale, and return whether it was."""
    target = freshness.notebook(study, stem)
    stamp, digest = target.with_suffix(".json"), freshness.chapter_digest(study, stem)
    if freshness.is_fresh(stamp, digest, target):
        return False
    from lib.execution import execute

    print(f"chapter {stem} ...", end=" ", flush=True)
    start = time.perf_counter()
    stamp.unlink(missing_ok=True)
    execute(freshness.source(stem), target, {"study_name": study.name})
    freshness.mark(stamp, digest)
    print(f"{time.perf_counter() - start:.1f} s", flush=True)
    return True


def report(study: Study) -> None:
    """Execute the stale chapters, then write HTML and PDF if anything has changed since they were written."""
    html, pdf = freshness.outputs(study)
    shown = f"report/{html.name} and {pdf.suffix}"
    stamp, digest = paths.REPORT / study.name / "report.json", freshness.report_digest(study)
    executed = [stem for stem in study.chapters if refresh(study, stem)]
    if not executed and freshness.is_fresh(stamp, digest, html, pdf):
        print(f"{shown} are up to date")
        return
    from lib.report.build import build

    print(f"{shown} ...", end=" ", flush=True)
    start = time.perf_counter()
    build(study)
    freshness.mark(stamp, digest)
    done = {entry.cell for entry, _ in records.finished(study)}
    print(f"{time.perf_counter() - start:.1f} s, {len(done)} of {len(study.cells)} runs have results", flush=True)


if __name__ == "__main__":
    main()
