"""A clock that jumps, for every Python process below a sweep: it is ahead by the seconds in the file `FAULT_CLOCK`.

Python imports this module at its start where this folder is in `PYTHONPATH`.
"""

import os
import time
from pathlib import Path

real, jumped = time.time, Path(os.environ["FAULT_CLOCK"])


def jumping() -> float:
    """Return the time of the clock, which before its first jump is the real one."""
    return real() + (float(jumped.read_text() or 0) if jumped.exists() else 0.0)


time.time, time.time_ns = jumping, lambda: int(1e9 * jumping())
