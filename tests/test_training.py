"""The protocol, driven with a learner small enough to foresee what it must do."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lib import files, paths, sensors
from lib.errors import DataError, ParameterError, TrainingError
from lib.runs import layers, live, machine, records, state
from lib.runs import log as epoch_log
from lib.runs.digests import code_digest
from lib.runs.live import Progress
from lib.runs.logits import Predictions
from lib.runs.state import Kind
from lib.study.loading import load_study
from lib.study.settings import Limits, Measurements
from lib.training import learner as learners
from lib.training import protocol as training
from lib.training.learner import EpochSums
from lib.training.schedules import learning_rate


class CountingLearner:
    """Its only weight is the number of steps it made; `accuracies` is what it scores on val, epoch by epoch."""

    weights_suffix = state_suffix = ".txt"
    parameters, multiply_adds, classes, steps_per_epoch = 1, None, 2, 4
    out_of_memory = MemoryError

    def __init__(self, accuracies, stop_in_epoch=None, losses=None, fits=1):
        self.accuracies, self.stop_in_epoch, self.losses = accuracies, stop_in_epoch, losses or {}
        self.fits = fits
        self.restart(1)

    def restart(self, accumulation_steps):
        self.accumulation_steps = accumulation_steps
        self.weight, self.rates, self.seeds, self.calls = 0, [], [], []

    def reseed(self, seed, epoch):
        self.epoch = epoch
        self.seeds.append((seed, epoch))

    def batches(self):
        return iter(range(self.steps_per_epoch))

    def step(self, batch, learning_rate):
        if self.epoch == self.stop_in_epoch and batch == 2:
            raise KeyboardInterrupt
        if self.accumulation_steps < self.fits:
            raise MemoryError
        self.rates.append(learning_rate)
        self.weight += 1
        self.calls.append("step")

    def take_sums(self):
        return EpochSums(self.losses.get(self.epoch, 1.0) * 256, 64, self.steps_per_epoch - 1)

    def synchronize(self):
        self.calls.append("synchronize")

    def predict(self, split):
        self.calls.append(split)
        hits = round(self.accuracies[self.weight // self.steps_per_epoch - 1] * 10)
        logits = np.zeros((10, 2), np.float32)
        logits[:hits, 1] = 1
        logits[hits:, 0] = 1
        return Predictions(logits, np.ones(10, np.int64))

    def layers(self, images):
        row = dict.fromkeys(layers.COLUMNS, images) | {"layer": "relu", "scale": self.weight}
        return [{name: value for name, value in row.items() if name != "epoch"}]

    def save_weights(self, path):
        path.write_text(str(self.weight))

    def load_weights(self, path):
        self.weight = int(path.read_text())

    save_state, load_state = save_weights, load_weights

    def peak_memory_mb(self):
        return None

    def describe(self):
        return {"device": "none"}


@pytest.fixture
def cell(monkeypatch, tmp_path):
    """A cell of four epochs, whose run lives in a folder of the test's own."""
    monkeypatch.setattr(paths, "EXECUTED", tmp_path / "executed")
    monkeypatch.setattr(paths, "DATA", tmp_path)
    cell = load_study("quickstart").cell("pytorch_digits_resnet20_fp32_seed42-quick")
    return cell.model_copy(update={"settings": cell.settings.model_copy(update={"epochs": 4})})


ACCURACIES = [0.2, 0.9, 0.9, 0.5]


def run(cell, learner, data="data", rerun=""):
    """All that the training notebook does with a learner."""
    log = training.fit(cell, learner, data, rerun)
    return training.finish(cell, learner, data, log, training.test(cell, learner, log))


def test_the_log_has_the_protocol_s_columns_and_a_row_an_epoch(cell):
    run(cell, CountingLearner(ACCURACIES))
    log = pd.read_csv(records.folder(cell) / "epochs.csv")
    expected = "epoch train_loss train_accuracy val_loss val_accuracy val_macro_f1 epoch_time_seconds learning_rate"
    assert list(log) == expected.split()
    assert list(log.epoch) == [1, 2, 3, 4]
    assert list(log.val_accuracy) == ACCURACIES
    assert list(log.train_loss) == [1.0] * 4
    assert list(log.train_accuracy) == [0.25] * 4


def measured(cell, **changes):
    measurements = Measurements(**changes)
    return cell.model_copy(update={"settings": cell.settings.model_copy(update={"measurements": measurements})})


def test_the_test_accuracy_of_every_epoch_is_logged_where_it_is_asked_for_and_selects_nothing(cell):
    class Twofold(CountingLearner):
        on_test = (0.3, 0.4, 0.8, 0.1)

        def predict(self, split):
            own, self.accuracies = self.accuracies, self.on_test if split == "test" else self.accuracies
            try:
                return super().predict(split)
            finally:
                self.accuracies = own

    cell = measured(cell, test_each_epoch=True)
    record = run(cell, Twofold(ACCURACIES))
    log = epoch_log.read(records.product(cell, "epochs.csv"))
    assert tuple(log.test_accuracy) == Twofold.on_test
    assert (record.epoch_best, record.test_accuracy) == (2, 0.4)


def test_the_layers_are_measured_at_the_start_at_some_epochs_and_with_the_best_weights(cell):
    cell = measured(cell, layer_images=7, layers_every=4)
    run(cell, CountingLearner([0.2, 0.3, 0.9, 0.5]))
    found = layers.read(records.product(cell, "layers.csv"))
    assert dict(zip(found.epoch, found.scale, strict=True)) == {0: 0, 1: 4, 3: 12, 4: 16}
    assert set(found.units) == {7}


def test_a_stopped_run_keeps_its_measurements(cell):
    cell = measured(cell, layer_images=7, layers_every=1)
    with pytest.raises(KeyboardInterrupt):
        run(cell, CountingLearner(ACCURACIES, stop_in_epoch=3))
    run(cell, CountingLearner(ACCURACIES))
    assert list(layers.read(records.product(cell, "layers.csv")).epoch) == [0, 1, 2, 3, 4]


def test_a_table_of_layers_that_is_none_is_named(tmp_path):
    for content, problem in (
        ("a,b\n1,2\n", "columns are a, b"),
        (",".join(layers.COLUMNS) + "\nx" + ",1" * 9, "not a"),
    ):
        (tmp_path / "layers.csv").write_text(content)
        with pytest.raises(DataError, match=f"layers.csv.*{problem}"):
            layers.read(tmp_path / "layers.csv")


def test_the_rate_of_every_step_is_the_schedule_s_and_the_log_keeps_the_epoch_s_last(cell):
    learner = CountingLearner(ACCURACIES)
    log = training.fit(cell, learner, "data")
    expected = [learning_rate(cell.settings, 4, step) for step in range(16)]
    assert learner.rates == expected
    assert [row["learning_rate"] for row in log.rows] == expected[3::4]


def test_every_epoch_is_seeded_from_the_seed_and_its_number(cell):
    learner = CountingLearner(ACCURACIES)
    training.fit(cell, learner, "data")
    assert learner.seeds == [(42, 1), (42, 2), (42, 3), (42, 4)]


def test_the_progress_is_read_by_others_and_its_speed_is_that_of_this_attempt(cell, monkeypatch):
    """Resumed after one of the epochs: what an earlier attempt made does not count."""
    clock = iter([0.0, 4.0, 6.0, 8.0])
    monkeypatch.setattr(live.time, "monotonic", lambda: next(clock))
    epochs, images = cell.settings.epochs, cell.settings.batch_size
    progress = Progress(cell, 1, 4)
    progress.step()
    assert live.read(cell) is None  # not before five seconds are over
    progress.step()
    found = live.read(cell)
    assert (found.epoch, found.epochs, found.step, found.steps) == (1, epochs, 2, 4)
    assert found.images_per_second == pytest.approx(2 * images / 6)
    assert found.seconds_left == pytest.approx(12 * (epochs - 1.5))
    progress.epoch("")
    assert live.read(cell).epoch == 2
    assert live.read(cell).seconds_left == pytest.approx(8 * (epochs - 2))


def test_a_full_disk_ends_no_training_for_its_display(cell, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(live.files, "write_text", full)
    Progress(cell, 0, 1).epoch("")


def test_the_clock_is_between_two_synchronisations_and_without_validation(cell):
    learner = CountingLearner([0.5])
    training._train_epoch(cell, learner, 1, Progress(cell, 0, 4))
    assert learner.calls == ["synchronize", "step", "step", "step", "step", "synchronize"]


def test_the_first_of_the_best_epochs_is_kept_and_tested(cell):
    learner = CountingLearner(ACCURACIES)
    log = training.fit(cell, learner, "data")
    result = training.test(cell, learner, log)
    assert log.best["epoch"] == 2
    assert learner.weight == 8
    assert result["test_accuracy"] == 0.9
    written = json.loads((records.unfinished(cell) / "test.json").read_text())
    assert written == result | {"epoch_best": 2, "checkpoint": "best.txt"}
    with np.load(records.unfinished(cell) / "logits.npz") as kept:
        assert kept["logits"].dtype == np.float16
        assert (kept["logits"].argmax(1) == kept["labels"]).mean() == 0.9


def test_the_record_is_what_makes_a_run_done(cell):
    learner = CountingLearner(ACCURACIES)
    log = training.fit(cell, learner, "data")
    result = training.test(cell, learner, log)
    assert records.matching_record(cell, "data") is None
    assert not (records.folder(cell) / "epochs.csv").exists()
    record = training.finish(cell, learner, "data", log, result)
    assert records.matching_record(cell, "data") == record
    assert (record.epoch_best, record.acc_best, record.skipped_steps) == (2, 0.9, 4)
    assert set(record.products) == {"epochs.csv", "machine.csv", "best.txt", "test.json", "logits.npz"}
    assert {path.name for path in records.folder(cell).iterdir()} == {"record.json", *record.products}


def test_a_finished_run_is_not_trained_again(cell):
    learner = CountingLearner(ACCURACIES)
    log = training.fit(cell, learner, "data")
    record = training.finish(cell, learner, "data", log, training.test(cell, learner, log))
    second = CountingLearner(ACCURACIES)
    again = training.fit(cell, second, "data")
    assert again == log
    assert second.rates == []
    assert training.finish(cell, second, "data", again, training.test(cell, second, again)) == record


@pytest.mark.parametrize("stop_in_epoch", [1, 2, 4])
def test_a_stopped_run_loses_only_the_epoch_it_was_in(cell, stop_in_epoch):
    with pytest.raises(KeyboardInterrupt):
        training.fit(cell, CountingLearner(ACCURACIES, stop_in_epoch), "data")
    learner = CountingLearner(ACCURACIES)
    log = training.fit(cell, learner, "data")
    assert learner.seeds == [(42, epoch) for epoch in range(stop_in_epoch, 5)]
    assert learner.weight == 16
    assert [row["val_accuracy"] for row in log.rows] == ACCURACIES
    assert log.skipped_steps == 4


def test_a_run_records_its_machine_at_its_start_after_each_epoch_and_at_its_end(cell):
    run(cell, CountingLearner(ACCURACIES))
    found = machine.read(records.product(cell, "machine.csv"))
    epochs = [("epoch", epoch) for epoch in (1, 2, 3, 4)]
    assert list(zip(found.moment, found.epoch, strict=True)) == [("start", 0), *epochs, ("end", 4)]
    assert (found.seconds.notna() == (found.moment == "epoch")).all()
    assert (found.load >= 0).all()


def test_a_resumed_run_keeps_the_states_of_its_whole_epochs_and_starts_again(cell):
    with pytest.raises(KeyboardInterrupt):
        training.fit(cell, CountingLearner(ACCURACIES, stop_in_epoch=3), "data")
    log = training.fit(cell, CountingLearner(ACCURACIES), "data")
    moments = [(row["moment"], row["epoch"]) for row in log.machine]
    assert moments == [("start", 0), ("epoch", 1), ("epoch", 2), ("start", 2), ("epoch", 3), ("epoch", 4)]


def test_the_machine_is_read_while_the_clock_of_an_epoch_stands(cell, monkeypatch):
    learner = CountingLearner(ACCURACIES)
    monkeypatch.setattr(sensors, "counters", lambda: learner.calls.append("counters"))
    monkeypatch.setattr(sensors, "state", lambda since=None: learner.calls.append("state") or {})
    training.fit(cell, learner, "data")
    timed = ["synchronize", *["step"] * 4, "synchronize"]
    assert learner.calls == ["state", *["counters", *timed, "state", "val"] * 4]


WRITES_AN_EPOCH, WRITES_TO_FINISH, MOVES = 5, 6, 6
"""Log, weights, state, what names both, progress; weights, logits, result, log, machine, record; products, record."""

STAGED = 4 * WRITES_AN_EPOCH + WRITES_TO_FINISH


def killed_at(monkeypatch, write, function):
    """Call a function and kill it at one of its writes or moves; return whether it was killed."""
    made, replace = [], Path.replace

    def killed(path, target):
        made.append(target)
        if len(made) == write:
            raise KeyboardInterrupt
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        try:
            function()
        except KeyboardInterrupt:
            return True
    return False


def whole_result(cell):
    """The record of a run, and all its products with their content."""
    record = records.read_record(cell)
    return record, {name: records.product(cell, name).read_bytes() for name in record.products}


LEARNING = [0.5, 0.6, 0.7, 0.8]


@pytest.mark.parametrize("write", range(1, STAGED + MOVES + 1))
def test_whatever_file_a_run_was_writing_when_it_was_killed_no_whole_epoch_is_lost(cell, monkeypatch, write):
    assert killed_at(monkeypatch, write, lambda: run(cell, CountingLearner(LEARNING)))
    done = records.read_record(cell) is not None
    assert done == (write > STAGED)
    whole = min(write // WRITES_AN_EPOCH, 4)  # the last of an epoch's writes is for the display alone
    learner = CountingLearner(LEARNING)
    record = run(cell, learner)
    assert learner.seeds == ([] if done else [(42, epoch) for epoch in range(whole + 1, 5)])
    assert (record.epoch_best, record.test_accuracy) == (4, 0.8)
    assert whole_result(cell)[0] == record
    assert {path.name for path in records.folder(cell).iterdir()} == {"record.json", *record.products}


def test_a_run_that_is_not_killed_has_no_more_writes(cell, monkeypatch):
    assert not killed_at(monkeypatch, STAGED + MOVES + 1, lambda: run(cell, CountingLearner(LEARNING)))


@pytest.fixture
def older(cell, monkeypatch):
    """The result of a run that other code made, from the data of today."""
    files.write_sealed(paths.manifest(cell.dataset), {"digest": "data"})
    with monkeypatch.context() as patch:
        patch.setattr(training, "code_digest", lambda cell: "older")
        patch.setattr(training, "now", lambda: "2026-01-01T00:00:00+00:00")
        run(cell, CountingLearner(ACCURACIES))
    assert state.state(cell).kind == Kind.OTHER_CODE
    return whole_result(cell)


def again(cell, learner):
    return run(cell, learner, rerun="code")


@pytest.mark.parametrize("write", range(1, STAGED + MOVES + 1))
def test_a_rerun_killed_at_any_write_leaves_the_old_result_whole_or_the_new_one(cell, monkeypatch, older, write):
    assert killed_at(monkeypatch, write, lambda: again(cell, CountingLearner(LEARNING)))
    left = whole_result(cell)
    if write <= STAGED:
        assert left == older
    else:
        assert left[0].code_digest == code_digest(cell)
    state.tidy(cell)
    assert whole_result(cell) == left
    learner = CountingLearner(LEARNING)
    record = again(cell, learner)
    assert len(learner.seeds) == max(4 - write // WRITES_AN_EPOCH, 0)
    assert (record.code_digest, record.epoch_best, record.test_accuracy) == (code_digest(cell), 4, 0.8)
    assert whole_result(cell)[0] == record
    assert state.state(cell).kind == Kind.DONE


def test_a_rerun_that_was_stopped_ends_with_the_same_numbers(cell, older):
    with pytest.raises(KeyboardInterrupt):
        again(cell, CountingLearner(LEARNING, stop_in_epoch=3))
    learner = CountingLearner(LEARNING)
    again(cell, learner)
    resumed = pd.read_csv(records.product(cell, "epochs.csv")).drop(columns="epoch_time_seconds")
    shutil.rmtree(records.folder(cell))
    run(cell, CountingLearner(LEARNING))
    expected = pd.read_csv(records.product(cell, "epochs.csv")).drop(columns="epoch_time_seconds")
    pd.testing.assert_frame_equal(resumed, expected, check_exact=True)
    assert learner.seeds == [(42, 3), (42, 4)]


def test_a_rerun_that_fails_keeps_the_old_result(cell, older):
    with pytest.raises(TrainingError, match="train_loss became nan in epoch 2"):
        again(cell, CountingLearner(LEARNING, losses={2: float("nan")}))
    assert whole_result(cell) == older


def test_an_unfinished_rerun_is_kept_until_it_is_of_no_use(cell, older, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        again(cell, CountingLearner(LEARNING, stop_in_epoch=3))
    state.tidy(cell)
    assert (records.unfinished(cell) / "progress.json").exists()
    monkeypatch.setattr("lib.runs.digests.code_digest", lambda cell: "a third code")
    state.tidy(cell)
    assert not records.unfinished(cell).exists()
    assert whole_result(cell) == older


def test_a_run_made_by_other_code_is_shown_unless_it_is_asked_for_again(cell, older):
    learner = CountingLearner(LEARNING)
    assert run(cell, learner) == older[0]
    assert learner.rates == []
    assert whole_result(cell) == older


def test_a_pause_is_no_part_of_a_run_s_seconds(cell, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr("lib.training.resume.time", clock)

    class SlowLearner(CountingLearner):
        def step(self, batch, learning_rate):
            clock.now += 1.5
            super().step(batch, learning_rate)

    with pytest.raises(KeyboardInterrupt):
        training.fit(cell, SlowLearner(ACCURACIES, stop_in_epoch=3), "data")
    clock.now += 3600
    learner = SlowLearner(ACCURACIES)
    log = training.fit(cell, learner, "data")
    result = training.test(cell, learner, log)
    clock.now += 10
    record = training.finish(cell, learner, "data", log, result)
    assert record.seconds == 16 * 1.5 + 10


def test_an_attempt_with_other_parameters_is_not_gone_on_with(cell, capsys):
    with pytest.raises(KeyboardInterrupt):
        training.fit(cell, CountingLearner(ACCURACIES, 3), "data")
    learner = CountingLearner(ACCURACIES)
    training.fit(cell, learner, "other data")
    assert learner.seeds[0] == (42, 1)
    assert "an earlier attempt had other inputs: starting afresh" in capsys.readouterr().out


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "a bit of the state": lambda folder: flip(folder / "last/epoch0002.txt"),
    "a lost state": lambda folder: (folder / "last/epoch0002.txt").unlink(),
    "a truncated state": lambda folder: (folder / "last/epoch0002.txt").write_text(""),
    "a bit of the best weights": lambda folder: flip(folder / "last/best0002.txt"),
    "lost best weights": lambda folder: (folder / "last/best0002.txt").unlink(),
    "garbage": lambda folder: (folder / "last/progress.json").write_bytes(b"\xff{"),
    "a digit of the log": lambda folder: (folder / "last/progress.json").write_text(
        (folder / "last/progress.json").read_text().replace('"val_accuracy": 0.9', '"val_accuracy": 0.8')
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_attempt_is_told_and_the_run_begins_afresh(cell, capsys, damage):
    with pytest.raises(KeyboardInterrupt):
        training.fit(cell, CountingLearner(ACCURACIES, stop_in_epoch=3), "data")
    damage(records.folder(cell))
    learner = CountingLearner(ACCURACIES)
    log = training.fit(cell, learner, "data")
    assert "starting afresh" in capsys.readouterr().out
    assert learner.seeds == [(42, epoch) for epoch in range(1, 5)]
    assert log.best["epoch"] == 2
    assert training.test(cell, learner, log)["test_accuracy"] == 0.9


def test_best_weights_that_were_damaged_meet_no_test(cell):
    learner = CountingLearner(ACCURACIES)
    log = training.fit(cell, learner, "data")
    flip(records.unfinished(cell) / "best0002.txt")
    with pytest.raises(TrainingError, match=r"best0002.txt was damaged after it was written: run the cell again"):
        training.test(cell, learner, log)


def test_an_epoch_log_that_was_damaged_before_the_record_is_written_again(cell):
    learner = CountingLearner(ACCURACIES)
    log = training.fit(cell, learner, "data")
    expected = records.unfinished(cell).joinpath("epochs.csv").read_bytes()
    (records.unfinished(cell) / "epochs.csv").unlink()
    again = training.fit(cell, learner, "data")
    training.finish(cell, learner, "data", again, training.test(cell, learner, again))
    assert records.product(cell, "epochs.csv").read_bytes() == expected
    assert again.rows == log.rows


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run_with_its_epoch_and_rate(cell, loss):
    with pytest.raises(TrainingError, match=f"train_loss became {loss} in epoch 3 at learning rate .*lower"):
        training.fit(cell, CountingLearner(ACCURACIES, losses={3: loss}), "data")
    assert records.read_record(cell) is None
    assert len(pd.read_csv(records.unfinished(cell) / "epochs.csv")) == 2


def test_limits_shorten_an_epoch_and_an_evaluation(cell):
    def limited(**limits):
        return cell.settings.model_copy(update={"limits": Limits(**limits)})

    assert learners.steps_per_epoch(limited(), 1_293) == 20
    assert learners.steps_per_epoch(limited(max_steps_train=7), 1_293) == 7
    assert learners.evaluation_images(limited()) is None
    assert learners.evaluation_images(limited(max_steps_test=2)) == 128
    assert learners.evaluation_images(limited(max_steps_test=2, test_samples=100)) == 100
    with pytest.raises(ParameterError, match="batch_size 64 is above the 63 training images"):
        learners.steps_per_epoch(limited(), 63)


def with_settings(cell, **settings):
    return cell.model_copy(update={"settings": cell.settings.model_copy(update=settings)})


def test_out_of_memory_says_which_setting_to_change(cell):
    with pytest.raises(
        TrainingError,
        match="out of memory with 64 images at a time: set `on_oom: accumulate`, or `accumulation_steps: 2`",
    ):
        training.fit(cell, CountingLearner(ACCURACIES, fits=2), "data")
    assert records.read_record(cell) is None


def test_out_of_memory_begins_again_with_more_micro_batches_if_asked_to_and_records_it(cell, capsys):
    cell = with_settings(cell, on_oom="accumulate")
    learner = CountingLearner(ACCURACIES, fits=4)
    log = training.fit(cell, learner, "data")
    assert learner.seeds == [(42, 1), (42, 2), (42, 3), (42, 4)]
    assert learner.rates[0] == 0
    assert "beginning again with 4 micro-batches of 16" in capsys.readouterr().out
    record = training.finish(cell, learner, "data", log, training.test(cell, learner, log))
    assert record.accumulation_steps == 4
    assert record.cell.settings.accumulation_steps == 1


def test_out_of_memory_while_an_earlier_attempt_is_loaded_is_told_as_such(cell):
    with pytest.raises(KeyboardInterrupt):
        training.fit(cell, CountingLearner(ACCURACIES, stop_in_epoch=3), "data")

    class FullLearner(CountingLearner):
        def load_state(self, path):
            raise MemoryError

    with pytest.raises(TrainingError, match="before a step was made: the network alone does not fit"):
        training.fit(with_settings(cell, on_oom="accumulate"), FullLearner(ACCURACIES), "data")
    assert training.fit(cell, CountingLearner(ACCURACIES), "data").best["epoch"] == 2


def test_a_stopped_run_goes_on_with_the_micro_batches_it_came_to(cell):
    cell = with_settings(cell, on_oom="accumulate")
    with pytest.raises(KeyboardInterrupt):
        training.fit(cell, CountingLearner(ACCURACIES, stop_in_epoch=3, fits=2), "data")
    learner = CountingLearner(ACCURACIES, fits=2)
    log = training.fit(cell, learner, "data")
    assert learner.seeds == [(42, 3), (42, 4)]
    assert log.accumulation_steps == learner.accumulation_steps == 2


def test_a_micro_batch_that_cannot_be_halved_ends_the_run(cell):
    cell = with_settings(cell, on_oom="accumulate", batch_size=6)
    with pytest.raises(TrainingError, match="with 3 images at a time, and these cannot be halved: lower `batch_size`"):
        training.fit(cell, CountingLearner(ACCURACIES, fits=8), "data")
