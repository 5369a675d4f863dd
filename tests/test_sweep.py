"""The whole way of a run: real Snakemake, real papermill, real kernels, real training in both frameworks."""

import os
import shutil
import signal
import subprocess
import sys
import time

import nbformat
import pandas as pd
import pytest

import lib.sweep.cell
from lib import paths
from lib.clock import now
from lib.data.preparation import prepare
from lib.data.use import replaced
from lib.environment import cores
from lib.errors import ChapterError, DataError, UserError
from lib.runs import records, state, status
from lib.runs.digests import inputs_digest
from lib.runs.state import pending, states
from lib.runs.status import Kind
from lib.study.loading import load_study
from lib.sweep import __main__ as sweeps
from lib.sweep import ending

pytestmark = pytest.mark.usefixtures("digits")


def run(*arguments, **options):
    command = [sys.executable, "-W", "ignore", "-m", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="module", autouse=True)
def every_core():
    """A sweep's run uses every core, as Snakemake tells it; the same numbers need as many threads in a run by hand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", str(cores()))
        yield


def log_without_times(cell):
    return pd.read_csv(records.folder(cell) / "epochs.csv", dtype=str).drop(columns="epoch_time_seconds").to_csv()


@pytest.fixture(scope="module")
def swept(tiny_study):
    """The tiny study, run to its end."""
    study = load_study(tiny_study())
    result = run("lib.sweep", "run", study.name)
    assert result.returncode == 0, result.stdout + result.stderr
    return study, result.stdout


def test_a_sweep_leaves_every_run_with_its_record_and_its_notebook(swept):
    study, printed = swept
    for cell in study.cells:
        assert state.state(cell).kind == Kind.DONE
        names = {path.name for path in records.folder(cell).iterdir()}
        best = "best.pt" if cell.framework == "pytorch" else "best.weights.h5"
        products = {"epochs.csv", "machine.csv", "test.json", "logits.npz", best}
        assert names == {"notebook.ipynb", "record.json", "console.log", "doctor.json", ".lock", *products}
        assert set(records.read_record(cell).products) == products
        assert f"{cell.name}: epoch 3/3" in printed
        environment = records.read_record(cell).environment
        assert all(
            environment[item]
            for item in ["python", "tensorflow", "keras", "torch", "cuda", "cudnn", "driver", "gpu", "device"]
        )
        notebook = nbformat.read(records.folder(cell) / "notebook.ipynb", 4)
        assert all(part.execution_count for part in notebook.cells if part.cell_type == "code")


def test_a_sweep_of_what_is_done_starts_nothing(swept):
    study, _ = swept
    result = run("lib.sweep", "run", study.name)
    assert result.returncode == 0
    assert result.stdout == "tiny: 2 runs (2 done); 0 to run\n"


@pytest.mark.parametrize("framework", ["keras", "pytorch"])
def test_another_process_gives_the_same_log(swept, tiny_study, framework):
    study, _ = swept
    alone = load_study(tiny_study("alone", frameworks=[framework]))
    result = run("lib.sweep.cell", "alone", alone.cells[0].name)
    assert result.returncode == 0, result.stdout + result.stderr
    twin = study.cell(alone.cells[0].name.replace("-alone", "-tiny"))
    assert log_without_times(alone.cells[0]) == log_without_times(twin)


def test_a_failed_run_is_told_in_one_line_and_does_not_stop_the_others(swept, tiny_study):
    name = tiny_study("broken", settings={"optimizer": {"learning_rate": 1e30}}, frameworks=["pytorch"], seeds=[1, 2])
    result = run("lib.sweep", "run", name)
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    for cell in load_study(name).cells:
        assert f"error: {cell.name} failed: 20_train_pytorch.py: train_loss became nan" in result.stderr
        kind, reason = state.state(cell)
        assert kind == Kind.NOT_FINITE
        assert "lower `optimizer.learning_rate`" in reason
        assert records.read_record(cell) is None
        notebook = nbformat.read(records.folder(cell) / "notebook.ipynb", 4)
        outputs = [output for part in notebook.cells for output in part.get("outputs", [])]
        assert any(output.output_type == "error" for output in outputs)
        assert notebook.metadata.paired_seeds.state == "not finite"
        assert notebook.cells[-1].source.startswith("**This run has no result: not finite.**")
        assert status.read(cell).last_lines[-1].startswith("not finite: 20_train_pytorch.py: train_loss became nan")
    assert "2 not finite" in run("lib.sweep", "status", name).stdout


def test_a_run_that_takes_too_long_is_ended_and_more_time_makes_no_other_run(tiny_study):
    name = tiny_study("slow", frameworks=["pytorch"], settings={"epochs": 400, "max_hours": 10 / 3600})
    (cell,) = load_study(name).cells
    result = run("lib.sweep.cell", name, cell.name)
    assert result.returncode == 1
    told = "took longer than max_hours: 0.00277778 (10 s)"
    assert result.stderr.endswith(f"error: {cell.name} failed: {told}\n")
    assert state.state(cell) == (Kind.TIMED_OUT, told)
    assert nbformat.read(records.folder(cell) / "notebook.ipynb", 4).metadata.paired_seeds.state == "timed out"
    more = cell.settings.model_copy(update={"max_hours": 1.0})
    assert inputs_digest(cell.model_copy(update={"settings": more}), "x") == inputs_digest(cell, "x")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ChapterError("no", "OutOfMemory"), Kind.OUT_OF_MEMORY),
        (ChapterError("no", "ResourceExhaustedError"), Kind.OUT_OF_MEMORY),
        (MemoryError(), Kind.OUT_OF_MEMORY),
        (ChapterError("out of memory", "ValueError"), Kind.FAILED),
        (ChapterError("no", "NonFinite"), Kind.NOT_FINITE),
        (ChapterError("no", "SIGKILL"), Kind.INTERRUPTED),
        (ChapterError("no", "SIGSEGV"), Kind.FAILED),
        (KeyboardInterrupt(), Kind.INTERRUPTED),
        (OSError(28, "No space left on device"), Kind.FAILED),
    ],
)
def test_the_error_that_ended_a_run_decides_the_kind_of_its_end(error, kind):
    assert ending.kind(error) == kind


@pytest.fixture(scope="module")
def whole(tiny_study):
    """A cell that was never stopped."""
    study = load_study(tiny_study("whole", frameworks=["pytorch"], models=["mobilenetv2"]))
    result = run("lib.sweep.cell", study.name, study.cells[0].name)
    assert result.returncode == 0, result.stdout + result.stderr
    return study.cells[0]


@pytest.mark.parametrize("how", [pytest.param(signal.SIGTERM, marks=pytest.mark.thorough), signal.SIGKILL])
def test_a_stopped_run_goes_on_from_its_last_whole_epoch_and_ends_the_same(whole, tiny_study, how):
    """With workers and a network that has dropout: neither may make a difference."""
    name = tiny_study(f"stopped{how.value}", frameworks=["pytorch"], models=["mobilenetv2"])
    cell = load_study(name).cells[0]
    command = [sys.executable, "-W", "ignore", "-m", "lib.sweep.cell", name, cell.name]
    progress = records.folder(cell) / "last/progress.json"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 300
        while not progress.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(how)
        _, errors = process.communicate()
    assert "Traceback" not in errors
    assert state.state(cell).kind == Kind.INTERRUPTED
    assert records.read_record(cell) is None
    result = run("lib.sweep.cell", name, cell.name)
    assert f"{cell.name}: goes on after epoch" in result.stdout
    assert log_without_times(cell) == log_without_times(whole)


@pytest.mark.parametrize("command", [("lib.sweep.cell", "busy", "{run}"), ("lib.sweep", "run", "busy")])
def test_a_run_that_another_process_trains_is_waited_for_and_its_failure_told(swept, tiny_study, command):
    name = tiny_study("busy", frameworks=["pytorch"])
    cell = load_study(name).cells[0]
    with state.claimed(cell):
        status.write(cell, Kind.RUNNING)
        begun = [sys.executable, "-W", "ignore", "-m", *(word.format(run=cell.name) for word in command)]
        with subprocess.Popen(begun, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            told = next(line for line in process.stdout if "waiting for its end" in line)
            status.write(cell, Kind.NOT_FINITE, "the loss became nan")
            _, errors = process.communicate()
    assert f"{cell.name} is running, since" in told
    assert f"as process {os.getpid()} (executed/{cell.name}/status.json)" in told
    assert process.returncode == 1
    assert f"error: {cell.name} failed: the loss became nan (in another process)\n" in errors
    assert records.read_record(cell) is None
    with state.claimed(cell):
        status.write(cell, Kind.RUNNING)
        assert pending(states(load_study(name).cells)) == []


def test_a_done_run_is_left_as_it_is(swept):
    study, _ = swept
    record = (records.folder(study.cells[1]) / "record.json").read_bytes()
    result = run("lib.sweep.cell", study.name, study.cells[1].name)
    assert result.returncode == 0
    assert "is done" in result.stdout
    assert (records.folder(study.cells[1]) / "record.json").read_bytes() == record


def older(done, cell, finished="2026-01-01T00:00:00+00:00"):
    """Give a cell the result of another one, made by other code; return its record."""
    record = records.read_record(done)
    records.folder(cell).mkdir(parents=True, exist_ok=True)
    for name in record.products:
        shutil.copy(records.folder(done) / name, records.folder(cell))
    changes = {"run": cell.name, "cell": cell, "code_digest": "older", "finished": finished}
    records.write_record(record.model_copy(update=changes))
    return records.read_record(cell)


def test_a_run_made_by_other_code_is_kept_unless_it_is_asked_for_again(swept, tiny_study):
    name = tiny_study("older", frameworks=["pytorch"])
    cell = load_study(name).cells[0]
    record = older(swept[0].cells[1], cell)
    for command in (("lib.sweep.cell", name, cell.name), ("lib.sweep", "run", name)):
        result = run(*command)
        assert result.returncode == 0, result.stderr
        assert records.read_record(cell) == record
    told = "is kept: made by other code than today's; --rerun code trains it again"
    assert told in run("lib.sweep.cell", name, cell.name).stdout
    result = run("lib.sweep", "run", name, "--rerun", "code", "--no-such-option")
    assert result.returncode == 1
    assert "error: 1 runs are not finished" in result.stderr
    assert records.read_record(cell) == record
    result = run("lib.sweep", "run", name, "--rerun", "code")
    assert result.returncode == 0, result.stdout + result.stderr
    assert state.state(cell).kind == Kind.DONE
    assert records.read_record(cell).code_digest != "older"


def test_a_rerun_that_is_stopped_keeps_the_old_result_and_goes_on_when_asked_again(swept, tiny_study):
    name = tiny_study("again", frameworks=["pytorch"])
    cell = load_study(name).cells[0]
    record = older(swept[0].cells[1], cell)
    log = log_without_times(cell)
    command = [sys.executable, "-W", "ignore", "-m", "lib.sweep.cell", name, cell.name, "--rerun", "code"]
    progress = records.unfinished(cell) / "progress.json"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 300
        while not progress.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    reason = "made by other code than today's; the new training was interrupted"
    assert state.state(cell) == (Kind.OTHER_CODE, reason)
    assert run("lib.sweep", "run", name).returncode == 0
    assert records.read_record(cell) == record
    assert log_without_times(cell) == log
    result = run("lib.sweep", "run", name, "--rerun", "code")
    assert f"{cell.name}: goes on after epoch" in result.stdout
    assert state.state(cell).kind == Kind.DONE
    assert log_without_times(cell) == log


def test_a_rerun_that_fails_keeps_the_old_result_and_says_why(swept, tiny_study, monkeypatch):
    cell = load_study(tiny_study("doomed", frameworks=["pytorch"])).cells[0]
    record = older(swept[0].cells[1], cell)

    def execute(*_):
        raise ChapterError("20_train_pytorch.py: the loss became nan")

    monkeypatch.setattr("lib.sweep.cell.execute", execute)
    with pytest.raises(ChapterError, match="the loss became nan"):
        lib.sweep.cell.run("doomed", cell, rerun="code")
    kind, reason = state.state(cell)
    assert kind == Kind.OTHER_CODE
    assert reason.endswith("the new training failed: 20_train_pytorch.py: the loss became nan")
    assert records.read_record(cell) == record


def test_the_reason_of_a_killed_kernel_does_not_repeat_the_run_s_name(swept, tiny_study, monkeypatch):
    (cell,) = load_study(tiny_study("shot", frameworks=["pytorch"])).cells

    def execute(*_):
        raise ChapterError(f"20_train_pytorch.py: the kernel died (killed by SIGKILL): {cell.name}: bye", "SIGKILL")

    monkeypatch.setattr("lib.sweep.cell.execute", execute)
    with pytest.raises(ChapterError, match=f"^{cell.name} failed: 20_train_pytorch.py: the kernel died"):
        lib.sweep.cell.run("shot", cell)
    why = "20_train_pytorch.py: the kernel died (killed by SIGKILL): bye; it goes on from its last whole epoch"
    assert state.state(cell) == (Kind.INTERRUPTED, why)


def test_what_was_trained_on_a_store_that_changed_is_no_result(swept, tiny_study, monkeypatch):
    """The images are mapped from their files: a bit that flips while a run trains is in its numbers."""
    (cell,) = load_study(tiny_study("flipped", frameworks=["pytorch"])).cells
    images = paths.DATA / "digits_train_images.npy"
    good = images.read_bytes()

    def execute(*_):
        older(swept[0].cells[1], cell)
        records.unfinished(cell).mkdir()
        images.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))

    monkeypatch.setattr("lib.sweep.cell.execute", execute)
    try:
        with pytest.raises(ChapterError, match=f"^{cell.name} failed: data/digits_train_images.npy: changed since"):
            lib.sweep.cell.run("flipped", cell)
        kind, reason = state.state(cell)
        assert kind == Kind.FAILED
        assert "run `make data DATASET=digits`" in reason
        assert not records.unfinished(cell).exists()
        result = run("lib.sweep", "run", "flipped")
        assert result.stderr.startswith("error: data/digits_train_images.npy: changed since digits was prepared")
    finally:
        prepare("digits")
    assert images.read_bytes() == good
    shutil.rmtree(records.folder(cell))


def test_a_rerun_on_a_store_that_changed_keeps_the_old_result(swept, tiny_study, monkeypatch):
    (cell,) = load_study(tiny_study("flipped-again", frameworks=["pytorch"])).cells
    record = older(swept[0].cells[1], cell)
    images = paths.DATA / "digits_train_images.npy"
    good = images.read_bytes()

    def execute(*_):
        records.unfinished(cell).mkdir()
        images.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))

    monkeypatch.setattr("lib.sweep.cell.execute", execute)
    try:
        with pytest.raises(ChapterError, match=f"^{cell.name} failed: data/digits_train_images.npy: changed since"):
            lib.sweep.cell.run("flipped-again", cell, rerun="code")
        assert records.read_record(cell) == record
        assert not records.unfinished(cell).exists()
    finally:
        prepare("digits")
    kind, reason = state.state(cell)
    assert kind == Kind.OTHER_CODE
    assert "the new training failed: data/digits_train_images.npy: changed since" in reason


def test_a_machine_that_the_doctor_refuses_costs_no_record(swept, tiny_study, monkeypatch):
    cell = load_study(tiny_study("refused", frameworks=["pytorch"])).cells[0]
    record = older(swept[0].cells[1], cell)

    def refuse():
        raise UserError("make doctor says NO")

    monkeypatch.setattr("lib.sweep.cell.examination.require", refuse)
    with pytest.raises(UserError, match="says NO"):
        lib.sweep.cell.run("refused", cell, rerun="code")
    assert records.read_record(cell) == record


def test_trouble_after_the_record_was_written_does_not_cost_the_run(swept, tiny_study, monkeypatch):
    study, _ = swept
    done = study.cells[1]
    cell = load_study(tiny_study("late", frameworks=["pytorch"])).cells[0]

    def execute(*_):
        older(done, cell, finished=now())
        raise KeyboardInterrupt

    monkeypatch.setattr("lib.sweep.cell.execute", execute)
    lib.sweep.cell.run("late", cell)
    assert state.state(cell) == (Kind.OTHER_CODE, "made by other code than today's")


def test_a_run_that_cannot_be_read_is_named_and_counted_as_unfinished(swept, tiny_study):
    name = tiny_study("damaged", frameworks=["pytorch"])
    cell = load_study(name).cells[0]
    records.folder(cell).mkdir(parents=True)
    (records.folder(cell) / "record.json").write_text("{")
    result = run("lib.sweep", "run", name)
    assert result.returncode == 1
    assert f"{cell.name}  unreadable" in result.stdout
    assert "error: 1 runs are not finished" in result.stderr


def test_a_reader_who_has_seen_enough_gets_no_traceback(tiny_study):
    command = f"{sys.executable} -m lib.sweep plan {tiny_study('piped')} | true"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert result.stderr == ""


@pytest.mark.usefixtures("swept")
def test_a_changed_setting_is_named_as_the_reason_to_run_again(tiny_study):
    changed = load_study(tiny_study(settings={"optimizer": {"weight_decay": 0.0}}))
    reason = "changed: optimizer.weight_decay 0.0001 -> 0.0"
    assert [one.reason for _, one in pending(states(changed.cells))] == [reason] * 2
    assert pending(states(load_study(tiny_study()).cells)) == []


def test_the_plan_names_each_run_its_reason_and_the_time(tiny_study):
    more = run("lib.sweep", "plan", tiny_study("more", settings={"epochs": 4})).stdout
    assert "more: 2 runs (2 missing); 2 to run" in more
    assert "never run" in more


def test_the_plan_shows_what_all_share_once_and_then_what_each_axis_decides(tiny_study):
    name = tiny_study(
        "arms",
        frameworks=["pytorch"],
        datasets=["cifar10", "tiny_imagenet"],
        arms={
            "base": {},
            "adamw": {"optimizer": {"name": "adamw", "learning_rate": 0.001}},
            "plain": {"network": {"skip": False}},
        },
    )
    shown = run("lib.sweep", "plan", name, "--settings").stdout
    titles = [line for line in shown.splitlines() if line and not line.startswith(" ")]
    assert titles == ["all runs", "by dataset", "by arm"]
    rows = [line.split() for line in shown.splitlines()]
    assert ["epochs", "3", "study"] in rows
    assert ["tf32", "False", "common"] in rows
    assert ["regularisation.label_smoothing", "0.0", "default"] in rows
    assert ["tiny_imagenet", "augmentation.crop_padding", "8", "dataset", "tiny_imagenet"] in rows
    assert ["adamw", "optimizer.name", "adamw", "arm", "adamw"] in rows
    assert ["plain", "network.skip", "False", "arm", "plain"] in rows
    assert [row[0] for row in rows if "optimizer.momentum" in row] == ["base", "plain"]
    plan = run("lib.sweep", "plan", name).stdout
    assert "6 runs (6 missing); 6 to run" in plan
    assert "pytorch_cifar10_resnet20_fp32_seed42-arms-adamw" in plan


def test_a_sweep_without_its_data_says_which_command_prepares_them(tiny_study):
    result = run("lib.sweep", "run", tiny_study("photographs", datasets=["cifar100"]))
    assert result.returncode == 1
    assert result.stderr == "error: data/cifar100 is not prepared, or damaged: make data DATASET=cifar100\n"
    cell = load_study("photographs").cells[1]
    result = run("lib.sweep.cell", "photographs", cell.name)
    assert result.returncode == 1
    assert result.stderr == "error: data/cifar100 is not prepared, or damaged: make data DATASET=cifar100\n"
    assert "would be refused: data/cifar100 is not prepared" in run("lib.sweep", "plan", "photographs").stdout


def test_a_sweep_of_one_dataset_needs_no_other(tiny_study, monkeypatch, capsys):
    name = tiny_study("one-of-two", frameworks=["pytorch"], datasets=["digits", "cifar100"])
    monkeypatch.setattr("sys.argv", ["sweep", "plan", name, "--only", "dataset=digits"])
    sweeps.main()
    assert "would be refused" not in capsys.readouterr().out
    begun = []
    monkeypatch.setattr("lib.sweep.running.jobs.run", lambda *_: begun.append(True))
    monkeypatch.setattr("lib.doctor.examination.require", lambda: None)
    monkeypatch.setattr("sys.argv", ["sweep", "run", name, "--only", "dataset=digits"])
    with pytest.raises(SystemExit, match="1 runs are not finished"):
        sweeps.main()
    assert begun


def test_neither_a_sweep_nor_a_run_begins_while_its_store_is_replaced(tiny_study):
    study = load_study(tiny_study("replaced", frameworks=["pytorch"]))
    with replaced("digits"):
        for command in (("lib.sweep", "run", study.name), ("lib.sweep.cell", study.name, study.cells[0].name)):
            assert run(*command).stderr.startswith("error: data/digits is being replaced: ")


def test_a_run_uses_its_store_as_long_as_it_trains(tiny_study, monkeypatch):
    cell = load_study(tiny_study("using", frameworks=["pytorch"])).cells[0]

    def train(*_):
        with pytest.raises(DataError, match="is in use"), replaced("digits"):
            pass
        raise ChapterError("trained")

    monkeypatch.setattr("lib.sweep.cell._train", train)
    with pytest.raises(ChapterError, match="trained"):
        lib.sweep.cell.run("using", cell)


def test_a_sweep_uses_its_stores_as_long_as_its_runs_train(tiny_study, monkeypatch):
    study = load_study(tiny_study("using", frameworks=["pytorch"]))

    def runs(*_):
        with pytest.raises(DataError, match="is in use"), replaced("digits"):
            pass
        raise ChapterError("ran")

    monkeypatch.setattr("lib.sweep.running.jobs.run", runs)
    monkeypatch.setattr("lib.doctor.examination.require", lambda: None)
    monkeypatch.setattr("sys.argv", ["sweep", "run", study.name])
    with pytest.raises(SystemExit, match="ran"):
        sweeps.main()


@pytest.mark.parametrize("arguments", [("lib.sweep", "run", "nothing"), ("lib.sweep.cell", "tiny", "nothing")])
def test_a_wrong_name_is_answered_with_the_choices(tiny_study, arguments):
    tiny_study()
    result = run(*arguments, env=os.environ)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "tiny" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_scratch_project_is_not_the_real_one():
    assert "paired-seeds-" in str(paths.ROOT)
