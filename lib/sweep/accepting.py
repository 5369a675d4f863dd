"""Accept runs made by other code as equivalent: a signed exception, which the report shows."""

import getpass
import subprocess

from lib import paths
from lib.clock import now
from lib.errors import ParameterError
from lib.runs import acceptance, records
from lib.runs.state import claimed, state
from lib.runs.status import Kind
from lib.study.cells import Cell


def accept(cells: list[Cell], reason: str) -> None:
    """Accept those of the cells whose runs other code than today's made, and print them.

    Raises:
        ParameterError: no reason is given.
        RunIsHeld: a run is being made again.
    """
    if not reason.strip():
        raise ParameterError('why are the runs equivalent? make accept STUDY=… REASON="only a message changed"')
    by, when = _user(), now()
    other = [cell for cell in cells if state(cell).kind == Kind.OTHER_CODE]
    for cell in other:
        with claimed(cell):
            acceptance.write(cell, records.read_record(cell), by, when, " ".join(reason.split()))
        print(f"  {cell.name}  {state(cell).reason}")
    print(f"{len(other)} runs accepted; {len(cells) - len(other)} were not made by other code, or are accepted already")


def _user() -> str:
    """Return the user's name in git, or else that of the login."""
    command = ["git", "-C", str(paths.ROOT), "config", "user.name"]
    try:
        name = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        name = ""
    return name or getpass.getuser()
