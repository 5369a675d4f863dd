"""Serve the event files of a study's runs with TensorBoard: `python -m lib.sweep.tensorboard STUDY`.

TensorBoard takes one folder, and names a run by its path in it. Its README advises a tree of symbolic links to choose
runs.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from lib import errors, paths
from lib.errors import UserError
from lib.runs import tracking
from lib.study.loading import load_study
from lib.study.study import Study


def linked(study: Study) -> Path:
    """Return a folder with a link to the event files of each of the study's runs, and of no others.

    A run that has not begun has its link too, so that it appears when it begins.

    Raises:
        UserError: no run of the study has an event file.
    """
    if not any(tracking.events(cell).exists() for cell in study.cells):
        raise UserError(
            f"{study.name}: no run has an event file: set `tracking: {{tensorboard: true}}` in the `settings` of "
            f"params/studies/{study.name}.yaml, then: make sweep STUDY={study.name}; runs that are done stay without"
        )
    folder = paths.EXECUTED / ".tensorboard" / study.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for cell in study.cells:
        (folder / cell.name).symlink_to(tracking.events(cell))
    return folder


def main() -> None:
    """Read the command line and become TensorBoard's process, which gets the other options."""
    parser = argparse.ArgumentParser(prog="python -m lib.sweep.tensorboard", description="Show a study's runs.")
    parser.add_argument("study_name", metavar="study", help="a file's stem in params/studies")
    arguments, options = parser.parse_known_args()
    with errors.one_line():
        folder = linked(load_study(arguments.study_name))
    command = [sys.executable, "-W", "ignore", "-m", "tensorboard.main", "--logdir", str(folder), *options]
    # It imports TensorFlow to read files; a run in training has the GPU for itself.
    os.execve(sys.executable, command, os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"})


if __name__ == "__main__":
    main()
