"""`python -m lib.report.verify ARCHIVE`: is an archive whole, and do its runs give its tables and report again?

The report is made again in a temporary folder, with the code of this clone. The archive's own chapters are executed:
verify only archives that you trust.
"""

import argparse
import csv
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path

from lib import files, paths
from lib.commit import commit
from lib.errors import ChapterError, DataError, one_line
from lib.processes import bound
from lib.report import archive

_MADE = (".html", ".pdf", ".csv", ".md", ".svg", ".png")
"""The files of a report that are compared; notebooks have the times at which they were executed."""


def verify(path: Path) -> None:
    """Check an archive's files, make its report again, compare the two, and print what is found.

    Raises:
        DataError: the archive is not whole, or what is made from it differs; the message names files and numbers.
        ChapterError: the report cannot be made again.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        facts = archive.extract(path, folder)
        print(f"{path.name}: its {len(facts.checksums)} files are whole\n{_compared_code(facts.commit)}", flush=True)
        if other := _other_chapters(facts.checksums):
            print(archive.listed("chapters of the archive that are other than this clone's", other), flush=True)
        (folder / "report").rename(folder / "archived")
        _rebuild(folder, facts.study)
        then, now = _made(folder / "archived"), _made(folder / "report")
    found = [one for name in sorted(then | now) for one in differences(name, then.get(name), now.get(name))]
    if found:
        raise DataError(archive.listed("what is made from the archive is not what it holds", found))
    print(f"the report with its tables and figures, {len(then)} files, is the archive's, byte for byte")


def differences(name: str, then: bytes | None, now: bytes | None) -> Iterator[str]:
    """Yield how a file that was made again differs from the archived one; for a CSV file, each value that differs."""
    if now == then:
        return
    if now is None or then is None:
        yield f"{name} is {'not made again' if now is None else 'not in the archive'}"
    elif name.endswith(".csv"):
        yield from _values(name, *(list(csv.reader(io.StringIO(content.decode()))) for content in (then, now)))
    else:
        yield f"{name} differs"


def _values(name: str, then: list[list[str]], now: list[list[str]]) -> Iterator[str]:
    """Yield each value that differs, with its row, counted from 1 below the head, and its column."""
    if len(then) != len(now):
        yield f"{name} has {len(now) - 1} rows, not {len(then) - 1}"
    for number, (old, new) in enumerate(zip(then, now, strict=False)):
        for column, before, after in zip_longest(then[0], old, new, fillvalue="nothing"):
            if before != after:
                yield f"{name}, row {number}, {column}: {after}, not {before}"


def _compared_code(then: str) -> str:
    """Return a sentence on the code of the archive and of this clone."""
    now = commit()
    if then == now and len(then) == 40:
        return f"its code is this clone's, commit {now}"
    told = f"its code may be other than this clone's: its commit is {then}, and this clone's {now}"
    named = "; since a report names its commit, this one cannot be made again byte for byte" if then != now else ""
    return told + named


def _other_chapters(checksums: Mapping[str, str]) -> list[str]:
    """Return the names of the archive's chapters that this clone lacks or has otherwise."""
    clone = paths.LIB.parent
    chapters = (name for name in sorted(checksums) if name.startswith("notebooks/"))
    return [name for name in chapters if not files.is_intact(clone / name, checksums[name])]


def _rebuild(folder: Path, study: str) -> None:
    """Make a study's report in a folder, in a process of its own, since a process has one project."""
    command = bound([sys.executable, "-W", "ignore", "-m", "lib.report.rebuild", study, str(paths.DATA)])
    environment = os.environ | {"PAIRED_ROOT": str(folder)}
    answer = subprocess.run(
        command, cwd=paths.LIB.parent, env=environment, check=False, stderr=subprocess.PIPE, text=True
    )
    if answer.returncode:
        raise ChapterError(f"the report cannot be made again: {answer.stderr.strip().removeprefix('error: ')}")


def _made(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.suffix in _MADE)
    return {f"report/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in found}


def main() -> None:
    """Read the command line, and verify."""
    parser = argparse.ArgumentParser(prog="python -m lib.report.verify", description="Verify an archive of a study.")
    parser.add_argument("archive", type=Path, help="a zip that `make archive` wrote")
    with one_line():
        verify(parser.parse_args().archive)


if __name__ == "__main__":
    main()
