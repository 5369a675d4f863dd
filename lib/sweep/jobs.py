"""Snakemake: one process, in a group of its own, with a job for each run."""

import os
import platform
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lib import files, paths, processes
from lib.errors import UserError
from lib.sweep.telling import Teller


def run(config: dict[str, object], runs: list[str], options: list[str], teller: Teller) -> None:
    """Run Snakemake until its jobs are over; no process of its group outlives this call, and the teller follows.

    `config` is what the Snakefile reads, beside the folder of the jobs' outputs; `options` are Snakemake's.
    """
    with _outputs() as over:
        place = over.relative_to(paths.ROOT)
        command = [sys.executable, "-m", "lib.sweep.snakemake", "--snakefile", str(paths.ROOT / "Snakefile")]
        command += ["--directory", str(paths.ROOT), "--quiet", "host", "rules", "--nolock"]
        command += ["--config", *(f"{key}={value}" for key, value in (config | {"over": place}).items())]
        command += [*options, "--", *(str(place / name) for name in runs)]
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        snakemake = subprocess.Popen(processes.bound(command), env=environment, start_new_session=True)
        outcome = "interrupted"
        try:
            outcome = "unfinished" if teller.follow(snakemake) else "done"
        finally:
            processes.end_group(snakemake)
            teller.end(outcome)


@contextmanager
def _outputs() -> Iterator[Path]:
    """Yield a folder of its own for the outputs that Snakemake's jobs declare, and remove those of ended sweeps."""
    place, refusal = paths.EXECUTED / ".over", UserError("another sweep has the same number")
    for left in place.glob(f"{platform.node()}-*"):
        if not files.is_held(left / ".lock"):
            shutil.rmtree(left, ignore_errors=True)
    own = place / f"{platform.node()}-{uuid.uuid4().hex[:8]}"
    with files.held(own / ".lock", refusal):
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)
