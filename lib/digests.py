"""Digests: what a run was made from, in two parts.

**Inputs** are the resolved parameters and the dataset's content: where they differ, a run is stale and is run again.
**Code** is what makes the numbers: where it differs, a run is shown as made by other code, and kept.
"""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

from lib import paths
from lib.params import Cell, Framework

_SHARED_CODE = (
    "seeds.py",
    "conventions.py",
    "initial.py",
    "schedules.py",
    "metrics.py",
    "training.py",
    "resume.py",
    "data/store.py",
    "data/contents.py",
    "data/stream.py",
)


def inputs_digest(cell: Cell, dataset_digest: str) -> str:
    """Return the digest of a cell's resolved parameters and its dataset's content.

    The variant is left out: it names a departure, it does not make one. So is `on_oom`: a run that did not need it is
    the same with it, and one that did says so in its record.
    """
    left_out = {"variant": True, "settings": {"on_oom"}}
    parameters = cell.model_dump(mode="json", exclude=left_out, exclude_defaults=True)
    return _sha256(json.dumps([parameters, dataset_digest], sort_keys=True))


@cache
def code_digest(framework: Framework) -> str:
    """Return the digest of the modules and the notebook that make a framework's numbers.

    The source is parsed and its docstrings are dropped: a comment, a docstring or a line break changes nothing. It is
    read once a process, at the start of a run, since somebody may edit it while the run lasts.
    """
    shared = [paths.LIB / name for name in _SHARED_CODE]
    own = sorted((paths.LIB / framework).glob("*.py"))
    notebook = paths.NOTEBOOKS / f"20_train_{framework}.py"
    return _sha256("\n".join(_parsed(path) for path in (*shared, *own, notebook)))


def _parsed(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
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
