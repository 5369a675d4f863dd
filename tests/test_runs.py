"""What is on disk decides how a run stands; nothing else does."""

import contextlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from lib import files, paths
from lib.errors import ChapterError, DataError, TrainingError
from lib.runs import digests
from lib.runs import state as runs
from lib.runs.digests import code_digest, inputs_digest, refuse_edited_code
from lib.runs.state import Kind
from lib.study.params import load_study
from lib.sweep.plan import pending, time_left


@pytest.fixture
def cell(monkeypatch, tmp_path):
    """A cell whose dataset is prepared and whose run was never started."""
    monkeypatch.setattr(paths, "EXECUTED", tmp_path / "executed")
    monkeypatch.setattr(paths, "DATA", tmp_path)
    files.write_sealed(tmp_path / "digits.json", {"digest": "content"})
    return load_study("quickstart").cells[0]


def write_record(cell, **changes):
    runs.write_record(
        runs.Record(
            **{
                "run": cell.name,
                "cell": cell,
                "inputs_digest": inputs_digest(cell, "content"),
                "code_digest": code_digest(cell.framework),
                "environment": {"python": "3.11"},
                "started": "2026-01-01T00:00:00+00:00",
                "finished": "2026-01-01T00:01:30+00:00",
                "parameters": 1,
                "steps_per_epoch": 1,
                "accumulation_steps": 1,
                "epoch_best": 1,
                "acc_best": 0.5,
                "f1_best": 0.5,
                "test_accuracy": 0.5,
                "test_macro_f1": 0.5,
                "test_loss": 1.0,
                "test_images": 10,
                "skipped_steps": 0,
                "peak_memory_mb": None,
            }
            | changes
        )
    )


def test_a_run_without_a_folder_is_missing(cell):
    assert runs.state(cell) == (Kind.MISSING, "never run")


def test_a_run_with_its_record_is_done(cell):
    write_record(cell)
    assert runs.state(cell).kind == Kind.DONE


def test_the_time_left_is_the_mean_of_the_runs_of_the_same_kind_without_their_pauses(cell):
    study = load_study("quickstart")
    assert time_left(study, study.cells) == "how long is not known before a first record"
    first, second, third = (cell for cell in study.cells if cell.framework == "keras")
    write_record(first, working_seconds=60.0)
    write_record(second, working_seconds=80.0)
    assert time_left(study, [third]) == "about 1 min 10 s"
    assert time_left(study, [third, third]) == "about 2 min 20 s"
    assert time_left(study, study.cells) == "about 3 min 30 s, and 3 runs of a kind that has no record yet"


def test_a_changed_setting_makes_a_run_stale_and_is_named(cell):
    write_record(cell)
    changed = cell.model_copy(update={"settings": cell.settings.model_copy(update={"epochs": 9})})
    assert runs.state(changed) == (Kind.STALE, "changed: epochs 8 -> 9")


def test_changed_data_make_a_run_stale(cell):
    write_record(cell)
    files.write_sealed(paths.DATA / "digits.json", {"digest": "other"})
    assert runs.state(cell) == (Kind.STALE, "the dataset's content changed")


def test_a_run_made_by_other_code_is_shown_as_such_and_kept(cell):
    write_record(cell, code_digest="other")
    assert runs.state(cell).kind == Kind.OTHER_CODE
    assert runs.finished(cell, "content") is not None


def test_a_record_that_cannot_be_read_is_neither_done_nor_run_over(cell):
    write_record(cell)
    path = runs.folder(cell) / "record.json"
    path.write_text(path.read_text()[:-100])
    kind, reason = runs.state(cell)
    assert kind == Kind.UNREADABLE
    assert "remove it to run the cell again" in reason
    assert cell not in [cell for cell, _ in pending(load_study("quickstart"))]


def test_a_record_of_an_earlier_version_can_still_be_read(cell):
    write_record(cell)
    path = runs.folder(cell) / "record.json"
    content = files.read_sealed(path)
    del content["accumulation_steps"], content["working_seconds"], content["products"]
    files.write_sealed(path, content)
    assert runs.state(cell).kind == Kind.DONE
    assert runs.read_record(cell).seconds == 90


def test_a_run_on_another_machine_is_running_as_long_as_it_gives_signs(cell):
    runs.write_status(cell, "running")
    status = runs.folder(cell) / "status.json"
    status.write_text(status.read_text().replace(platform.node(), "elsewhere"))
    assert runs.state(cell).kind == Kind.RUNNING
    assert f"on elsewhere, as process {os.getpid()} (executed/{cell.name}/status.json)" in runs.state(cell).reason
    with pytest.raises(ChapterError, match=f"{cell.name} is running, since .* on elsewhere"), runs.claimed(cell):
        pass
    os.utime(status, (0, 0))
    assert runs.state(cell).kind == Kind.INTERRUPTED
    runs.touch_status(cell)
    assert runs.state(cell).kind == Kind.RUNNING


def test_a_failed_run_keeps_its_reason(cell):
    runs.write_status(cell, "failed", "the loss became nan")
    assert runs.state(cell) == (Kind.FAILED, "the loss became nan")


def test_a_run_that_a_process_holds_is_running_and_can_be_held_by_no_other(cell):
    with runs.claimed(cell):
        runs.write_status(cell, "running")
        assert runs.state(cell).kind == Kind.RUNNING
        with (
            pytest.raises(ChapterError, match=f"{cell.name} is running, since .*process {os.getpid()}"),
            runs.claimed(cell),
        ):
            pass
    assert runs.state(cell).kind == Kind.INTERRUPTED
    with runs.claimed(cell):
        pass


@pytest.mark.parametrize("pid", [1, 0, -1, 2**70, "a zombie"])
def test_a_process_id_that_now_belongs_to_another_process_or_to_none_keeps_no_run_running(cell, pid):
    runs.write_status(cell, "running")
    status = runs.folder(cell) / "status.json"
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        number = child.pid if pid == "a zombie" else pid
        status.write_text(status.read_text().replace(f'"pid": {os.getpid()}', f'"pid": {number}'))
        assert runs.state(cell).kind in (Kind.INTERRUPTED, Kind.MISSING)
        write_record(cell)
        assert runs.state(cell).kind == Kind.DONE


def test_a_product_is_the_file_that_the_record_names(cell):
    path = runs.folder(cell) / "epochs.csv"
    files.write_text(path, "epoch\n1\n")
    write_record(cell, products={"epochs.csv": files.sha256(path)})
    assert runs.product(cell, "epochs.csv") == path
    path.write_text("epoch\n2\n")
    with pytest.raises(DataError, match=r"epochs.csv is damaged: put back the file .* or remove record.json"):
        runs.product(cell, "epochs.csv")
    path.unlink()
    with pytest.raises(DataError, match="epochs.csv is gone"):
        runs.product(cell, "epochs.csv")


def test_a_digit_that_changed_in_a_record_is_seen(cell):
    write_record(cell)
    path = runs.folder(cell) / "record.json"
    path.write_text(path.read_text().replace('"test_accuracy": 0.5', '"test_accuracy": 0.6'))
    assert runs.state(cell).kind == Kind.UNREADABLE


def test_a_digest_ignores_the_variant_s_name_and_settings_at_their_default(cell):
    assert inputs_digest(cell, "content") == inputs_digest(cell.model_copy(update={"variant": "other"}), "content")
    patient = cell.settings.model_copy(update={"on_oom": "accumulate"})
    assert inputs_digest(cell.model_copy(update={"settings": patient}), "content") == inputs_digest(cell, "content")
    limited = cell.settings.model_copy(update={"max_steps_train": 3})
    assert inputs_digest(cell.model_copy(update={"settings": limited}), "content") != inputs_digest(cell, "content")


def test_a_comment_or_a_docstring_leaves_the_code_digest_and_a_number_changes_it(monkeypatch, tmp_path):
    copy = tmp_path / "lib"
    shutil.copytree(paths.LIB, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(paths, "LIB", copy)
    schedules = copy / "schedules.py"
    source = schedules.read_text()

    def digest(text):
        schedules.write_text(text)
        return digests.digest_of(digests.sources("pytorch"))

    before = digest(source)
    assert before == code_digest("pytorch")
    text = source.replace('"""Return the learning rate', '# Why.\n    """Give the learning rate')
    assert text != source
    assert digest(text) == before
    assert digest(f'{text}\nNUMBER = 1\n"""What it is."""\n') == digest(f"{text}\nNUMBER = 1\n") != before
    assert digest(source.replace("/ 2", "/ 3")) != before
    assert digest("def half(") != before


def test_code_that_was_edited_after_it_was_loaded_trains_nothing(monkeypatch, tmp_path):
    copy = tmp_path / "lib"
    shutil.copytree(paths.LIB, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(paths, "LIB", copy)
    with (copy / "training.py").open("a") as source:
        source.write("# a comment changes nothing\n")
    refuse_edited_code("pytorch")
    with (copy / "training.py").open("a") as source:
        source.write("NUMBER = 1\n")
    with pytest.raises(TrainingError, match="the code was edited after it had been loaded"):
        refuse_edited_code("pytorch")


def test_a_kernel_refuses_other_code_than_its_cell_found(monkeypatch):
    monkeypatch.setenv("PAIRED_CODE", code_digest("pytorch"))
    refuse_edited_code("pytorch")
    monkeypatch.setenv("PAIRED_CODE", "other")
    with pytest.raises(TrainingError, match="edited"):
        refuse_edited_code("pytorch")


def test_a_renamed_file_is_on_the_disk_before_it_is_renamed_and_its_folder_after(monkeypatch, tmp_path):
    synced = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    )
    files.write_text(tmp_path / "record.json", "content")
    assert synced == [str(tmp_path / ".record.json"), str(tmp_path)]


def test_what_a_killed_process_left_of_a_file_is_gone_after_the_next_one(tmp_path):
    with contextlib.suppress(ZeroDivisionError), files.replacing(tmp_path / "best.pt") as temporary:
        temporary.write_text("half")
        shutil.copy(temporary, tmp_path / "copy")
        raise ZeroDivisionError
    (tmp_path / "copy").rename(temporary)
    files.write_text(tmp_path / "best.pt", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "record.json"
    files.write_text(path, "first")
    with contextlib.suppress(KeyboardInterrupt), files.replacing(path) as temporary:
        temporary.write_text("sec")
        raise KeyboardInterrupt
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]
