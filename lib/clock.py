"""Times and lengths of time, as text."""

import time
from datetime import UTC, datetime


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    # Not `datetime.now`: the tests make the clock jump, and replace `time.time`.
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")


def duration(seconds: float) -> str:
    """Return a length of time in the two units a reader would use: `48 s`, `12 min 5 s`, `3 h 20 min`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
