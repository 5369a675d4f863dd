"""A worker of a run on several devices: `python -m lib.pytorch.worker RANK MEETING`, started by `lib.pytorch.devices`.

Its standard input has the cell, and then a line for each method of the learner that rank 0 calls. It writes no file.
"""

import json
import sys
from collections.abc import Iterable

from lib import errors
from lib.data.store import open_store
from lib.pytorch.learner import PyTorchLearner
from lib.study.cells import Cell


def follow(learner: PyTorchLearner, lines: Iterable[str]) -> None:
    """Call the methods of the learner that the lines name; a step takes the next batch of its own part."""
    batches = iter(())
    for line in lines:
        name, *arguments = json.loads(line)
        if name == "step":
            learner.step(next(batches), *arguments)
        else:
            getattr(learner, name)(*arguments)
        if name == "reseed":
            batches = iter(learner.batches())


def main() -> None:
    """Make the learner of the rank, say so with a line, and follow rank 0 until it ends."""
    rank, meeting = int(sys.argv[1]), int(sys.argv[2])
    with errors.one_line():
        cell = Cell.model_validate_json(sys.stdin.readline())
        learner = PyTorchLearner(cell, open_store(cell.dataset), rank, meeting)
        print("ready", flush=True)
        follow(learner, sys.stdin)


if __name__ == "__main__":
    main()
