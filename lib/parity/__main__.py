"""Run the parity ladder: `python -m lib.parity [--model resnet50] [--rung gradients] [--size 64] [--fresh]`."""

import argparse
import sys
import time
from collections.abc import Iterable

import pandas as pd

from lib.clock import duration
from lib.errors import one_line
from lib.parity.ladder import Found, climb, gathered, summary
from lib.parity.rungs import RUNGS
from lib.parity.twins import FRAMEWORKS
from lib.study.models import SMALL, twins


def show(found: Found, seconds: float) -> None:
    """Print the question of a rung, its limit and its table."""
    rung, time_taken = RUNGS[found.rung], "from the cache" if found.cached else f"{seconds:.0f} s"
    print(f"\n{found.rung}: {rung.question} {found.model} at {found.size}x{found.size}, {time_taken}")
    print(f"allowed: {rung.limit}")
    print(_text(found.table.drop(columns=["model", "input_size"], errors="ignore")), flush=True)


def _text(table: pd.DataFrame) -> str:
    shown = table.assign(passed=["-" if pd.isna(one) else "yes" if one else "FAILED" for one in table.passed])
    return shown.to_string(index=False, float_format=lambda value: f"{value:.3g}", na_rep="-")


def main() -> None:
    """Read the command line and run the ladder; the exit code is 1 if a rung does not hold."""
    parser = argparse.ArgumentParser(prog="python -m lib.parity", description="Are the two implementations the same?")
    parser.add_argument("--model", choices=twins(), help="one network (default: all)")
    parser.add_argument("--rung", choices=RUNGS, help="one rung (default: all)")
    parser.add_argument("--size", type=int, choices=SMALL, help="the images' height and width (default: both)")
    parser.add_argument("--reference", choices=FRAMEWORKS, default="pytorch", help="whose conventions the twins follow")
    parser.add_argument("--fresh", action="store_true", help="compute every rung again, also those in the cache")
    arguments = parser.parse_args()
    models = [arguments.model] if arguments.model else list(twins())
    sizes = [arguments.size] if arguments.size else list(SMALL)
    rungs = [arguments.rung] if arguments.rung else list(RUNGS)
    with one_line():
        steps = climb(models, sizes, rungs, arguments.reference, arguments.fresh)
        sys.exit(0 if _climbed(steps) else 1)


def _climbed(steps: Iterable[Found]) -> bool:
    """Show every rung when it is finished, then the summary; return whether all rungs hold."""
    everything, begun = [], time.perf_counter()
    last = begun
    for found in steps:
        show(found, time.perf_counter() - last)
        last = time.perf_counter()
        everything.append(found)
    table = summary(gathered(everything)).drop(columns="allowed")
    print(f"\n{_text(table)}\nclimbed in {duration(last - begun)}")
    return bool(table.passed.all())


if __name__ == "__main__":
    main()
