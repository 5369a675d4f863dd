"""`python -m lib.report.archive STUDY`: one zip with all that a study's report is made from, in RO-Crate form.

The zip is a project's folder: parameters, chapters, runs without their weights, manifests of the data, the report with
its tables and figures, and the locks. `ro-crate-metadata.json` has the SHA-256 of every file. The same report gives the
same bytes.

Source: RO-Crate, https://w3id.org/ro/crate, "Data Entities" and "Provenance".
"""

import argparse
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from lib import files, paths
from lib.commit import commit
from lib.errors import ChapterError, DataError, one_line
from lib.report import freshness, index
from lib.runs import measured, records
from lib.runs.state import state
from lib.runs.status import Kind
from lib.study.loading import load_study
from lib.study.study import Study

METADATA = "ro-crate-metadata.json"
CODE = "#code"
"""The entity whose `version` is the commit of the code."""

_PROJECT = ("requirements*.lock", "pyproject.toml", "environment.yml", "LICENSE", "CITATION.cff")
_FIRST_DATE_OF_ZIP = (1980, 1, 1, 0, 0, 0)
_NAMED = 10
"""The number of problems that a message names."""


class Facts(NamedTuple):
    """What an archive says of itself: its study, the commit of its code, and the SHA-256 of each file by name."""

    study: str
    commit: str
    checksums: dict[str, str]


def target(study: Study) -> Path:
    """Return the path of a study's archive."""
    return paths.REPORT / f"{study.name}.zip"


def write(study: Study) -> None:
    """Write a study's archive, whole or not at all.

    Raises:
        ChapterError: the report is stale, a run is running, or no run has a result.
    """
    if running := next((cell.name for cell in study.cells if state(cell).kind == Kind.RUNNING), None):
        raise ChapterError(f"{running} is running; wait for it, or stop it")
    if not list(records.finished(study)):
        raise ChapterError(f"no run of {study.name} has a result: there is nothing to archive")
    if not freshness.is_report_fresh(study):
        raise ChapterError(f"the report of {study.name} is not up to date: run `make report STUDY={study.name}`")
    found = dict(sorted(_members(study)))
    with files.replacing(target(study)) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr(_entry(METADATA), _metadata(study, found))
        for name, path in found.items():
            with path.open("rb") as content, archive.open(_entry(name), "w") as member:
                shutil.copyfileobj(content, member)


def absent(study: Study) -> list[str]:
    """Return a study's runs without a result, each with its state and the reason."""
    finished = {record.run for _, record in records.finished(study)}
    without = [cell for cell in study.cells if cell.name not in finished]
    return [f"{cell.name} ({kind}, {reason})" for cell in without for kind, reason in [state(cell)]]


def extract(archive: Path, folder: Path) -> Facts:
    """Extract an archive into an empty folder, and check that every file is the one that was archived.

    Raises:
        DataError: it is no archive of a study, is damaged, or lacks a file or holds another; the message names them.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder)
    except FileNotFoundError:
        raise DataError(f"{archive} does not exist") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DataError(f"{archive} is damaged, or no zip file: {error}") from None
    facts = _described(archive, folder / METADATA)
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {METADATA}
    problems = [f"{name} is missing" for name in sorted(facts.checksums.keys() - present)]
    problems += [f"{name} was added" for name in sorted(present - facts.checksums.keys())]
    for name in sorted(present & facts.checksums.keys()):
        if not files.is_intact(folder / name, facts.checksums[name]):
            problems.append(f"{name} is not the file that was archived: its SHA-256 is another")
        _date(folder / name)
    if problems:
        raise DataError(listed(f"{archive} is not whole", problems))
    return facts


def listed(opening: str, problems: Sequence[str]) -> str:
    """Return a message with the first problems, one a line, and the number of the others."""
    more = [f"and {len(problems) - _NAMED} more"] if len(problems) > _NAMED else []
    return "\n  ".join([f"{opening}:", *problems[:_NAMED], *more])


def _date(path: Path) -> None:
    """Date a file back: a status that was touched recently would count as that of a run that goes on.

    A record is the oldest, so that the files of its run are compared with it. The time 0 would mean that there is none.
    """
    seconds = 1 if path.name == "record.json" else 2
    os.utime(path, (seconds, seconds))


def _described(archive: Path, metadata: Path) -> Facts:
    if not metadata.exists():
        raise DataError(f"{archive} has no {METADATA}: it is no archive of a study")
    try:
        crate = ROCrate(json.loads(metadata.read_bytes()))
        checksums = {unquote(entity.id): entity["sha256"] for entity in crate.data_entities}
        return Facts(crate.root_dataset["identifier"], crate.get(CODE)["version"], checksums)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{archive}: its {METADATA} does not describe an archive of a study") from None


def _members(study: Study) -> Iterator[tuple[str, Path]]:
    """Yield the name in the archive and the path of each file."""
    moved = [*paths.PARAMS.rglob("*.yaml"), *paths.NOTEBOOKS.glob("*.py")]
    whole = [*map(paths.manifest, study.datasets), measured.path(study.name)]
    moved += [path for path in whole if path.exists()]
    moved += [path for cell in study.cells for path in records.folder(cell).glob("[!.]*") if _is_kept(path)]
    stamps = [freshness.report_stamp(study), *(freshness.chapter_stamp(study, stem) for stem in study.contents)]
    moved += [path for stamp in stamps for path in (stamp, *freshness.stamped(stamp))]
    yield from ((path.relative_to(paths.ROOT).as_posix(), path) for path in moved)
    yield from ((path.name, path) for pattern in _PROJECT for path in paths.LIB.parent.glob(pattern))


def _is_kept(path: Path) -> bool:
    """Return whether a file of a run is archived: all but the weights, which no chapter reads."""
    return path.is_file() and not records.is_weights(path.name)


def _metadata(study: Study, found: dict[str, Path]) -> str:
    """Return the crate's description as JSON."""
    crate, without = ROCrate(), absent(study)
    crate.name = study.title
    planned = f"{len(study.cells) - len(without)} of {len(study.cells)} runs have results."
    crate.description = " ".join([study.description, planned, *(f"Without a result: {run}." for run in without)])
    crate.datePublished = max(record.finished for _, record in records.finished(study))
    crate.license = {"@id": "LICENSE"}
    crate.root_dataset["identifier"] = study.name
    code = {"@type": "SoftwareSourceCode", "name": "Paired Seeds", "version": commit()}
    crate.root_dataset["isBasedOn"] = crate.add(ContextEntity(crate, CODE, code))
    for name, path in found.items():
        facts = {"sha256": files.sha256(path), "contentSize": str(path.stat().st_size)}
        crate.add_file(path, name, properties=facts)
    return json.dumps(crate.metadata.generate(), indent=1, sort_keys=True) + "\n"


def _entry(name: str) -> zipfile.ZipInfo:
    """Return a member's header, without the time and the rights of its file."""
    entry = zipfile.ZipInfo(name, _FIRST_DATE_OF_ZIP)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    return entry


def main() -> None:
    """Read the command line, write the archive, and say what it lacks."""
    parser = argparse.ArgumentParser(prog="python -m lib.report.archive", description="Archive a study's report.")
    parser.add_argument("study_name", metavar="study", help="a file in params/studies, without .yaml")
    with one_line():
        study = load_study(parser.parse_args().study_name)
        with freshness.held(study):
            write(study)
            index.write()
        size = target(study).stat().st_size / 1e6
        print(f"report/{target(study).name}: {size:.1f} MB, code of commit {commit()}")
        for run in absent(study):
            print(f"  without a result: {run}")


if __name__ == "__main__":
    main()
