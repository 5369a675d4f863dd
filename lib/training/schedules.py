"""The learning rate as a pure function of the step, the same for both frameworks."""

import math


def warmup_cosine(step: int, total_steps: int, warmup_steps: int, peak: float) -> float:
    """Return the learning rate of a step: linear from 0 to `peak`, then half a cosine down to 0.

    Steps count from 0. The warm-up ends at `step == warmup_steps`, where the rate is `peak`; the cosine spans
    `total_steps - warmup_steps` steps (Loshchilov and Hutter 2017, SGDR, eq. 5, without restarts).
    """
    if step < warmup_steps:
        return peak * step / warmup_steps
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return peak * (1 + math.cos(math.pi * progress)) / 2
