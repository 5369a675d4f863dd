"""A store that runs train on is not replaced, and no run begins on one that is being replaced."""

import subprocess
import sys

import pytest

from lib import paths
from lib.data.__main__ import main
from lib.data.preparation import prepare
from lib.data.store import open_store
from lib.data.use import replaced, used
from lib.errors import DataError

HOLD = "import time; from lib.data.use import used\nwith used('digits'): print('held', flush=True); time.sleep(60)"


@pytest.fixture
def store(project, tmp_path, monkeypatch):
    """The digits' store, prepared."""
    monkeypatch.setattr(paths, "EXECUTED", tmp_path / "executed")
    return prepare("digits")


def damage():
    path = paths.DATA / "digits_test_labels.npy"
    path.write_bytes(path.read_bytes()[:-8])


def test_a_store_in_use_is_not_replaced_and_is_again_afterwards(store, monkeypatch, capsys):
    damage()
    monkeypatch.setattr("sys.argv", ["data", "digits"])
    with used("digits"), used("digits"):
        with pytest.raises(SystemExit, match="error: data/digits is in use by a run or a sweep and is not replaced: "):
            main()
        assert (paths.DATA / "digits_train_images.npy").exists()
    prepare("digits")
    assert open_store("digits").digest == store.digest


def test_a_good_store_is_confirmed_while_it_is_in_use(store, capsys):
    with used("digits"):
        prepare("digits")
    assert capsys.readouterr().out.endswith("data/digits: ready\n")


def test_no_run_begins_on_a_store_that_is_being_replaced(store):
    with (
        replaced("digits"),
        pytest.raises(DataError, match="data/digits is being replaced: wait for its `make data`"),
        used("digits"),
    ):
        pass


def test_a_killed_process_lets_go_of_its_store(store, monkeypatch):
    monkeypatch.setenv("PAIRED_ROOT", str(paths.EXECUTED.parent))
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(DataError, match="is in use"), replaced("digits"):
            pass
        process.kill()
        process.wait()
    with replaced("digits"):
        pass
