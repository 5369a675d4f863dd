"""The chapters are pairs in step, without outputs, made of short cells, and the two training chapters are twins."""

import ast
import re
from pathlib import Path
from statistics import median

import jupytext
import nbformat
import pytest

from lib.study.datasets import DATASETS

PROJECT = Path(__file__).parents[1]
CHAPTERS = sorted((PROJECT / "notebooks").glob("*.py"))


def cells(notebook):
    return [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in notebook.cells]


def code(path):
    return [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_both_halves_are_in_step_and_the_notebook_has_no_outputs(path):
    notebook = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    assert cells(notebook) == cells(jupytext.read(path)), "run: make notebooks"
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)


def test_no_notebook_is_without_its_source():
    assert {path.stem for path in (PROJECT / "notebooks").glob("*.ipynb")} == {path.stem for path in CHAPTERS}


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_opens_with_a_question_has_short_cells_and_more_prose_than_code(path):
    notebook = jupytext.read(path)
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert "?" in first.source
    assert median(len(source.splitlines()) for source in code(path)) <= 8
    words = {
        kind: sum(len(cell.source.split()) for cell in notebook.cells if cell.cell_type == kind)
        for kind in ("markdown", "code")
    }
    assert words["markdown"] > 0.8 * words["code"]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_has_parameters_and_is_python(path):
    notebook = jupytext.read(path)
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert tagged[0].source.split('"')[1] in {path.stem for path in (PROJECT / "params/studies").glob("*.yaml")}
    ast.parse("\n".join(code(path)))


def test_the_two_training_chapters_differ_in_the_framework_s_name_alone():
    def neutral(framework):
        source = (PROJECT / f"notebooks/20_train_{framework}.py").read_text()
        source = re.sub(r"PyTorch's|Keras'", "FRAMEWORK's", source)
        source = re.sub(r"20_train_(keras|pytorch)", "20_train_TWIN", source)
        return sorted(re.sub("keras|pytorch", "framework", source, flags=re.IGNORECASE).splitlines())

    assert neutral("keras") == neutral("pytorch")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_refers_to_nothing_that_another_one_shows_unless_that_is_there(path):
    """A study may leave chapters out, and a reference to nothing stops the export."""
    source = path.read_text()
    for line in source.splitlines():
        for label in re.findall(r"\(#(?:tbl|fig)-(\w+)\)", line):
            assert f'"{label}"' in source or "in study.chapters" in line, label


def test_every_work_that_is_cited_has_an_entry_and_every_entry_is_cited():
    keys = re.findall(r"^@\w+\{(\w+),$", (PROJECT / "lib/report/templates/references.bib").read_text(), re.MULTILINE)
    cited = {key for path in CHAPTERS for key in re.findall(r"(?<=[\[ ])@([a-z]+\d{4}[a-z]*)", path.read_text())}
    assert len(keys) == len(set(keys))
    assert cited | {dataset.work for dataset in DATASETS.values()} == set(keys)
