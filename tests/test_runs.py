"""What is on disk decides how a run stands; nothing else does."""

import contextlib
import json
import os
import platform
import shutil

import pytest

from lib import files, paths, runs
from lib.digests import code_digest, inputs_digest
from lib.params import load_study
from lib.plan import pending, time_left
from lib.runs import Kind


@pytest.fixture
def cell(monkeypatch, tmp_path):
    """A cell whose dataset is prepared and whose run was never started."""
    monkeypatch.setattr(paths, "EXECUTED", tmp_path / "executed")
    monkeypatch.setattr(paths, "DATA", tmp_path)
    (tmp_path / "digits.json").write_text(json.dumps({"digest": "content"}))
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
    (paths.DATA / "digits.json").write_text(json.dumps({"digest": "other"}))
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
    content = json.loads(path.read_text())
    del content["accumulation_steps"], content["working_seconds"]
    path.write_text(json.dumps(content))
    assert runs.state(cell).kind == Kind.DONE
    assert runs.read_record(cell).seconds == 90


def test_a_run_on_another_machine_is_running_as_long_as_it_gives_signs(cell):
    runs.write_status(cell, "running")
    status = runs.folder(cell) / "status.json"
    status.write_text(status.read_text().replace(platform.node(), "elsewhere"))
    assert runs.state(cell).kind == Kind.RUNNING
    os.utime(status, (0, 0))
    assert runs.state(cell).kind == Kind.INTERRUPTED
    runs.touch_status(cell)
    assert runs.state(cell).kind == Kind.RUNNING


def test_a_failed_run_keeps_its_reason(cell):
    runs.write_status(cell, "failed", "the loss became nan")
    assert runs.state(cell) == (Kind.FAILED, "the loss became nan")


def test_a_run_whose_process_lives_is_running_and_one_whose_process_is_gone_was_interrupted(cell):
    runs.write_status(cell, "running")
    assert runs.state(cell).kind == Kind.RUNNING
    status = runs.folder(cell) / "status.json"
    gone = os.fork()
    if not gone:
        os._exit(0)
    os.waitpid(gone, 0)
    status.write_text(status.read_text().replace(f'"pid": {os.getpid()}', f'"pid": {gone}'))
    assert runs.state(cell).kind == Kind.INTERRUPTED


def test_a_digest_ignores_the_variant_s_name_and_settings_at_their_default(cell):
    assert inputs_digest(cell, "content") == inputs_digest(cell.model_copy(update={"variant": "other"}), "content")
    patient = cell.settings.model_copy(update={"on_oom": "accumulate"})
    assert inputs_digest(cell.model_copy(update={"settings": patient}), "content") == inputs_digest(cell, "content")
    limited = cell.settings.model_copy(update={"max_steps_train": 3})
    assert inputs_digest(cell.model_copy(update={"settings": limited}), "content") != inputs_digest(cell, "content")


def test_a_comment_or_a_docstring_leaves_the_code_digest_and_a_number_changes_it(monkeypatch, tmp_path):
    copy = tmp_path / "lib"
    shutil.copytree(paths.LIB, copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = code_digest("pytorch")
    monkeypatch.setattr(paths, "LIB", copy)
    schedules = copy / "schedules.py"
    source = schedules.read_text()
    code_digest.cache_clear()
    text = source.replace('"""Return the learning rate', '# Why.\n    """Give the learning rate')
    assert text != source
    schedules.write_text(f'{text}\nNUMBER = 1\n"""What it is."""\n')
    with_text = code_digest("pytorch")
    schedules.write_text(f"{text}\nNUMBER = 1\n")
    code_digest.cache_clear()
    assert code_digest("pytorch") == with_text
    schedules.write_text(text)
    code_digest.cache_clear()
    assert code_digest("pytorch") == before
    code_digest.cache_clear()
    schedules.write_text(source.replace("/ 2", "/ 3"))
    assert code_digest("pytorch") != before
    code_digest.cache_clear()


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "record.json"
    files.write_text(path, "first")
    with contextlib.suppress(KeyboardInterrupt), files.replacing(path) as temporary:
        temporary.write_text("sec")
        raise KeyboardInterrupt
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]
