"""The rungs that look at what a network is given, and that they report what differs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lib.data import generated
from lib.data.store import Store
from lib.figures import parity as figures
from lib.keras.data import TrainingPipeline
from lib.parity import inputs
from lib.pytorch.data import training_loader
from lib.study.kinds import AdamW, MultiStep
from lib.study.loading import load_study
from lib.study.settings import Pairing


def test_both_pipelines_give_the_same_pixels(digits: Store) -> None:
    row = inputs.pixels(digits.split("val"), digits, batch_size=50).iloc[0]
    assert row.passed
    assert row.images == len(digits.val_indices)
    assert row.largest_difference == 0


def test_another_normalisation_in_one_pipeline_is_found(digits: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = digits.manifest.model_copy(update={"mean": tuple(digits.mean + 1e-3)})
    other = replace(digits, manifest=manifest)
    native = inputs.evaluation_dataset
    monkeypatch.setattr(inputs, "evaluation_dataset", lambda split, store, batch: native(split, other, batch))
    row = inputs.pixels(digits.split("test"), digits).iloc[0]
    assert not row.passed
    assert row.largest_difference > 1e-3
    assert row.wrong_bytes == 0


def test_other_images_in_one_pipeline_are_found(digits: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    native = inputs.evaluation_dataset
    flipped = digits.split("test")
    flipped = flipped._replace(indices=flipped.indices[::-1])
    monkeypatch.setattr(inputs, "evaluation_dataset", lambda split, store, batch: native(flipped, store, batch))
    row = inputs.pixels(digits.split("test"), digits).iloc[0]
    assert not row.passed
    assert row.wrong_bytes > 0
    assert row.wrong_labels > 0


@pytest.fixture(scope="module")
def held(digits: Store) -> pd.DataFrame:
    """The rates that both learners hold over the quickstart's schedule."""
    return inputs.held_rates(load_study("quickstart").cells[0], digits)


def test_both_optimizers_hold_the_planned_rate_at_every_step(held: pd.DataFrame) -> None:
    cell = load_study("quickstart").cells[0]
    table = inputs.learning_rates(cell, held)
    assert table.passed.all()
    assert held.groupby("framework").size().eq(len(held) / 2).all()
    ends = table.set_index(["framework", "check"]).measured
    for framework in ("keras", "pytorch"):
        assert ends[framework, "first step"] == 0
        assert ends[framework, "end of the warm-up"] == pytest.approx(cell.settings.optimizer.learning_rate, abs=1e-6)


def test_a_rate_that_was_set_one_step_late_is_found(held: pd.DataFrame) -> None:
    late = held.assign(held=held.groupby("framework").held.shift(1, fill_value=0.0))
    table = inputs.learning_rates(load_study("quickstart").cells[0], late)
    assert table[table.check.str.startswith("largest")].passed.eq(False).all()
    assert table[table.check == "end of the warm-up"].passed.eq(False).all()


def test_a_schedule_of_steps_and_an_optimizer_that_keras_has_not_are_held_as_well(digits: Store) -> None:
    cell = load_study("quickstart").cells[0]
    schedule = MultiStep(name="multistep", milestones=(0.5, 0.75))
    changes = {"schedule": schedule, "optimizer": AdamW(name="adamw", learning_rate=0.01)}
    cell = cell.model_copy(update={"settings": cell.settings.model_copy(update=changes)})
    held = inputs.held_rates(cell, digits)
    assert held.planned.round(9).unique().tolist() == [0.01, 0.001, 0.0001]
    table = inputs.learning_rates(cell, held)
    assert table.passed.all()
    assert len(table) == 2


def test_the_figure_draws_both_frameworks_and_few_points_of_a_long_schedule(held: pd.DataFrame) -> None:
    long = pd.concat([held] * 50).assign(step=lambda table: np.arange(len(table)))
    axis = figures.draw_rates({"digits": held, "long": long}).axes[1]
    assert [line.get_label() for line in axis.get_lines()] == ["Keras", "PyTorch"]
    assert all(len(line.get_xdata()) <= 800 for line in axis.get_lines())


def epoch_of_both(**changes: object) -> pd.DataFrame:
    store, cell = generated.store(32, 10, per_class=4), load_study("paired-quick").cells[0]
    settings = cell.settings.model_copy(update={"num_workers": 0, "batch_size": 16} | changes)
    loader = training_loader(store.split("train"), store, settings, steps=2)
    loader.sampler.reseed(3)
    return inputs.stream(TrainingPipeline(store.split("train"), store, settings, steps=2).epoch(3), loader).iloc[0]


def test_a_shared_pairing_gives_both_the_same_batches_to_the_bit() -> None:
    row = epoch_of_both()
    assert row.passed
    assert (row.batches, row.largest_difference, row.wrong_labels) == (2, 0, 0)


def test_a_native_pairing_is_found_by_its_stream() -> None:
    row = epoch_of_both(pairing=Pairing())
    assert not row.passed
    assert row.largest_difference > 1
    assert row.wrong_labels > 0


def test_every_envelope_is_drawn_whole_however_far_apart_the_networks_are() -> None:
    steps = pd.DataFrame({"input_size": 32, "step": [1, 2], "limit": [1e-5, 1e-3], "frameworks": [1e-7, 1e-6]})
    steps = steps.assign(keras_noise=1e-6, pytorch_noise=1e-6)
    tall = steps.assign(model="mobilenetv2", frameworks=[1e-6, 0.5], limit=[1e-5, 2.0])
    axis = figures.draw_envelopes(pd.concat([steps.assign(model="resnet20"), tall])).axes[1]
    assert axis.get_ylim()[1] > 2
