"""What a run costs besides its training, part by part: `python -m lib.bench.fixed`.

A run of one step trains on the digits in a temporary project, once in each framework, as in a sweep. Its parts are read
from the times that papermill writes into the executed notebook.
"""

import argparse
import time
from datetime import datetime
from typing import Any

import nbformat
from nbformat import NotebookNode
from tqdm import tqdm

from lib.bench import scratch
from lib.bench.printing import print_table
from lib.doctor import examination
from lib.errors import one_line

FRAMEWORKS = ("pytorch", "keras")

CELLS = {
    "imports": "import pandas",
    "data": "open_store(",
    "network": "Learner(cell, store)",
    "training": "training.fit(",
    "curves": "curves(",
    "test": "training.test(",
    "record": "training.finish(",
}
"""The parts of a run that are cells of its notebook, each with a text that its cell has.

`training` is the tracing, a step, an evaluation and the state to resume from; the imports are the framework's most of
all.
"""

PARTS = ("start", "kernel", *CELLS, "papermill", "end")
"""All parts: `start` is until papermill begins, `kernel` until the first cell, `end` what comes after the notebook.

`papermill` is the time between the cells, in which it saves the notebook, and that of cells which show something.
"""

_SETTINGS = {
    "epochs": 1,
    "schedule": {"warmup_epochs": 0},
    "limits": {"max_steps_train": 1, "test_samples": 10},
}


def measure() -> list[dict[str, Any]]:
    """Return one row for each framework and part, and one for the `whole` run: `framework`, `part` and `seconds`.

    The row of the whole has `cpu_seconds` too: of all its processes on the cores, which other jobs hardly change.

    Raises:
        UserError: `make doctor` says NO, or a run failed.
    """
    examination.require()  # else the first run would make it
    rows = []
    with scratch.project() as root:
        study = scratch.read_study(root, "quickstart")
        scratch.write_study(root, "fixed", study | {"seeds": [42], "settings": _SETTINGS})
        scratch.call(root, "lib.data", "digits")
        for framework in tqdm(FRAMEWORKS, "fixed costs", unit=" runs"):
            run, begun = f"{framework}_digits_resnet20_fp32_seed42-fixed", time.time()
            spent = scratch.call(root, "lib.sweep.cell", "fixed", run)
            notebook = nbformat.read(root / "executed" / run / "notebook.ipynb", as_version=4)
            seconds = parts(notebook, begun, begun + spent.seconds)
            rows += [{"framework": framework, "part": part, "seconds": seconds[part]} for part in PARTS]
            rows.append({"framework": framework, "part": "whole"} | spent._asdict())
    return rows


def parts(notebook: NotebookNode, begun: float, ended: float) -> dict[str, float]:
    """Return the seconds of each part of a run, whose sum is that of the run.

    Args:
        notebook: as papermill executed it.
        begun: when the run's process began, in seconds since 1970.
        ended: when it ended.
    """
    found = dict.fromkeys(PARTS, 0.0)
    for cell in notebook.cells:
        part = next((part for part, text in CELLS.items() if text in cell.source), "papermill")
        found[part] += cell.metadata.papermill.duration
    first, last = (_instant(notebook.metadata.papermill[name]) for name in ("start_time", "end_time"))
    first_cell = _instant(notebook.cells[0].metadata.papermill.start_time)
    found |= {"start": first - begun, "kernel": first_cell - first, "end": ended - last}
    found["papermill"] += ended - begun - sum(found.values())
    return found


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(prog="python -m lib.bench.fixed", description="Measure what a run costs.").parse_args()
    with one_line():
        rows = measure()
        table = [(row["framework"], row["part"], f"{row['seconds']:.2f}") for row in rows]
        print_table(["framework", "part"], ["seconds"], table)
        for row in rows:
            if row["part"] == "whole":
                print(f"{row['framework']}: {row['cpu_seconds']:.1f} seconds on the cores")


if __name__ == "__main__":
    main()
