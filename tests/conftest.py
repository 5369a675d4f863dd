"""A scratch project for the whole session: `PAIRED_ROOT` points to it before anything of `lib` is imported."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
SCRATCH = Path(tempfile.mkdtemp(prefix="paired-seeds-"))
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)
for name in ("params", "notebooks"):
    shutil.copytree(PROJECT / name, SCRATCH / name)
shutil.copy(PROJECT / "Snakefile", SCRATCH)
os.environ |= {"PAIRED_ROOT": str(SCRATCH), "TF_CPP_MIN_LOG_LEVEL": "3", "MPLBACKEND": "agg"}


@pytest.fixture(scope="session")
def digits():
    """The digits' store, in the scratch project."""
    from lib.data.store import prepare

    return prepare("digits")
