"""Projects in a temporary folder, and commands of this project in them, timed as a user would call them."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lib import files, paths
from lib.doctor import examination
from lib.errors import UserError


class Spent(NamedTuple):
    """Seconds of a command: by the clock, and of all its processes on the cores, which other jobs hardly change."""

    seconds: float
    cpu_seconds: float


@contextmanager
def project() -> Iterator[Path]:
    """Yield a folder with this project's chapters, parameters and studies, but without data, runs and reports."""
    with tempfile.TemporaryDirectory(prefix="paired-seeds-") as name:
        root = Path(name)
        for part in ("params", "notebooks"):
            shutil.copytree(paths.ROOT / part, root / part)
        shutil.copy(paths.ROOT / "Snakefile", root)
        (root / "executed").mkdir()
        if examination.result().exists():  # else the first run would examine the machine
            shutil.copy(examination.result(), root / "executed")
        yield root


def read_study(root: Path, name: str) -> dict[str, Any]:
    """Return the content of a study's file in a project."""
    return yaml.safe_load(_file(root, name).read_text(encoding="utf-8"))


def write_study(root: Path, name: str, content: dict[str, Any]) -> None:
    """Write a study into a project; its name is its variant."""
    files.write_text(_file(root, name), yaml.safe_dump(content | {"variant": name}))


def _file(root: Path, name: str) -> Path:
    return root / "params" / "studies" / f"{name}.yaml"


def call(root: Path, module: str, *arguments: str) -> Spent:
    """Call a module of `lib` in a project and a process of its own, and return what it took.

    Raises:
        UserError: it failed; the message is the last line of what it said.
    """
    environment = os.environ | {"PAIRED_ROOT": str(root), "PAIRED_SLOTS": str(root / "slots")}
    command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
    said = root / "said.log"  # no pipe, whose end would also wait for what outlives the command
    before, start = _cpu_seconds(), time.perf_counter()
    with said.open("w", encoding="utf-8") as log:
        code = subprocess.run(command, env=environment, stdout=log, stderr=log, check=False).returncode
    spent = Spent(time.perf_counter() - start, _cpu_seconds() - before)
    if code:
        last = said.read_text(encoding="utf-8").strip().rpartition("\n")[2]
        raise UserError(f"python -m {module} {' '.join(arguments)} failed: {last}")
    return spent


def _cpu_seconds() -> float:
    """Return the seconds that the ended children of this process, and theirs, have spent on the cores."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime
