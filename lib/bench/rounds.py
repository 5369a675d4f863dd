"""Loops timed side by side: each makes a round in turn, until the ratios of their speeds are known narrowly enough."""

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lib.analysis.estimates import mean_interval

WIDTH = 0.03
"""How far an interval may reach from its ratio, as a share of it."""

LEAST = 5
"""The least number of rounds. After fewer, a small spread may be luck."""


def ratio(speeds: Sequence[float], others: Sequence[float]) -> tuple[float, float, float]:
    """Return the geometric mean ratio of two loops' speeds in the same rounds, and its 95 % t interval."""
    return tuple(np.exp(mean_interval(np.log(speeds) - np.log(others))))


def is_narrow(speeds: Sequence[float], others: Sequence[float]) -> bool:
    """Return whether the interval of the ratio reaches no further than `WIDTH` to either side."""
    _, low, high = ratio(speeds, others)
    return high / low <= (1 + WIDTH) ** 2


def race(loops: Mapping[str, Callable[[], float]], seconds: float) -> dict[str, list[float]]:
    """Return each loop's speed in each round, as the loops return it.

    Every loop has one turn in a round, and each round begins with another one. There are rounds until the first loop's
    ratio to every other one is narrow; after so many `seconds` there are no more, though at least `LEAST`.
    """
    first, *others = loops
    found, end = {name: [] for name in loops}, time.monotonic() + seconds
    while len(found[first]) < LEAST or (
        time.monotonic() < end and not all(is_narrow(found[first], found[other]) for other in others)
    ):
        begins = len(found[first]) % len(loops)
        for name in [*loops, *loops][begins : begins + len(loops)]:
            found[name].append(loops[name]())
    return found


def steps_for(seconds: float, step: float, most: int) -> int:
    """Return how many steps of so many seconds each fill a round, at least two and at most `most`."""
    return min(max(2, math.ceil(seconds / step)), most)
