"""Calls of pandoc, from the wheel that brings it, with the report's templates."""

import re
import subprocess
from pathlib import Path

import pypandoc

from lib import paths
from lib.errors import ChapterError

TEMPLATES = paths.LIB / "report" / "templates"
MARKDOWN = "--from=commonmark_x+autolink_bare_uris"


def pandoc(work: Path, *arguments: str) -> None:
    """Run pandoc in a folder; a warning is an error.

    Raises:
        ChapterError: pandoc's message.
    """
    command = [pypandoc.get_pandoc_path(), MARKDOWN, "--standalone", "--fail-if-warnings", *arguments]
    answer = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ChapterError(f"the report cannot be written: {answer.stderr.strip()}")


def escaped(text: str) -> str:
    """Return plain text as Markdown on one line, with every special character escaped."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))
