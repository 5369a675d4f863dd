"""The learning rate as a pure function of the step, the same for both frameworks."""

import math
from collections.abc import Callable, Iterable

from lib.study.kinds import Constant, Cosine, MultiStep, Schedule, Step
from lib.study.settings import Settings


def learning_rate(settings: Settings, steps: int, step: int) -> float:
    """Return the rate of a run's step, counted from 0, where an epoch has `steps` steps."""
    schedule = settings.schedule
    return SCHEDULES[schedule.name](schedule, step, settings.epochs * steps, steps, settings.optimizer.learning_rate)


def cosine(schedule: Cosine, step: int, total_steps: int, steps_per_epoch: int, peak: float) -> float:
    """Return the rate that rises from 0 to `peak` linearly and falls to 0 by half a cosine.

    The warm-up reaches `peak` at its end; the cosine spans the other steps and reaches 0 at `step == total_steps`.
    Source: Loshchilov and Hutter 2017 (SGDR), eq. 5, without restarts.
    """
    warmup_steps = schedule.warmup_epochs * steps_per_epoch
    if step < warmup_steps:
        return peak * step / warmup_steps
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return peak * (1 + math.cos(math.pi * progress)) / 2


def multistep(schedule: MultiStep, step: int, total_steps: int, _steps_per_epoch: int, peak: float) -> float:
    """Return the rate that is multiplied by `gamma` at each milestone, at the step nearest to it."""
    return peak * schedule.gamma ** _passed(schedule.milestones, step, total_steps)


def stepwise(schedule: Step, step: int, total_steps: int, _steps_per_epoch: int, peak: float) -> float:
    """Return the rate that is multiplied by `gamma` after each share `every` of the run."""
    shares = (schedule.every * number for number in range(1, math.ceil(1 / schedule.every)))
    return peak * schedule.gamma ** _passed(shares, step, total_steps)


def constant(_schedule: Constant, _step: int, _total_steps: int, _steps_per_epoch: int, peak: float) -> float:
    """Return `peak` at every step."""
    return peak


def _passed(shares: Iterable[float], step: int, total_steps: int) -> int:
    """Count the shares of a run that are over at a step."""
    return sum(step >= round(share * total_steps) for share in shares)


SCHEDULES: dict[str, Callable[[Schedule, int, int, int, float], float]] = {
    "cosine": cosine,
    "multistep": multistep,
    "step": stepwise,
    "constant": constant,
}
"""Each kind of schedule: the rate as a function of its settings, the step, the run's steps, an epoch's and the peak."""
