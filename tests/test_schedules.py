"""The learning rate: each kind against its formula and against `torch.optim.lr_scheduler`."""

import math
from typing import get_args

import pytest
import torch
from torch.optim import lr_scheduler

from lib.study import settings
from lib.study.kinds import Constant, Cosine, MultiStep, Step
from lib.study.loading import load_study
from lib.training.schedules import SCHEDULES, cosine, learning_rate

EPOCHS, STEPS, PEAK = 20, 7, 0.1
TOTAL, WARMUP = 200 * 175, 5 * 175


def rate(step, warmup=5):
    return cosine(Cosine(name="cosine", warmup_epochs=warmup), step, TOTAL, 175, 0.1)


def rates(schedule, epochs=EPOCHS, steps=STEPS):
    """The rates of all steps of a run."""
    base = load_study("quickstart").cells[0].settings
    optimizer = base.optimizer.model_copy(update={"learning_rate": PEAK})
    run = base.model_copy(update={"epochs": epochs, "schedule": schedule, "optimizer": optimizer})
    return [learning_rate(run, steps, step) for step in range(epochs * steps)]


def torch_rates(make, total=EPOCHS * STEPS):
    """The rates that a scheduler of PyTorch gives, stepped after every update."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=PEAK)
    scheduler, found = make(optimizer), []
    for _ in range(total):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def kinds(union):
    return {name for kind in get_args(get_args(union)[0]) for name in get_args(kind.model_fields["name"].annotation)}


def test_it_starts_at_zero_and_reaches_the_peak_at_the_end_of_the_warm_up():
    assert rate(0) == 0
    assert rate(WARMUP) == pytest.approx(0.1, abs=1e-12)


def test_the_warm_up_is_linear_in_the_step():
    assert rate(1) == pytest.approx(0.1 / WARMUP)
    assert rate(WARMUP // 5) == pytest.approx(0.02)


def test_the_cosine_spans_the_steps_after_the_warm_up():
    assert rate(WARMUP + (TOTAL - WARMUP) // 2) == pytest.approx(0.05, abs=1e-5)
    assert rate(TOTAL) == pytest.approx(0, abs=1e-12)
    assert rate(TOTAL - 1) < 1e-8
    third = WARMUP + (TOTAL - WARMUP) / 3
    assert rate(third) == pytest.approx(0.05 * (1 + math.cos(math.pi / 3)))


def test_without_a_warm_up_it_starts_at_the_peak():
    assert rate(0, warmup=0) == 0.1


def test_every_kind_of_schedule_has_its_rate():
    assert set(SCHEDULES) == kinds(settings.Schedule)


def test_the_cosine_is_pytorch_s():
    found = rates(Cosine(name="cosine"))
    assert found == pytest.approx(torch_rates(lambda one: lr_scheduler.CosineAnnealingLR(one, EPOCHS * STEPS)))


def test_the_warm_up_and_the_cosine_are_pytorch_s_one_after_the_other():
    warmup = 3 * STEPS

    def make(optimizer):
        linear = lr_scheduler.LinearLR(optimizer, start_factor=1e-12, total_iters=warmup)
        cosine = lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * STEPS - warmup)
        return lr_scheduler.SequentialLR(optimizer, [linear, cosine], milestones=[warmup])

    assert rates(Cosine(name="cosine", warmup_epochs=3)) == pytest.approx(torch_rates(make), abs=1e-12)


@pytest.mark.parametrize("milestones", [(0.5,), (0.5, 0.75), (0.1, 0.55, 0.95)])
def test_milestones_are_pytorch_s_at_the_same_shares_of_the_run(milestones):
    epochs = [round(share * EPOCHS) for share in milestones]
    found = rates(MultiStep(name="multistep", milestones=milestones, gamma=0.2))
    assert found == pytest.approx(
        torch_rates(lambda one: lr_scheduler.MultiStepLR(one, [epoch * STEPS for epoch in epochs], gamma=0.2))
    )
    assert len(set(found)) == len(milestones) + 1


@pytest.mark.parametrize("every", [0.05, 0.1, 0.25, 0.3, 0.6])
def test_steps_are_pytorch_s_at_the_same_share_of_the_run(every):
    size = round(every * EPOCHS * STEPS)
    found = rates(Step(name="step", every=every, gamma=0.5))
    assert found == pytest.approx(torch_rates(lambda one: lr_scheduler.StepLR(one, size, gamma=0.5)))


def test_the_constant_rate_is_pytorch_s():
    found = rates(Constant(name="constant"))
    assert found == torch_rates(lambda one: lr_scheduler.ConstantLR(one, factor=1.0))


def test_a_milestone_is_at_the_nearest_step_however_the_share_is_rounded():
    found = rates(MultiStep(name="multistep", milestones=(0.55,), gamma=0.1), epochs=100, steps=1)
    assert 0.55 * 100 > 55  # in floating point
    assert next(step for step, value in enumerate(found) if value < PEAK) == 55
