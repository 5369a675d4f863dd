"""Call the user's command, `ON_END`, when a sweep ends or stalls."""

import os
import subprocess
from typing import Literal

from lib.sweep.watching import View

VARIABLE = "ON_END"
_SECONDS = 60

Outcome = Literal["done", "unfinished", "interrupted", "stalled"]


def notify(study: str, outcome: Outcome, view: View) -> None:
    """Call the command, where there is one, in a shell and for a minute at most; its failure is told.

    In its environment, `SWEEP_STUDY` is the study, `SWEEP_OUTCOME` the outcome, and `SWEEP_LINE` the sweep in one line.
    """
    command = os.environ.get(VARIABLE)
    if not command:
        return
    environment = os.environ | {"SWEEP_STUDY": study, "SWEEP_OUTCOME": outcome, "SWEEP_LINE": view.line}
    try:
        code = subprocess.run(command, shell=True, env=environment, timeout=_SECONDS, check=False).returncode
    except subprocess.TimeoutExpired:
        code = f"none after {_SECONDS} s"
    if code:
        print(f"{VARIABLE}: exit code {code}: {command}", flush=True)
