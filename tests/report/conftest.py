import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

CHAPTERS = Path(__file__).parent / "chapters"
PROJECT = Path(__file__).parents[2]


def python(root, *arguments):
    """The answer of Python with these arguments for the project in a folder."""
    environment = os.environ | {"PAIRED_ROOT": str(root)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)


class Project:
    """A project in a folder of its own whose `quickstart` has two small chapters and no opening, used by commands."""

    def __init__(self, root):
        self.root = root
        shutil.copytree(PROJECT / "params", root / "params")
        shutil.copytree(PROJECT / "notebooks", root / "notebooks")
        for opening in (root / "notebooks").glob("00_*"):
            opening.unlink()
        for chapter in CHAPTERS.glob("*.py"):
            shutil.copy(chapter, root / "notebooks")
        path = root / "params" / "studies" / "quickstart.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"chapters": ["01_data", "30_results"]}))
        self.html, self.pdf = root / "report" / "quickstart.html", root / "report" / "quickstart.pdf"

    def python(self, *arguments):
        return python(self.root, *arguments)

    def report(self, *arguments):
        return self.python("-m", "lib.report", *arguments)


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("project"))
    answer = project.report("quickstart")
    assert answer.returncode == 0, answer.stderr
    return project


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The study `quickstart` with one chapter, and folders of its own for data, runs and report."""
    from lib import paths
    from lib.study.loading import load_study

    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    monkeypatch.setattr(paths, "EXECUTED", tmp_path / "executed")
    monkeypatch.setattr(paths, "REPORT", tmp_path / "report")
    return load_study("quickstart").model_copy(update={"chapters": ("01_data",)})


def executed(source, *outputs):
    """An executed code cell with these outputs."""
    return nbformat.v4.new_code_cell(source, execution_count=1, outputs=list(outputs))


def chapter_of(*cells):
    """A notebook that opens with its title; text stands for a Markdown cell."""
    cells = [nbformat.v4.new_markdown_cell(cell) if isinstance(cell, str) else cell for cell in ("# Title", *cells)]
    return nbformat.v4.new_notebook(cells=cells)
