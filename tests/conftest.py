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
os.environ |= {"PAIRED_ROOT": str(SCRATCH), "MPLBACKEND": "agg"}


@pytest.fixture(scope="session")
def digits():
    """The digits' store, in the scratch project."""
    from lib.data.preparation import prepare

    return prepare("digits")


TINY = {
    "title": "Tiny",
    "description": "Two cells that train in seconds.",
    "frameworks": ["keras", "pytorch"],
    "datasets": ["digits"],
    "models": ["resnet20"],
    "precisions": ["fp32"],
    "seeds": [42],
    "variant": "tiny",
    "settings": {
        "epochs": 3,
        "batch_size": 32,
        "schedule": {"warmup_epochs": 1},
        "limits": {"train_samples": 96, "test_samples": 40},
    },
    "chapters": ["01_data", "30_results"],
}


@pytest.fixture(scope="session")
def tiny_study():
    """Returns a function that writes a variation of the tiny study into the scratch project."""
    import yaml

    from lib.study.settings import merged

    def write(name="tiny", settings=None, **changes):
        content = TINY | {"variant": name} | changes | {"settings": merged(TINY["settings"], settings or {})}
        (SCRATCH / f"params/studies/{name}.yaml").write_text(yaml.safe_dump(content))
        return name

    return write
