"""A run's log for TensorBoard and Weights & Biases: exactly the log, and nothing of the run changes."""

import re
import shutil
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lib import files, paths
from lib.errors import ParameterError, UserError
from lib.runs import records, state, tracking
from lib.runs.state import Kind, states
from lib.study.loading import load_study
from lib.study.settings import Tracking
from lib.sweep import __main__ as sweep
from lib.sweep import running
from lib.sweep.tensorboard import linked
from lib.training import protocol as training
from tests.test_learners import LEARNERS, make, outcome, stop_in_the_second_epoch, tiny
from tests.test_training import ACCURACIES, LEARNING, CountingLearner, run

TAGS = {
    "train_loss": "train/loss",
    "train_accuracy": "train/accuracy",
    "val_loss": "val/loss",
    "val_accuracy": "val/accuracy",
    "val_macro_f1": "val/macro_f1",
    "epoch_time_seconds": "epoch_time_seconds",
    "learning_rate": "learning_rate",
}
TESTED = {"test_loss": "test/loss", "test_accuracy": "test/accuracy", "test_macro_f1": "test/macro_f1"}


def tracked(cell, **wanted):
    settings = cell.settings.model_copy(update={"tracking": Tracking(**wanted or {"tensorboard": True})})
    return cell.model_copy(update={"settings": settings})


def scalars(cell):
    """What TensorBoard reads: the steps and values of each tag."""
    read = EventAccumulator(str(tracking.events(cell)), size_guidance={"scalars": 0}).Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def expected(log, result=None):
    single = {tag: [(row["epoch"], np.float32(row[name])) for row in log.rows] for name, tag in TAGS.items()}
    tested = {tag: [(log.best["epoch"], np.float32(result[name]))] for name, tag in TESTED.items()} if result else {}
    return single | tested


@pytest.mark.parametrize("framework", LEARNERS)
def test_the_event_file_is_the_log_and_a_tracked_run_has_the_bits_of_another(digits, monkeypatch, tmp_path, framework):
    monkeypatch.setattr(paths, "EXECUTED", tmp_path / "plain")
    plain = outcome(tiny(framework), digits)
    monkeypatch.setattr(paths, "EXECUTED", tmp_path / "tracked")
    cell = tracked(tiny(framework))
    stop_in_the_second_epoch(cell, digits)
    learner = make(cell, digits)
    assert outcome(cell, digits, learner) == plain
    log = training.fit(cell, learner, digits.digest)
    result = training.test(cell, learner, log)
    training.finish(cell, learner, digits.digest, log, result)
    assert scalars(cell) == expected(log, result)
    assert len(list(tracking.events(cell).iterdir())) == 1


@pytest.fixture
def watched(monkeypatch, tmp_path):
    """A cell of four epochs, with event files, whose run lives in a folder of the test's own."""
    monkeypatch.setattr(paths, "EXECUTED", tmp_path / "executed")
    monkeypatch.setattr(paths, "DATA", tmp_path)
    files.write_sealed(paths.manifest("digits"), {"digest": "data"})
    cell = load_study("quickstart").cell("pytorch_digits_resnet20_fp32_seed42-quick")
    settings = cell.settings.model_copy(update={"epochs": 4})
    return tracked(cell.model_copy(update={"settings": settings}))


def test_an_event_file_grows_epoch_by_epoch_and_an_attempt_repeats_none(watched):
    with pytest.raises(KeyboardInterrupt):
        training.fit(watched, CountingLearner(ACCURACIES, stop_in_epoch=3), "data")
    assert [step for step, _ in scalars(watched)["val/accuracy"]] == [1, 2]
    (path,) = tracking.events(watched).iterdir()
    path.write_bytes(path.read_bytes()[:-3])  # as a kill may leave it
    log = training.fit(watched, CountingLearner(ACCURACIES), "data")
    assert scalars(watched) == expected(log)


def test_event_files_are_no_products_and_stay_when_a_run_is_tidied(watched):
    record = run(watched, CountingLearner(ACCURACIES))
    before = scalars(watched)
    state.tidy(watched)
    assert state.state(watched).kind == Kind.DONE
    assert "tensorboard" not in {name.split("/")[0] for name in record.products}
    assert scalars(watched) == before


def test_a_run_that_is_shown_writes_nothing_and_tracking_makes_no_run_stale(watched):
    untracked = tracked(watched, tensorboard=False)
    record = run(untracked, CountingLearner(ACCURACIES))
    assert run(watched, CountingLearner(ACCURACIES)) == record
    assert not tracking.events(watched).exists()
    assert state.state(watched).kind == Kind.DONE


@pytest.mark.parametrize("kept", [True, False])
def test_a_rerun_leaves_no_event_of_the_run_before(watched, monkeypatch, kept):
    with monkeypatch.context() as patch:
        patch.setattr(training, "code_digest", lambda cell: "older")
        run(watched, CountingLearner(ACCURACIES))
    again = tracked(watched, tensorboard=kept)
    run(again, CountingLearner(LEARNING), rerun="code")
    if kept:
        assert [value for _, value in scalars(again)["val/accuracy"]] == [np.float32(one) for one in LEARNING]
    else:
        assert not tracking.events(again).exists()


def test_a_tracker_that_fails_is_told_and_the_run_goes_on(watched, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tracking, "_append", full)
    assert run(watched, CountingLearner(ACCURACIES)).acc_best == 0.9
    message = f"{watched.name}: the training goes on, but is not tracked: No space left on device\n"
    assert capsys.readouterr().out.count(message) == 6


@pytest.fixture
def client(monkeypatch):
    """A client of Weights & Biases that notes what it is told."""
    told = SimpleNamespace(setup={}, init={}, rows=[], summary={}, finished=0)

    def finish():
        told.finished += 1

    def init(**options):
        told.init = options
        return SimpleNamespace(log=lambda row, step: told.rows.append((step, row)), summary=told.summary, finish=finish)

    module = ModuleType("wandb")
    module.__spec__ = ModuleSpec("wandb", None)
    module.Settings, module.setup, module.init = dict, told.setup.update, init
    monkeypatch.setitem(sys.modules, "wandb", module)
    return told


def test_weights_and_biases_get_the_log_and_the_test_offline_when_the_training_has_ended(watched, client):
    both = tracked(watched, tensorboard=True, wandb=True)
    learner = CountingLearner(ACCURACIES)
    log = training.fit(both, learner, "data")
    assert client.init == {}
    result = training.test(both, learner, log)
    training.finish(both, learner, "data", log, result)
    assert client.setup["mode"] == "offline"
    assert client.init["project"] == "paired-seeds"
    assert (client.init["name"], client.init["group"]) == (both.name, both.name.replace("_seed42", ""))
    assert client.init["config"] == both.model_dump(mode="json")
    assert client.init["dir"] == records.folder(both)
    assert client.rows == [(row["epoch"], {tag: row[name] for name, tag in TAGS.items()}) for row in log.rows]
    assert client.summary == {tag: result[name] for name, tag in TESTED.items()} | {"epoch_best": 2}
    assert client.finished == 1


@pytest.fixture
def no_client(monkeypatch):
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)


ABSENT = r"`tracking: {wandb: true}` needs a package that is not installed: .venv/bin/pip install -e '.\[wandb\]' -c "


def test_without_its_package_weights_and_biases_is_refused_before_the_first_step(watched, no_client):
    learner = CountingLearner(ACCURACIES)
    with pytest.raises(ParameterError, match=ABSENT):
        training.fit(tracked(watched, wandb=True), learner, "data")
    assert learner.rates == []


def test_a_sweep_refuses_before_anything_runs(watched, no_client, tiny_study, monkeypatch):
    study = load_study(tiny_study("absent", settings={"tracking": {"wandb": True}}))
    monkeypatch.setattr(running.jobs, "run", lambda *_: pytest.fail("a run was started"))
    with pytest.raises(ParameterError, match=ABSENT):
        running.run(study, list(states(study.cells)), running.Manner(), [])


def test_the_plan_says_what_a_sweep_would_refuse(watched, no_client, tiny_study, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["sweep", "plan", tiny_study("absent", settings={"tracking": {"wandb": True}})])
    sweep.main()
    assert re.search(f"2 to run\\n(?s:.*)\na sweep would be refused: .*{ABSENT}", capsys.readouterr().out)


def test_the_links_of_a_study_are_to_its_own_runs_also_to_those_that_have_not_begun(watched):
    study = load_study("quickstart")
    with pytest.raises(UserError, match="quickstart: no run has an event file: set `tracking: {tensorboard: true}`"):
        linked(study)
    run(watched, CountingLearner(ACCURACIES))
    shutil.copytree(records.folder(watched), paths.EXECUTED / "a-run-of-another-study")
    for _ in range(2):
        folder = linked(study)
        assert {path.name for path in folder.iterdir()} == {cell.name for cell in study.cells}
        assert [path.name for path in folder.iterdir() if path.exists()] == [watched.name]
        assert (folder / watched.name).resolve() == tracking.events(watched)
