"""The tables that a report collects from a study's runs: `python -m lib.analysis.collecting STUDY` counts the rows."""

import argparse
from collections.abc import Iterator

import pandas as pd

from lib.analysis import judgements, predictions, results
from lib.errors import one_line
from lib.study.loading import load_study
from lib.study.study import Study


def tables(study: Study) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the tables, each with its name: of the runs, of their epochs, of comparisons, and of all predictions."""
    found = results.results(study)
    yield "states", results.states(study)
    yield "results", found
    yield "epochs", results.epochs(study)
    yield "times", results.times(study)
    yield "mixed precision", results.mixed_precision(study)
    for end, comparison in judgements.compared(study).items():
        yield f"comparisons{end}", judgements.judged(study, found, comparison)
    yield "predictions", predictions.answers(study)


def main() -> None:
    """Read the command line, collect, and print the number of rows of each table."""
    parser = argparse.ArgumentParser(prog="python -m lib.analysis.collecting", description="Collect a study's tables.")
    parser.add_argument("study", help="a file's stem in params/studies")
    with one_line():
        for name, table in tables(load_study(parser.parse_args().study)):
            print(f"{name}: {len(table):,} rows")


if __name__ == "__main__":
    main()
