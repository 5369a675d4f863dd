"""Digests: what a run was made from, in two parts.

**Inputs** are the resolved parameters and the dataset's content: where they differ, a run is stale and is run again.
**Code** is what makes the numbers: where it differs, a run is shown as made by other code, and kept.
"""

import ast
import hashlib
import json
import os
from functools import cache
from typing import get_args

from lib import paths
from lib.errors import TrainingError
from lib.study.params import Cell, Framework

_SHARED_CODE = (
    "study/conventions.py",
    "training/seeds.py",
    "training/first_weights.py",
    "training/schedules.py",
    "training/metrics.py",
    "training/protocol.py",
    "training/resume.py",
    "data/store.py",
    "data/contents.py",
    "data/stream.py",
)

_MAKE_NO_NUMBERS = ("probe",)
"""Modules of a framework's room that no run uses."""


def inputs_digest(cell: Cell, dataset_digest: str) -> str:
    """Return the digest of a cell's resolved parameters and its dataset's content.

    The variant is left out: it names a departure, it does not make one. So is `on_oom`: a run that did not need it is
    the same with it, and one that did says so in its record.
    """
    left_out = {"variant": True, "settings": {"on_oom"}}
    parameters = cell.model_dump(mode="json", exclude=left_out, exclude_defaults=True)
    return _sha256(json.dumps([parameters, dataset_digest], sort_keys=True))


def sources(framework: Framework) -> list[bytes]:
    """Read the modules and the notebook that make a framework's numbers; one that is not there counts as empty."""
    shared = [paths.LIB / name for name in _SHARED_CODE]
    own = sorted(path for path in (paths.LIB / framework).glob("*.py") if path.stem not in _MAKE_NO_NUMBERS)
    notebook = paths.NOTEBOOKS / f"20_train_{framework}.py"
    return [path.read_bytes() if path.exists() else b"" for path in (*shared, *own, notebook)]


EXPECTED_CODE = "PAIRED_CODE"
"""The environment variable by which a cell tells its kernel the digest of the code that it found itself."""

_AT_START = {framework: sources(framework) for framework in get_args(Framework)}
"""The sources as this process found them: they may be edited while it goes on loading, or while a run lasts."""


@cache
def code_digest(framework: Framework) -> str:
    """Return the digest of what makes a framework's numbers, as this process found it when it began."""
    return digest_of(_AT_START[framework])


def refuse_edited_code(framework: Framework) -> None:
    """Refuse to train with modules, or a notebook, that may not be those of the digest.

    Raises:
        TrainingError: a source was edited since this process found it, or since the cell that started it found it.
    """
    loaded = code_digest(framework)
    if {digest_of(sources(framework)), os.environ.get(EXPECTED_CODE, loaded)} != {loaded}:
        raise TrainingError("the code was edited after it had been loaded: start the run, or the kernel, again")


def digest_of(sources: list[bytes]) -> str:
    """Return the digest of sources, parsed and without docstrings: a comment or a line break changes nothing."""
    return _sha256("\n".join(_parsed(source) for source in sources))


def _parsed(source: bytes) -> str:
    try:
        tree = ast.parse(source)
    except SyntaxError:  # somebody is editing it
        return repr(source)
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [statement for statement in body if not _is_text(statement)]
    return ast.dump(tree)


def _is_text(statement: ast.stmt) -> bool:
    """Whether a statement is a string alone: a docstring, or one below a constant."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
