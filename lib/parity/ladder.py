"""Running the ladder: the rungs of `lib.parity.rungs`, network by network, with the cache."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import keras
import pandas as pd

from lib.parity import cache, numbers
from lib.parity.rungs import ANSWERS, RUNGS
from lib.parity.twins import twins
from lib.study import models
from lib.study.conventions import SWITCHES, Framework, Switch


class Found(NamedTuple):
    """The result of a rung for one network at one size; `cached` where it was computed before."""

    rung: str
    model: str
    size: int
    table: pd.DataFrame
    cached: bool = False


def comparable(names: Iterable[str]) -> list[str]:
    """Return the models, of these, that both frameworks have."""
    return [name for name in names if models.find(name).twin]


def scope(names: Collection[str]) -> str:
    """Return a sentence that names the models of a study that are compared."""
    compared = comparable(names)
    others = [name for name in names if name not in compared]
    left_out = f", and not {', '.join(others)}, which only one framework has" if others else ""
    return f"The ladder compares {', '.join(compared)}{left_out}."


def climb(
    names: Iterable[str],
    sizes: Collection[int],
    rungs: Collection[str] = tuple(RUNGS),
    reference: Framework = "pytorch",
    fresh: bool = False,
) -> Iterator[Found]:
    """Climb the rungs, network by network, and yield each result as soon as it is known.

    The twins follow the reference's conventions. A network of one framework is left out. `fresh` ignores the cache.
    """
    for model in comparable(names):
        for size in sizes:
            for rung in rungs:
                answer = partial(ANSWERS[rung], model, size, reference)
                yield Found(rung, model, size, *cache.table(cache.Key(rung, model, size, reference), answer, fresh))
            twins.cache_clear()
            keras.backend.clear_session()


def alone(
    model: str, size: int, reference: Framework = "pytorch", switches: Collection[Switch] | None = None
) -> pd.DataFrame:
    """Leave one switch after another native between twins, and find the rung that does not hold.

    The default for `switches` are those that change something in the model.

    Returns:
        The rows of `numbers.alone`.
    """
    differences = models.find(model).twin.differences
    rows = []
    for switch in switches or [one for one in SWITCHES if one in differences]:
        answer = partial(numbers.alone, model, size, reference, switch)
        rows.append(cache.table(cache.Key(f"alone-{switch}", model, size, reference), answer)[0])
    return pd.concat(rows, ignore_index=True)


def gathered(found: Iterable[Found]) -> dict[str, pd.DataFrame]:
    """Return each rung's table for all networks together."""
    tables: dict[str, list[pd.DataFrame]] = {}
    for one in found:
        tables.setdefault(one.rung, []).append(one.table)
    return {rung: pd.concat(parts, ignore_index=True) for rung, parts in tables.items()}


def summary(rungs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Count the comparisons of each rung that held; a rung holds where all judged comparisons do.

    Returns:
        Columns `rung`, `allowed` (the limit and why), `comparisons`, `held`, `passed`. A comparison without a verdict
        in `passed` is not counted.
    """
    counts = [(name, RUNGS[name].limit, table.passed.count(), table.passed.sum()) for name, table in rungs.items()]
    table = pd.DataFrame(counts, columns=["rung", "allowed", "comparisons", "held"])
    table["passed"] = table.held == table.comparisons
    return table
