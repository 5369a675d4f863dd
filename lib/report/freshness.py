"""What a chapter and a report were made from, as digests stored beside them: nothing is made twice."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from lib import files, paths
from lib.doctor import installed
from lib.errors import ChapterError
from lib.runs import state as runs
from lib.study.params import Cell, Study

_FIRST_RESULTS_CHAPTER = 30


def notebook(study: Study, stem: str) -> Path:
    """Return where a study's executed chapter lies."""
    return paths.REPORT / study.name / "chapters" / f"{stem}.ipynb"


def outputs(study: Study) -> tuple[Path, Path]:
    """Return where a study's report lies: the HTML file and the PDF."""
    return paths.REPORT / f"{study.name}.html", paths.REPORT / f"{study.name}.pdf"


def source(stem: str) -> Path:
    """Return a chapter's `.py` half."""
    path = paths.NOTEBOOKS / f"{stem}.py"
    if not path.exists():
        raise ChapterError(f"there is no chapter notebooks/{path.name}")
    return path


def chapter_digest(study: Study, stem: str) -> str:
    """Return the digest of a chapter's source, all code, the study's parameters, its data, and its runs' results.

    Chapters below 30 read no results, and do not depend on them.
    """
    made_from = [source(stem), *_code(), *map(paths.manifest, study.datasets)]
    if int(stem.split("_")[0]) >= _FIRST_RESULTS_CHAPTER:
        return _digest(study, made_from, _results(study))
    return _digest(study, made_from)


def report_digest(study: Study) -> str:
    """Return the digest of all that the report is made from: its chapters, and its runs for the title page."""
    return _digest(study, [], _results(study), *(chapter_digest(study, stem) for stem in study.chapters))


def is_fresh(stamp: Path, digest: str, *products: Path) -> bool:
    """Whether all products are there and their stamp names this digest."""
    try:
        return json.loads(stamp.read_text(encoding="utf-8"))["digest"] == digest and all(p.exists() for p in products)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False


def mark(stamp: Path, digest: str) -> None:
    """Write the stamp: what lies beside it was made from this digest."""
    files.write_text(stamp, json.dumps({"digest": digest}) + "\n")


def _code() -> list[Path]:
    locks = installed.LOCKS.glob("requirements*.lock")  # which a report names where machines differ in them
    return sorted([*paths.LIB.rglob("*.py"), *(paths.LIB / "report" / "templates").iterdir(), *locks])


def _results(study: Study) -> str:
    """Return how each run stands, with its record and its products: what a chapter on results can show of it."""
    return "\n".join(_result(cell) for cell in study.cells)


def _result(cell: Cell) -> str:
    record = runs.read_record(cell)
    products = [_stamp(runs.folder(cell) / name) for name in (record.products if record else ())]
    return f"{cell.name} {runs.state(cell)} {record} {products}"


def _stamp(path: Path) -> str:
    """Return a file's size and time, by which a changed file is told without reading it."""
    if not path.exists():
        return "gone"
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _digest(study: Study, contents: Iterable[Path], *parts: str) -> str:
    digest = hashlib.sha256(study.model_dump_json().encode())
    for path in contents:
        digest.update(f"\0{path.name}\0".encode() + (path.read_bytes() if path.exists() else b"absent"))
    for part in parts:
        digest.update(part.encode())
    return digest.hexdigest()
