"""The commit of the project's code, as one text."""

import subprocess
from functools import cache

from lib import paths

_UNKNOWN = "unknown: the project is no git repository here"


@cache
def commit() -> str:
    """Return the commit of the code that runs, in full; the text says whether the tree has uncommitted changes."""
    sha = _git("rev-parse", "HEAD")
    if sha is None or _git("rev-parse", "--show-toplevel") != str(paths.LIB.parent.resolve()):
        return _UNKNOWN
    return f"{sha}, with uncommitted changes" if _git("status", "--porcelain") else sha


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(["git", *arguments], cwd=paths.LIB.parent, capture_output=True, text=True, check=False)
    except OSError:  # there is no git
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
