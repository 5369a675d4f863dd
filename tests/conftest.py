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
os.environ |= {"PAIRED_ROOT": str(SCRATCH), "PAIRED_SLOTS": str(SCRATCH / "slots"), "MPLBACKEND": "agg"}


@pytest.fixture(scope="session")
def digits():
    """The digits' store, in the scratch project."""
    from lib.data.preparation import prepare

    return prepare("digits")


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Returns a function that sends the runs that follow to another folder."""

    def go(name):
        monkeypatch.setattr("lib.paths.EXECUTED", tmp_path / name)

    go("first")
    return go


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

    from lib.study.nested import merged

    def write(name="tiny", settings=None, **changes):
        content = TINY | {"variant": name} | changes | {"settings": merged(TINY["settings"], settings or {})}
        (SCRATCH / f"params/studies/{name}.yaml").write_text(yaml.safe_dump(content))
        return name

    return write


@pytest.fixture
def read_chapter(tmp_path, monkeypatch):
    """Run a chapter's cells in this process on invented runs, and return its prose and the names of what it saved."""
    import re
    from types import SimpleNamespace

    import jupytext
    import numpy as np

    from lib import files, paths
    from lib.report.chapter import Chapter

    for name in ("DATA", "EXECUTED", "REPORT"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    paths.DATA.mkdir()
    for dataset in ("cifar10", "cifar100", "fashion_mnist"):
        files.write_sealed(paths.DATA / f"{dataset}.json", {"digest": dataset})
    images = np.random.default_rng(0).integers(0, 255, (60, 28, 28, 1), np.uint8)
    monkeypatch.setattr("lib.data.store.open_store", lambda _: SimpleNamespace(test_images=images))

    def read(stem, study):
        prose, namespace = [], {}
        monkeypatch.setattr(Chapter, "markdown", lambda _, text: prose.append(text))
        for cell in jupytext.read(paths.NOTEBOOKS / f"{stem}.py").cells:
            if cell.cell_type == "code":
                exec(re.sub("^study_name = .*", f'study_name = "{study}"', cell.source), namespace)
        return "\n".join(prose), {path.name for path in (paths.REPORT / study).glob("*/*")}

    return read
