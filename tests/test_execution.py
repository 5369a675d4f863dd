"""A notebook that failed says so: real papermill, real kernels."""

import subprocess
import sys
import tempfile
import time

import nbformat
import psutil
import pytest

from lib.errors import ChapterError
from lib.execution import execute, mark

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


def test_a_kernel_is_given_its_environment(chapter, tmp_path):
    source = chapter("import os\nassert os.environ['PAIRED_CODE'] == 'digest'")
    execute(source, tmp_path / "out.ipynb", {}, environment={"PAIRED_CODE": "digest"})


def test_a_killed_kernel_leaves_no_temporary_files(chapter, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    source = chapter("import tempfile\ntempfile.mkstemp()\nprint(tempfile.gettempdir())")
    with (tmp_path / "console.log").open("w+") as console:
        execute(source, tmp_path / "out.ipynb", {}, console)
        console.seek(0)
        assert console.read().splitlines()[-1].startswith(str(tmp_path / "tmp"))
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("own", [None, "/somewhere"])
def test_what_is_compiled_outlives_the_kernel(chapter, tmp_path, monkeypatch, own):
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    if own:
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", own)
    source = chapter("import os\nprint(os.environ['TORCHINDUCTOR_CACHE_DIR'], os.environ['TMPDIR'])")
    with (tmp_path / "console.log").open("w+") as console:
        execute(source, tmp_path / "out.ipynb", {}, console)
        console.seek(0)
        place, temporary = console.read().splitlines()[-1].split()
    assert place == own if own else not place.startswith(temporary)


def test_an_error_of_ours_is_told_in_its_own_words(chapter, tmp_path):
    source = chapter("from lib.errors import DataError\nraise DataError('digits: no such file')")
    with pytest.raises(ChapterError, match=r"^chapter.py: digits: no such file$"):
        execute(source, tmp_path / "out.ipynb", {})


def test_any_other_error_is_told_with_its_name(chapter, tmp_path):
    with pytest.raises(ChapterError, match=r"^chapter.py: ZeroDivisionError: division by zero$"):
        execute(chapter("1 / 0"), tmp_path / "out.ipynb", {})


NO_ROOM = "get_ipython().showtraceback = lambda *_, **__: print('MemoryError')\n1 / 0"
"""As IPython does when there is no memory left to show an error in."""


@pytest.mark.parametrize(
    ("last", "told"),
    [("raise MemoryError", "out of memory"), (NO_ROOM, "out of memory"), ("assert False", "AssertionError")],
)
def test_an_error_without_words_has_its_name(chapter, tmp_path, last, told):
    with pytest.raises(ChapterError, match=rf"^chapter.py: {told}$"):
        execute(chapter(last), tmp_path / "out.ipynb", {})


def test_a_kernel_that_dies_before_it_answers_is_one_error(chapter, tmp_path, monkeypatch):
    """As a kernel does that is not given the memory to start."""
    monkeypatch.setattr("lib.execution.bound", lambda command, ending: [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(ChapterError, match=r"^chapter.py: the kernel died \(with exit code 3\)"):
        execute(chapter(), tmp_path / "out.ipynb", {})


def test_a_kernel_does_not_outlive_the_process_that_started_it(chapter, tmp_path):
    """Killed by SIGKILL, which leaves that process no time to end its kernel."""
    mark = tmp_path / "kernel"
    lines = ("import os, pathlib, time", f"pathlib.Path({str(mark)!r}).write_text(str(os.getpid()))", "time.sleep(600)")
    source = chapter("\n".join(lines))
    code = "import pathlib, sys; from lib.execution import execute; execute(*map(pathlib.Path, sys.argv[1:]), {})"
    with subprocess.Popen([sys.executable, "-c", code, str(source), str(tmp_path / "out.ipynb")]) as process:
        while process.poll() is None and not (mark.exists() and mark.read_text()):
            time.sleep(0.05)
        process.kill()
    for _ in range(50):
        try:
            if psutil.Process(int(mark.read_text())).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.1)
    pytest.fail("the kernel is still there")


KILLED = "\nos.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize(
    "counter", ["low 0\noom_kill {}\noom_group_kill 0\n", "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"]
)
def test_a_kernel_that_the_system_killed_for_want_of_memory_is_told_so(chapter, tmp_path, monkeypatch, counter):
    """The system's counter rises, as it does then; a file without the count, or none, is passed over."""
    events, empty = tmp_path / "events", tmp_path / "empty"
    events.write_text(counter.format(7))
    empty.write_text("low 0\n")
    monkeypatch.setattr("lib.processes._KILL_COUNTERS", (tmp_path / "absent", empty, events))
    kill = f"import os, pathlib, signal\npathlib.Path({str(events)!r}).write_text({counter.format(8)!r}){KILLED}"
    with pytest.raises(ChapterError, match=r"the kernel died \(the system killed it, out of memory\)") as caught:
        execute(chapter(kill), tmp_path / "out.ipynb", {})
    assert caught.value.cause == "MemoryError"


@pytest.mark.parametrize(
    ("last", "cause"),
    [("1 / 0", "ZeroDivisionError"), ("from lib.errors import NonFinite\nraise NonFinite('nan')", "NonFinite")],
)
def test_the_error_that_ended_a_notebook_is_known_by_its_name(chapter, tmp_path, last, cause):
    with pytest.raises(ChapterError) as caught:
        execute(chapter(last), tmp_path / "out.ipynb", {})
    assert caught.value.cause == cause


def test_a_notebook_is_marked_with_the_end_of_its_run(chapter, tmp_path):
    target = tmp_path / "out.ipynb"
    with pytest.raises(ChapterError):
        execute(chapter("1 / 0"), target, {})
    mark(target, "failed", "division by zero")
    content = nbformat.read(target, 4)
    nbformat.validate(content)
    assert content.metadata.paired_seeds == {"state": "failed", "error": "division by zero"}
    assert content.cells[-1].source == "**This run has no result: failed.** division by zero"
    target.write_text('{"cells')
    mark(target, "failed", "division by zero")
    mark(tmp_path / "absent.ipynb", "failed", "division by zero")
    assert target.read_text() == '{"cells'
    assert not (tmp_path / "absent.ipynb").exists()


def test_a_killed_kernel_leaves_a_notebook_that_says_so(chapter, tmp_path):
    target = tmp_path / "out.ipynb"
    with pytest.raises(ChapterError, match=r"the kernel died \(killed by SIGKILL\)") as caught:
        execute(chapter(f"import os, signal{KILLED}"), target, {})
    assert caught.value.cause == "SIGKILL"
    killed = [cell for cell in nbformat.read(target, 4).cells if cell.metadata.papermill.get("exception")]
    assert [cell.metadata.papermill.status for cell in killed] == ["failed"]
    assert "SIGKILL" in killed[0].source
