"""What is on disk decides how a run stands; nothing else does."""

import contextlib
import dataclasses
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lib import files, imports, paths
from lib.errors import ChapterError, DataError, ParameterError, TrainingError
from lib.report.build import title_block
from lib.runs import acceptance, digests, estimates, log, logits, records, status
from lib.runs import state as runs
from lib.runs.digests import code_digest, inputs_digest, refuse_edited_code
from lib.runs.records import Record
from lib.runs.status import Kind
from lib.study.kinds import AdamW, Constant
from lib.study.loading import load_study
from lib.study.models import MODELS
from lib.study.settings import Regularisation, Tracking
from lib.sweep import plan
from lib.sweep.accepting import _user, accept


@pytest.fixture
def cell(monkeypatch, tmp_path):
    """A cell whose dataset is prepared and whose run was never started."""
    monkeypatch.setattr(paths, "EXECUTED", tmp_path / "executed")
    monkeypatch.setattr(paths, "DATA", tmp_path)
    files.write_sealed(tmp_path / "digits.json", {"digest": "content"})
    return load_study("quickstart").cells[0]


def write_record(cell, **changes):
    records.write_record(
        Record(
            **{
                "run": cell.name,
                "cell": cell,
                "inputs_digest": inputs_digest(cell, "content"),
                "code_digest": code_digest(cell),
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


def pending(**choice):
    """The cells of the quick start that a sweep would run."""
    return [cell for cell, _ in runs.pending(runs.states(load_study("quickstart").cells), runs.Choice(**choice))]


def with_settings(cell, **settings):
    return cell.model_copy(update={"settings": cell.settings.model_copy(update=settings)})


def test_a_whole_record_of_another_version_is_stale_and_not_unreadable(cell):
    files.write_sealed(records.folder(cell) / "record.json", {"run": cell.name, "field": "of another version"})
    assert runs.state(cell) == (Kind.STALE, "its record was written by another version of this project")
    assert cell in pending()


def test_a_run_from_another_default_is_stale(cell):
    """The digest leaves defaults out, so it alone would not tell."""
    before = with_settings(cell, regularisation=Regularisation(label_smoothing=0.1))
    write_record(before, inputs_digest=inputs_digest(cell, "content"))
    kind, reason = runs.state(cell)
    assert (kind, reason) == (Kind.STALE, "changed: regularisation.label_smoothing 0.1 -> 0.0")


def test_the_number_of_workers_makes_no_run_stale(cell):
    write_record(with_settings(cell, num_workers=0))
    assert runs.state(cell).kind == Kind.DONE
    assert inputs_digest(cell, "x") == inputs_digest(with_settings(cell, num_workers=0), "x")


def test_a_run_without_a_folder_is_missing(cell):
    assert runs.state(cell) == (Kind.MISSING, "never run")


def test_a_run_with_its_record_is_done(cell):
    write_record(cell)
    assert runs.state(cell).kind == Kind.DONE


def test_the_time_left_is_the_mean_of_the_runs_of_the_same_kind_without_their_pauses(cell):
    study = load_study("quickstart")
    unknown = "how long is not known before a first record; make plan measures a few steps"
    assert str(plan.times(study, study.cells)) == unknown
    first, second, third = (cell for cell in study.cells if cell.framework == "keras")
    write_record(first, working_seconds=60.0)
    write_record(second, working_seconds=80.0)
    assert str(plan.times(study, [third])) == "about 1 min 10 s"
    assert str(plan.times(study, [third, first])) == "about 2 min 20 s"
    assert str(plan.times(study, study.cells)) == "about 3 min 30 s, and 3 runs of a kind that has no record yet"


def test_a_kind_without_a_record_takes_the_estimate_times_what_others_took_against_theirs(cell):
    study = load_study("quickstart")
    keras, pytorch = ([one for one in study.cells if one.framework == name] for name in ("keras", "pytorch"))
    estimates.write({cell.name: 100.0 for cell in study.cells})
    assert str(plan.times(study, [pytorch[0]])) == "about 1 min 40 s, 1 of the runs by timed steps alone"
    write_record(keras[0], working_seconds=150.0)
    assert plan.times(study, [keras[1], pytorch[0]]) == ({keras[1].name: 150.0, pytorch[0].name: 150.0}, 2, 1, True)
    write_record(pytorch[1], working_seconds=80.0)
    assert plan.times(study, [pytorch[0]]).seconds == {pytorch[0].name: 80.0}
    (paths.EXECUTED / ".estimates.json").write_text("{")
    assert estimates.read() == {}


def test_a_changed_setting_makes_a_run_stale_and_is_named(cell):
    write_record(cell)
    sgd = cell.settings.optimizer
    changed = with_settings(cell, epochs=9, num_workers=0)
    assert runs.state(changed) == (Kind.STALE, "changed: epochs 8 -> 9")
    changed = with_settings(cell, optimizer=sgd.model_copy(update={"weight_decay": 0.0}))
    assert runs.state(changed) == (Kind.STALE, "changed: optimizer.weight_decay 0.0001 -> 0.0")
    changed = with_settings(cell, schedule=Constant(name="constant"))
    reason = "changed: schedule.name cosine -> constant, schedule.warmup_epochs 1 -> absent"
    assert runs.state(changed) == (Kind.STALE, reason)


def test_changed_data_make_a_run_stale(cell):
    write_record(cell)
    files.write_sealed(paths.DATA / "digits.json", {"digest": "other"})
    assert runs.state(cell) == (Kind.STALE, "the dataset's content changed")


def test_a_run_made_by_other_code_is_shown_as_such_and_kept(cell):
    write_record(cell, code_digest="other")
    assert runs.state(cell).kind == Kind.OTHER_CODE
    assert records.matching_record(cell, "content") is not None


def test_the_results_of_some_seeds_are_those_alone(cell):
    write_record(cell)
    study = load_study("quickstart")
    found = {seed: [entry.cell for entry, _ in records.finished(study, [seed])] for seed in study.seeds}
    assert found == {42: [cell], 123: [], 456: []}


def test_an_accepted_run_is_done_for_the_code_that_it_was_accepted_for_and_no_other(cell, monkeypatch, capsys):
    write_record(cell, code_digest="other")
    kept = (records.folder(cell) / "record.json").read_bytes()
    monkeypatch.setattr("lib.sweep.accepting.now", lambda: "2026-02-01T00:00:00+00:00")
    monkeypatch.setattr("lib.sweep.accepting._user", lambda: "A. Person")
    accept(list(load_study("quickstart").cells), "only a  message\nchanged")
    assert "1 runs accepted; 5 were not made by other code" in capsys.readouterr().out
    told = "made by other code than today's, accepted by A. Person on 2026-02-01T00:00:00+00:00: only a message changed"
    assert runs.state(cell) == (Kind.ACCEPTED, told)
    assert cell not in pending(rerun="code")
    assert [entry.cell for entry, _ in records.finished(load_study("quickstart"))] == [cell]
    assert told in title_block(load_study("quickstart"))["problems"].replace("\\", "")
    assert (records.folder(cell) / "record.json").read_bytes() == kept
    with monkeypatch.context() as patch:
        patch.setattr("lib.runs.acceptance.code_digest", lambda cell: "a third")
        assert runs.state(cell).kind == Kind.OTHER_CODE
    path = acceptance.path(cell)
    path.write_text(path.read_text().replace("A. Person", "B. Person"))
    assert runs.state(cell).kind == Kind.OTHER_CODE
    accept([cell], "again")
    write_record(cell, code_digest="yet another")
    assert runs.state(cell).kind == Kind.OTHER_CODE
    write_record(cell)
    runs.tidy(cell)
    assert not path.exists()


def test_an_acceptance_needs_a_reason_and_has_a_name(cell):
    with pytest.raises(ParameterError, match="why are the runs equivalent"):
        accept([cell], " ")
    assert _user()


def test_a_record_that_cannot_be_read_is_neither_done_nor_run_over(cell):
    write_record(cell)
    path = records.folder(cell) / "record.json"
    path.write_text(path.read_text()[:-100])
    kind, reason = runs.state(cell)
    assert kind == Kind.UNREADABLE
    assert "remove it to run the cell again" in reason
    assert cell not in pending()


@pytest.mark.parametrize("damage", [lambda path: path.write_text("epoch\n2"), Path.unlink])
def test_a_product_that_was_changed_or_removed_is_told_and_the_run_is_not_called_done(cell, damage):
    path = records.folder(cell) / "epochs.csv"
    path.parent.mkdir(parents=True)
    path.write_text("epoch\n1")
    write_record(cell, products={"epochs.csv": files.sha256(path)})
    path.touch()
    assert runs.state(cell).kind == Kind.DONE
    damage(path)
    why = "put back the file that the run left, or remove record.json to run the cell again"
    assert runs.state(cell) == (Kind.UNREADABLE, f"epochs.csv is damaged or gone; {why}")
    assert cell not in pending()
    (path.parent / "record.json").unlink()
    assert cell in pending()


def test_a_finished_run_needs_no_weights_but_those_that_it_has_must_be_whole(cell):
    path = records.folder(cell) / "best.pt"
    files.write_text(path, "weights")
    write_record(cell, products={"best.pt": files.sha256(path)})
    path.write_text("others")
    assert runs.state(cell).kind == Kind.UNREADABLE
    path.unlink()
    assert runs.state(cell).kind == Kind.DONE


def test_a_record_of_an_earlier_version_can_still_be_read(cell):
    write_record(cell)
    path = records.folder(cell) / "record.json"
    content = files.read_sealed(path)
    del content["accumulation_steps"], content["working_seconds"], content["products"]
    files.write_sealed(path, content)
    assert runs.state(cell).kind == Kind.DONE
    assert records.read_record(cell).seconds == 90


def test_a_run_on_another_machine_is_running_as_long_as_it_gives_signs(cell):
    status.write(cell, Kind.RUNNING)
    file = status.path(cell)
    file.write_text(file.read_text().replace(platform.node(), "elsewhere"))
    assert runs.state(cell).kind == Kind.RUNNING
    assert f"on elsewhere, as process {os.getpid()} (executed/{cell.name}/status.json)" in runs.state(cell).reason
    with pytest.raises(ChapterError, match=f"{cell.name} is running, since .* on elsewhere"), runs.claimed(cell):
        pass
    os.utime(file, (0, 0))
    assert runs.state(cell).kind == Kind.INTERRUPTED
    status.touch(cell)
    assert runs.state(cell).kind == Kind.RUNNING


def test_a_run_that_fails_three_times_in_a_row_is_not_tried_again_by_itself(cell, monkeypatch):
    def fail():
        status.write(cell, Kind.RUNNING)
        status.write(cell, Kind.NOT_FINITE, "the loss became nan")

    fail()
    fail()
    status.write(cell, Kind.RUNNING)
    status.write(cell, Kind.INTERRUPTED)
    fail()
    fail()
    assert cell in pending()
    fail()
    reason = "the loss became nan; failed 3 times in a row: RETRY_FAILED=1 tries it again"
    assert runs.state(cell) == (Kind.NOT_FINITE, reason)
    assert cell not in pending()
    assert cell in pending(retry=True)
    status.write(cell, Kind.RUNNING)  # RETRY_FAILED=1, killed
    assert cell in pending()
    fail()
    assert cell not in pending()
    for change in ({"max_hours": 2.0}, {"on_oom": "accumulate"}):
        assert runs.pending([(with_settings(cell, **change), runs.state(cell))]), "another setting may help"
    files.write_sealed(paths.DATA / "digits.json", {"digest": "other"})
    assert cell in pending()
    fail()
    assert cell in pending()


def test_a_status_keeps_the_last_lines_of_the_console(cell):
    status.write(cell, Kind.RUNNING)
    status.console(cell).write_text("".join(f"line {number}\n" for number in range(30)))
    status.write(cell, Kind.FAILED, "no")
    assert status.read(cell).last_lines == [f"line {number}" for number in range(20, 30)]


def test_a_failed_run_keeps_its_reason(cell):
    status.write(cell, Kind.FAILED, "the loss became nan")
    assert runs.state(cell) == (Kind.FAILED, "the loss became nan")


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        (Kind.FAILED, "failed: the loss became nan"),
        (Kind.NOT_FINITE, "failed, not finite: the loss became nan"),
        (Kind.INTERRUPTED, "was interrupted"),
    ],
)
def test_a_rerun_that_did_not_finish_keeps_the_result_and_is_named(cell, ending, told):
    write_record(cell, code_digest="other")
    status.write(cell, ending, "" if ending == Kind.INTERRUPTED else "the loss became nan")
    reason = f"made by other code than today's; the new training {told}"
    for _ in range(2):
        assert runs.state(cell) == (Kind.OTHER_CODE, reason)
        assert [entry.cell for entry, _ in records.finished(load_study("quickstart"))] == [cell]
        runs.tidy(cell)
    write_record(cell)
    runs.tidy(cell)
    assert not (records.folder(cell) / "status.json").exists()


def test_the_status_of_the_training_that_made_a_record_says_nothing_of_a_later_one(cell):
    """As a process leaves it that was killed after its record was written; the code was edited since."""
    status.write(cell, Kind.RUNNING)
    write_record(cell, code_digest="other", finished="2999-01-01T00:00:00+00:00")
    assert runs.state(cell) == (Kind.OTHER_CODE, "made by other code than today's")


def test_a_run_that_a_process_holds_is_running_and_can_be_held_by_no_other(cell):
    with runs.claimed(cell):
        status.write(cell, Kind.RUNNING)
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
    status.write(cell, Kind.RUNNING)
    file = status.path(cell)
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        number = child.pid if pid == "a zombie" else pid
        file.write_text(file.read_text().replace(f'"pid": {os.getpid()}', f'"pid": {number}'))
        assert runs.state(cell).kind in (Kind.INTERRUPTED, Kind.MISSING)
        write_record(cell)
        assert runs.state(cell).kind == Kind.DONE


def test_a_product_is_the_file_that_the_record_names(cell):
    path = records.folder(cell) / "epochs.csv"
    files.write_text(path, "epoch\n1\n")
    write_record(cell, products={"epochs.csv": files.sha256(path)})
    assert records.product(cell, "epochs.csv") == path
    path.write_text("epoch\n2\n")
    with pytest.raises(DataError, match=r"epochs.csv is damaged: put back the file .* or remove record.json"):
        records.product(cell, "epochs.csv")
    path.unlink()
    with pytest.raises(DataError, match="epochs.csv is gone"):
        records.product(cell, "epochs.csv")


def test_a_digit_that_changed_in_a_record_is_seen(cell):
    write_record(cell)
    path = records.folder(cell) / "record.json"
    path.write_text(path.read_text().replace('"test_accuracy": 0.5', '"test_accuracy": 0.6'))
    assert runs.state(cell).kind == Kind.UNREADABLE


def test_a_digest_ignores_names_and_settings_at_their_default(cell):
    digest = inputs_digest(cell, "content")
    assert inputs_digest(cell.model_copy(update={"variant": "other", "arm": "some"}), "content") == digest
    assert inputs_digest(with_settings(cell, on_oom="accumulate"), "content") == digest
    assert inputs_digest(with_settings(cell, tracking=Tracking(tensorboard=True)), "content") == digest
    for group, departure in {
        "limits": {"max_steps_train": 3},
        "pairing": {"shared": True},
        "regularisation": {"label_smoothing": 0.1},
        "optimizer": {"momentum": 0.0, "nesterov": False},
    }.items():
        changed = getattr(cell.settings, group).model_copy(update=departure)
        assert inputs_digest(with_settings(cell, **{group: changed}), "content") != digest


def test_the_names_of_optimizer_and_schedule_are_part_of_the_inputs(cell, monkeypatch):
    seen = []
    monkeypatch.setattr(digests.json, "dumps", lambda content, **_: seen.append(content[0]["settings"]) or "")
    inputs_digest(with_settings(cell, optimizer=AdamW(name="adamw", learning_rate=0.001)), "content")
    assert seen[0]["optimizer"] == {"name": "adamw", "learning_rate": 0.001}
    assert seen[0]["schedule"] == {"name": "cosine", "warmup_epochs": 1}
    assert not {"regularisation", "pairing", "limits", "network", "on_oom"} & seen[0].keys()


@pytest.fixture
def library(monkeypatch, tmp_path):
    """A copy of `lib` that may be edited."""
    copy = tmp_path / "lib"
    shutil.copytree(paths.LIB, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(paths, "LIB", copy)
    return copy


def code_digests():
    """The code digest of each model in each of its frameworks, from what is on disk."""
    sources = digests.sources()
    found = [(framework, model.name) for model in MODELS.values() for framework in model.frameworks]
    return {one: digests.digest_of(digests.code(*one, sources)) for one in found}


def test_a_comment_or_a_docstring_leaves_the_code_digest_and_a_number_changes_it(cell, library):
    schedules = library / "training/schedules.py"
    source = schedules.read_text()

    def digest(text):
        schedules.write_text(text)
        return code_digests()[cell.framework, cell.model]

    before = digest(source)
    assert before == code_digest(cell)
    text = source.replace('    """Return', '    # Why.\n    """Give')
    assert text != source
    assert digest(text) == before
    assert digest(f'{text}\nNUMBER = 1\n"""What it is."""\n') == digest(f"{text}\nNUMBER = 1\n") != before
    assert digest(source.replace("/ 2", "/ 3")) != before
    assert digest("def half(") != before


BOTH, KERAS, PYTORCH = {"keras", "pytorch"}, {"keras"}, {"pytorch"}


@pytest.mark.parametrize(
    ("file", "frameworks"),
    [
        *((f"training/{name}.py", BOTH) for name in ("protocol", "resume", "metrics", "seeds", "schedules", "learner")),
        ("training/first_weights.py", BOTH),
        *((f"data/{name}.py", BOTH) for name in ("store", "stream", "contents", "layout")),
        *((f"study/{name}.py", BOTH) for name in ("conventions", "twins")),
        *(
            (f"keras/{name}.py", KERAS)
            for name in ("__init__", "learner", "data", "kernels", "normalization", "weights")
        ),
        *((f"pytorch/{name}.py", PYTORCH) for name in ("learner", "data", "kernels", "normalization")),
        *((f"data/{name}.py", set()) for name in ("__main__", "preparation", "sources", "formats/cifar", "checks")),
        *((f"{framework}/probe.py", set()) for framework in ("keras", "pytorch")),
        ("parity/ladder.py", set()),
        ("bench/cost.py", set()),
        ("figures/style.py", set()),
        ("analysis/results.py", set()),
        ("sweep/plan.py", set()),
        ("report/chapter.py", set()),
        ("report/freshness.py", set()),
        ("doctor/checks.py", set()),
        ("runs/state.py", set()),
        ("study/models.py", set()),
        *((f"study/{name}.py", set()) for name in ("settings", "kinds")),
        ("files.py", set()),
    ],
)
def test_an_edit_changes_the_code_of_the_runs_whose_numbers_it_can_change(library, file, frameworks):
    before = code_digests()
    with (library / file).open("a") as source:
        source.write("NUMBER = 1\n")
    after = code_digests()
    assert {one for one in before if before[one] != after[one]} == {one for one in before if one[0] in frameworks}


FAMILIES = sorted({model.family for model in MODELS.values()})


def builds_on(family):
    """The models of a family, and those of the families whose networks are made of its parts."""
    files = {model.family: paths.LIB / f"pytorch/networks/{model.family}.py" for model in MODELS.values()}
    users = {other for other, file in files.items() if f"networks.{family} import" in file.read_text()}
    return {name for name, model in MODELS.items() if model.family in {family, *users}}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("room", ["keras", "pytorch", "study"])
def test_a_family_s_file_concerns_the_models_that_build_on_it_alone(library, room, family):
    before, file = code_digests(), library / room / "networks" / f"{family}.py"
    own = builds_on(family) if file.exists() else {name for name, model in MODELS.items() if model.family == family}
    with file.open("a") as source:
        source.write("NUMBER = 1\n")
    after = code_digests()
    changed = {one for one in before if before[one] != after[one]}
    assert changed == {one for one in before if one[1] in own and room in (one[0], "study")}


def test_a_new_family_and_a_new_model_concern_no_run(library, monkeypatch):
    before = code_digests()
    for room in ("keras", "pytorch", "study"):
        (library / room / "networks" / "new.py").write_text("NUMBER = 1\n")
    monkeypatch.setitem(MODELS, "new", dataclasses.replace(MODELS["resnet50"], name="new", family="new"))
    after = code_digests()
    assert {one: after[one] for one in before} == before
    assert after.keys() - before.keys() == {("keras", "new"), ("pytorch", "new")}


def test_the_arguments_in_a_model_s_row_are_code(monkeypatch):
    before = code_digests()
    monkeypatch.setitem(MODELS, "resnet20", dataclasses.replace(MODELS["resnet20"], arguments={"depth": 26}))
    after = code_digests()
    assert {model for (_, model), digest in before.items() if after[_, model] != digest} == {"resnet20"}


def test_a_training_notebook_is_code_of_its_framework(monkeypatch, tmp_path):
    before = code_digests()
    shutil.copytree(paths.NOTEBOOKS, tmp_path / "notebooks")
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path / "notebooks")
    with (paths.NOTEBOOKS / "20_train_keras.py").open("a") as source:
        source.write("number = 1\n")
    after = code_digests()
    assert {one[0] for one in before if before[one] != after[one]} == {"keras"}


def test_the_closure_follows_imports_wherever_they_stand_and_takes_the_packages_with_it():
    sources = {
        "lib": b"",
        "lib.room": b"import lib.base",
        "lib.room.a": b"from lib.room import b",
        "lib.room.b": b"def f():\n    from lib.other import c",
        "lib.other": b"",
        "lib.other.c": b"import lib.base as base",
        "lib.base": b"",
        "lib.unused": b"import lib.room.a",
    }
    assert list(imports.closure(["lib.room.a"], sources)) == sorted(sources.keys() - {"lib.unused"})
    followed = imports.closure(["lib.room.a"], sources, lambda name: name.startswith("lib.room"))
    assert list(followed) == ["lib.room", "lib.room.a", "lib.room.b"]
    assert imports.closure(["lib.absent"], sources) == {}


def test_the_project_imports_by_absolute_names():
    """A relative import would be missing from a closure."""
    for path in paths.LIB.rglob("*.py"):
        assert not re.search(r"^\s*from \.", path.read_text(), re.MULTILINE), path


def test_code_that_was_edited_after_it_was_loaded_trains_nothing(cell, library):
    with (library / "training/protocol.py").open("a") as source:
        source.write("# a comment changes nothing\n")
    refuse_edited_code(cell)
    with (library / "training/protocol.py").open("a") as source:
        source.write("NUMBER = 1\n")
    with pytest.raises(TrainingError, match="the code was edited after it had been loaded"):
        refuse_edited_code(cell)


def test_a_kernel_refuses_other_code_than_its_cell_found(cell, monkeypatch):
    monkeypatch.setenv("PAIRED_CODE", code_digest(cell))
    refuse_edited_code(cell)
    monkeypatch.setenv("PAIRED_CODE", "other")
    with pytest.raises(TrainingError, match="edited"):
        refuse_edited_code(cell)


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


def test_an_epoch_log_is_read_as_it_was_written(tmp_path):
    rows = [dict.fromkeys(log.COLUMNS, 0.1 + epoch / 3) | {"epoch": epoch} for epoch in (1, 2)]
    log.write(tmp_path / "epochs.csv", rows)
    assert log.read(tmp_path / "epochs.csv").to_dict("records") == rows


def test_logits_are_kept_in_float16_and_read_in_float32(cell):
    written = logits.Predictions(np.linspace(-3, 3, 20).reshape(2, 10), np.array([3, 9]))
    logits.write(records.folder(cell) / "logits.npz", written)
    write_record(cell)
    found = logits.read(cell)
    assert found.logits.dtype == np.float32
    np.testing.assert_array_equal(found.logits, written.logits.astype(np.float16))
    np.testing.assert_array_equal(found.labels, written.labels)
