"""The acceptance of a run that other code made: a person's word that today's code would make the same numbers."""

from pathlib import Path

from pydantic import ValidationError

from lib import files
from lib.errors import DataError
from lib.runs import records
from lib.runs.digests import code_digest
from lib.runs.records import Record
from lib.study.cells import Cell
from lib.study.strict import Strict


class Acceptance(Strict):
    """Who accepted a run, when and why; the code that made it, and the code that it is accepted for."""

    by: str
    when: str
    reason: str
    made_by: str
    accepted_for: str

    def __str__(self) -> str:
        """Return the acceptance in words."""
        return f"accepted by {self.by} on {self.when}: {self.reason}"


def write(cell: Cell, record: Record, by: str, when: str, reason: str) -> None:
    """Accept a run's record for the code of today, in a file beside it; the record stays as it is."""
    code = {"made_by": record.code_digest, "accepted_for": code_digest(cell)}
    files.write_sealed(path(cell), Acceptance(by=by, when=when, reason=reason, **code).model_dump())


def read(cell: Cell, record: Record) -> Acceptance | None:
    """Return the acceptance of this record for the code of today, or None where there is none, or it is damaged."""
    try:
        found = Acceptance(**files.read_sealed(path(cell)))
    except (OSError, DataError, ValidationError):
        return None
    return found if (found.made_by, found.accepted_for) == (record.code_digest, code_digest(cell)) else None


def path(cell: Cell) -> Path:
    """Return the path of a run's acceptance."""
    return records.folder(cell) / "accepted.json"
