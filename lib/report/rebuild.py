"""`python -m lib.report.rebuild STUDY DATA`: make the report again in the folder of an extracted archive.

`PAIRED_ROOT` is that folder. The report that the archive has lies in its `archived/`; `DATA` is a folder with prepared
datasets, whose arrays are used where they are those of the archived runs. Nothing is trained.
"""

import argparse
import shutil
from pathlib import Path

from lib import files, paths
from lib.errors import DataError, one_line
from lib.report import freshness
from lib.report.making import report
from lib.runs.digests import dataset_digest
from lib.study.loading import load_study
from lib.study.study import Study

ARCHIVED = paths.ROOT / "archived"
"""The archive's own `report/`."""


def rebuild(study: Study, data: Path) -> None:
    """Execute the chapters and export the report, apart from chapters that cannot be made from an archive."""
    without = {dataset for dataset in study.datasets if not _linked(dataset, data)}
    for stem in study.contents:
        if reason := _obstacle(stem, without):
            print(f"chapter {stem} is taken from the archive: {reason}", flush=True)
            _take(study, stem)
    report(study)


def _linked(dataset: str, data: Path) -> bool:
    """Link a dataset's arrays into the project if they are those of the archived runs, and return whether they are."""
    try:
        same = files.read_sealed(data / f"{dataset}.json")["digest"] == dataset_digest(dataset)
    except (OSError, DataError, KeyError):
        return False
    for path in data.rglob(f"{dataset}_*.npy") if same else ():
        link = paths.DATA / path.relative_to(data)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    return same


def _obstacle(stem: str, without: set[str]) -> str:
    """Return why a chapter cannot be made from the archive, or nothing if it can."""
    if freshness.modules(stem) & set(freshness.FRAMEWORKS):
        return "it computes with the frameworks, on the machine at hand"
    if without and freshness.reads_images(stem):
        return f"it shows images, and the archived {' and '.join(sorted(without))} is not prepared here"
    return ""


def _take(study: Study, stem: str) -> None:
    """Put an archived chapter, with its tables and figures, in the place of one that is made here."""
    stamp = freshness.chapter_stamp(study, stem)
    made = freshness.stamped(ARCHIVED / stamp.relative_to(paths.REPORT))
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ARCHIVED / path.relative_to(paths.REPORT), path)
    freshness.mark(stamp, freshness.chapter_digest(study, stem), made)


def main() -> None:
    """Read the command line, and rebuild."""
    parser = argparse.ArgumentParser(prog="python -m lib.report.rebuild")
    parser.add_argument("study_name", metavar="study")
    parser.add_argument("data", type=Path)
    arguments = parser.parse_args()
    with one_line():
        rebuild(load_study(arguments.study_name), arguments.data)


if __name__ == "__main__":
    main()
