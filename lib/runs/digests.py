"""The two digests of a run: one of its inputs, one of the code that makes its numbers.

**Inputs** are the resolved parameters and the dataset's content. A run with other inputs is stale and is run again.
**Code** is the training notebook, the modules of training, data and framework that it imports, and the files of the
model's own family. A run with other code is kept and named as such.
"""

import ast
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import cache

from lib import files, imports, paths
from lib.errors import DataError, TrainingError
from lib.study.cells import Cell
from lib.study.conventions import Framework
from lib.study.models import find
from lib.study.settings import WITHOUT_EFFECT

_SHARED = ("lib.study.conventions", "lib.study.twins")
"""The modules of `study` whose code changes results; its settings are inputs."""

EXPECTED_CODE = "PAIRED_CODE"
"""The environment variable that tells a kernel the code digest of the process that started it."""


def inputs_digest(cell: Cell, dataset_digest: str | None) -> str:
    """Return the digest of a cell's resolved parameters and its dataset's content.

    Settings at their default are left out, so a new setting leaves earlier runs as they are. The variant and the arm
    name departures and are left out too, and so are settings without effect on the results.
    """
    left_out = {"variant": True, "arm": True, "settings": WITHOUT_EFFECT}
    parameters = cell.model_dump(mode="json", exclude=left_out, exclude_defaults=True)
    return _sha256(json.dumps([parameters, dataset_digest], sort_keys=True))


def dataset_digest(dataset: str) -> str | None:
    """Return a dataset's content digest from its store's manifest, or None where there is no good manifest."""
    try:
        return files.read_sealed(paths.manifest(dataset))["digest"]
    except (OSError, DataError, KeyError):
        return None


def code_digest(cell: Cell) -> str:
    """Return the digest of the code that makes a cell's numbers, from the sources at this process's start."""
    return _code_at_start(cell.framework, cell.model)


def made_from(cell: Cell, dataset_digest: str | None) -> dict[str, str]:
    """Return both digests of what a run is made from today, as `inputs` and `code`."""
    return {"inputs": inputs_digest(cell, dataset_digest), "code": code_digest(cell)}


def refuse_edited_code(cell: Cell) -> None:
    """Refuse to train where the loaded modules, or the notebook, may differ from those of the code digest.

    Raises:
        TrainingError: a source was edited after this process, or the process that started it, had begun.
    """
    loaded = code_digest(cell)
    today = digest_of(code(cell.framework, cell.model, sources()))
    if {today, os.environ.get(EXPECTED_CODE, loaded)} != {loaded}:
        raise TrainingError("the code was edited after it had been loaded: start the run, or the kernel, again")


def sources() -> dict[str, bytes]:
    """Read every module of `lib` and the training notebooks, each by its name."""
    notebooks = paths.NOTEBOOKS.glob("20_train_*.py")
    return imports.modules() | {path.stem: path.read_bytes() for path in notebooks}


def code(framework: Framework, model: str, sources: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the sources that make the numbers of a model's runs in a framework, and the model's row, by name."""
    # The worker is started by its name, and not imported.
    entries = [f"20_train_{framework}", f"lib.{framework}.worker"]
    return sources_of(model, entries, ("training", "data", framework), sources)


def sources_of(
    model: str, entries: Iterable[str], rooms: Iterable[str], sources: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Return the entries, the model's own family and their imports in these rooms, and the model's row, by name.

    A framework imports a family by its computed name, so the family's files are entries too, and the one with the
    model's options. A family that is made of another's parts imports its files, that in `study` too.
    """
    row, rooms = find(model), tuple(rooms)
    families = [row.options.__module__, *(f"lib.{room}.networks.{row.family}" for room in ("study", *rooms))]
    inside = (*(f"lib.{room}" for room in rooms), "lib.study.networks.")
    found = imports.closure([*entries, *families], sources, lambda name: name.startswith(inside) or name in _SHARED)
    return found | {"row": repr((row.family, sorted(row.arguments.items()))).encode()}


def digest_of(sources: Mapping[str, bytes]) -> str:
    """Return the digest of named sources, parsed and without docstrings: comments and line breaks change nothing."""
    return _sha256("\n".join(f"{name}\n{_parsed(source)}" for name, source in sources.items()))


_AT_START = sources()
"""The sources at the start of this process. They may be edited while it loads modules, or while a run lasts."""


@cache
def _code_at_start(framework: Framework, model: str) -> str:
    return digest_of(code(framework, model, _AT_START))


@cache
def _parsed(source: bytes) -> str:
    try:
        tree = ast.parse(source)
    except SyntaxError:  # it is being edited
        return repr(source)
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [statement for statement in body if not _is_text(statement)]
    return ast.dump(tree)


def _is_text(statement: ast.stmt) -> bool:
    """Return whether a statement is only a string: a docstring, or one below a constant."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
