"""The digests of chapters and reports, stored beside them, so that only stale ones are made again."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from lib import environment, files, imports, paths
from lib.commit import commit
from lib.errors import ChapterError
from lib.runs import measured, records
from lib.runs.state import state
from lib.study.cells import Cell
from lib.study.models import find
from lib.study.study import Study

FRAMEWORKS = ("lib.keras", "lib.pytorch")
"""The rooms that compute with the frameworks."""

_INSTALLED = "lib.doctor.installed"
"""The module that reads the locks."""

_MEASURED = "lib.runs.measured"
"""The module that reads what `make bench` measured."""

_PROVENANCE = "lib.report.provenance"
"""The module that reads the commit, the citation, and what the other chapters saved."""

CITATION = paths.LIB.parent / "CITATION.cff"
"""How the project is cited."""


def notebook(study: Study, stem: str) -> Path:
    """Return the path of a study's executed chapter."""
    return paths.REPORT / study.name / "chapters" / f"{stem}.ipynb"


def outputs(study: Study) -> tuple[Path, Path]:
    """Return the paths of a study's report: the HTML file and the PDF."""
    return paths.REPORT / f"{study.name}.html", paths.REPORT / f"{study.name}.pdf"


def first_page(study: Study) -> Path:
    """Return the path of what the first page of a study's report says, JSON of Markdown texts."""
    return paths.REPORT / study.name / "title.json"


def held(study: Study) -> AbstractContextManager[None]:
    """Hold a study's report during a block, so that no other process writes it."""
    refusal = ChapterError(f"another process is writing the report of {study.name}; wait for it, or stop it")
    return files.held(paths.REPORT / f".{study.name}.lock", refusal)


def source(stem: str) -> Path:
    """Return a chapter's `.py` half."""
    path = paths.NOTEBOOKS / f"{stem}.py"
    if not path.exists():
        raise ChapterError(f"there is no chapter notebooks/{path.name}")
    return path


def chapter_digest(study: Study, stem: str, found: bytes | None = None) -> str:
    """Return the digest of a chapter's source and imports, the study's parameters, its data, and its runs' results.

    A chapter that imports neither `lib.analysis.results` nor `lib.report.provenance` reads no results, and depends
    neither on them nor on the margins. `found` are the `results`, where they have been read already.
    """
    code = _code(study, {stem: source(stem).read_bytes()})
    parts = code | _contents(map(paths.manifest, study.datasets))
    if "lib.analysis.results" in code or _PROVENANCE in code:
        parts["results"] = found or results(study)
        parts |= _contents([paths.PARAMS / "margins.yaml"])
    if _MEASURED in code:
        parts |= _contents([measured.path(study.name)])
    if _PROVENANCE in parts:
        parts |= _contents([CITATION]) | {"commit": commit().encode()}
        parts |= _contents(chapter_stamp(study, other) for other in study.body)
    return _digest(study, parts)


def report_digest(study: Study, found: bytes | None = None) -> str:
    """Return the digest of a report: its chapters, its runs for the title page, and the export with its templates.

    `found` are the `results`, where they have been read already.
    """
    found = found or results(study)
    chapters = {stem: chapter_digest(study, stem, found).encode() for stem in study.contents}
    export = imports.closure(["lib.report.build"], imports.modules())
    templates = _contents((paths.LIB / "report" / "templates").iterdir())
    return _digest(study, chapters | export | templates | {"results": found})


def chapter_stamp(study: Study, stem: str) -> Path:
    """Return the path of the stamp of a study's executed chapter."""
    return notebook(study, stem).with_suffix(".json")


def report_stamp(study: Study) -> Path:
    """Return the path of the stamp of a study's report."""
    return paths.REPORT / study.name / "report.json"


def is_report_fresh(study: Study) -> bool:
    """Return whether a study's report is there and made from what is there today."""
    return is_fresh(report_stamp(study), report_digest(study))


def is_fresh(stamp: Path, digest: str) -> bool:
    """Return whether a stamp has this digest, and all the files that it names are there."""
    found, made = _read(stamp)
    return found == digest and all(path.exists() for path in made)


def mark(stamp: Path, digest: str, made: Iterable[Path]) -> None:
    """Write the stamp of the files, all in `report/`, that were made from this digest."""
    names = sorted(path.relative_to(paths.REPORT).as_posix() for path in made)
    files.write_text(stamp, json.dumps({"digest": digest, "files": names}, indent=1) + "\n")


def stamped(stamp: Path) -> list[Path]:
    """Return the files that a stamp names, or nothing where there is no stamp."""
    return _read(stamp)[1]


def modules(stem: str) -> set[str]:
    """Return the names of the modules that a chapter needs."""
    return set(imports.closure([stem], imports.modules() | {stem: source(stem).read_bytes()})) - {stem}


def reads_images(stem: str) -> bool:
    """Return whether a chapter reads the images of a store."""
    return "lib.data.store" in modules(stem)


def unprepared(study: Study, stem: str) -> list[str]:
    """Return the study's datasets that are not prepared, for a chapter that reads their images; nothing for others."""
    missing = [dataset for dataset in study.datasets if not paths.manifest(dataset).exists()]
    return missing if missing and reads_images(stem) else []


def results(study: Study) -> bytes:
    """Return each run's state, record and products: all that a chapter can show of results."""
    return "\n".join(_result(cell) for cell in study.cells).encode()


def _read(stamp: Path) -> tuple[str, list[Path]]:
    """Return a stamp's digest and the files that it names, or nothing where there is no stamp that can be read."""
    try:
        content = json.loads(stamp.read_text(encoding="utf-8"))
        return content["digest"], [paths.REPORT / name for name in content["files"]]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return "", []


def _code(study: Study, chapter: dict[str, bytes]) -> dict[str, bytes]:
    """Return a chapter's source with all modules that it needs.

    A framework imports the file of a model's family by its computed name: those of the study's models belong to a
    chapter that needs the framework, and so do the versions of the libraries and the machine. The locks belong to a
    chapter that needs the module that reads them.
    """
    sources = imports.modules() | chapter
    needed = imports.closure(chapter, sources)
    rooms = [room for room in FRAMEWORKS if room in needed]
    families = [f"{room}.networks.{find(model).family}" for room in rooms for model in study.models]
    found = imports.closure([*chapter, *families], sources)
    if rooms:
        found["environment"] = json.dumps(environment.describe()).encode()
    return found | (_contents(paths.LIB.parent.glob("requirements*.lock")) if _INSTALLED in found else {})


def _contents(found: Iterable[Path]) -> dict[str, bytes]:
    return {path.name: path.read_bytes() if path.exists() else b"absent" for path in sorted(found)}


def _result(cell: Cell) -> str:
    record = records.read_record(cell)
    products = [_stamp(records.folder(cell) / name) for name in (record.products if record else ())]
    return f"{cell.name} {state(cell)} {record} {products}"


def _stamp(path: Path) -> str:
    """Return a file's size and time, which identify a change without reading the file."""
    if not path.exists():
        return "gone"
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _digest(study: Study, parts: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(study.model_dump_json().encode())
    for name, content in sorted(parts.items()):
        digest.update(f"\0{name}\0".encode() + content)
    return digest.hexdigest()
