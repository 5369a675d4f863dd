"""Loops timed side by side, a turn each in every round, until the ratios of their speeds are known narrowly enough."""

import math
import random
import time
from collections.abc import Callable, Mapping

from lib.analysis.speed import is_narrow, ratio

LEAST = 6
"""The least number of rounds: with fewer a ratio has no 95 % interval."""


def race(loops: Mapping[str, Callable[[], float]], seconds: float) -> dict[str, list[float]]:
    """Return each loop's speed in each round, as the loops return it.

    Each round has an order of its own, since a loop can disturb the next one: its workers may still be loading. The
    orders are the same in each race. Rounds are added until the first loop's ratio to every other one is narrow, or so
    many `seconds` are over, though at least `LEAST`.
    """
    first, *others = loops
    chance = random.Random(0)
    found, end = {name: [] for name in loops}, time.monotonic() + seconds
    while len(found[first]) < LEAST or (time.monotonic() < end and not _narrow(found, first, others)):
        for name in chance.sample(list(loops), len(loops)):
            found[name].append(loops[name]())
    return found


def _narrow(found: Mapping[str, list[float]], first: str, others: list[str]) -> bool:
    intervals = (ratio(found[first], found[other])[1:] for other in others)
    return all(is_narrow(low, high) for low, high in intervals)


def steps_for(seconds: float, step: float, most: int) -> int:
    """Return how many steps of so many seconds each fill a time, at least one and at most `most`."""
    return min(max(1, math.ceil(seconds / step)), most)
