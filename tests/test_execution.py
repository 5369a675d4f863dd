"""A notebook that failed says so: real papermill, real kernels."""

import nbformat
import pytest

from lib.errors import ChapterError
from lib.execution import execute

CHAPTER = """
# %% tags=["parameters"]
word = "nothing"

# %%
print("the word is", word)

# %%
{last}
"""


@pytest.fixture
def chapter(tmp_path):
    def write(last="word"):
        path = tmp_path / "chapter.py"
        path.write_text(CHAPTER.lstrip().format(last=last))
        return path

    return write


def test_parameters_keep_their_type_and_what_is_printed_reaches_the_console(chapter, tmp_path):
    target, console = tmp_path / "out.ipynb", tmp_path / "console.log"
    with console.open("w") as stream:
        execute(chapter("assert word == '1e-3'"), target, {"word": "1e-3"}, stream)
    assert console.read_text() == "the word is 1e-3\n"
    assert all(cell.execution_count for cell in nbformat.read(target, 4).cells if cell.cell_type == "code")


def test_an_error_of_ours_is_told_in_its_own_words(chapter, tmp_path):
    source = chapter("from lib.errors import DataError\nraise DataError('digits: no such file')")
    with pytest.raises(ChapterError, match=r"^chapter.py: digits: no such file$"):
        execute(source, tmp_path / "out.ipynb", {})


def test_any_other_error_is_told_with_its_name(chapter, tmp_path):
    with pytest.raises(ChapterError, match=r"^chapter.py: ZeroDivisionError: division by zero$"):
        execute(chapter("1 / 0"), tmp_path / "out.ipynb", {})


def test_a_killed_kernel_leaves_a_notebook_that_says_so(chapter, tmp_path):
    target = tmp_path / "out.ipynb"
    with pytest.raises(ChapterError, match="the kernel died"):
        execute(chapter("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"), target, {})
    killed = [cell for cell in nbformat.read(target, 4).cells if cell.metadata.papermill.get("exception")]
    assert [cell.metadata.papermill.status for cell in killed] == ["failed"]
    assert "SIGKILL" in killed[0].source
