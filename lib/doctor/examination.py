"""An examination: the probes of both frameworks, the checks of their answers, and a result for the runs to keep."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from lib import environment, files, paths, processes
from lib.clock import now
from lib.doctor import installed
from lib.doctor.checks import FRAMEWORKS, NO, Check, checks
from lib.errors import DataError, UserError

_PATIENCE_SECONDS = 600


def examine() -> dict[str, Any]:
    """Make all checks, keep the result, and return it as plain values.

    Raises:
        UserError: another process examines this machine for too long.
    """
    refusal = UserError("another process is examining this machine; wait for it, or stop it")
    with files.held(result().with_suffix(".lock"), refusal, _PATIENCE_SECONDS):
        probes = {framework: _ask(framework) for framework in FRAMEWORKS}
        rows = [one._asdict() for one in checks(probes)]
        found = {"date": now()} | _examined() | {"checks": rows, "probes": probes}
        files.write_sealed(result(), found)
    return found


def require() -> None:
    """Require an examination of this environment and machine without a fault; make one where there is none yet.

    Raises:
        UserError: a check says NO.
    """
    try:
        found = files.read_sealed(result())
    except (OSError, DataError):
        found = {}
    examined = _examined()
    if failed(found) or not examined.items() <= found.items():
        print("make doctor: examining the environment and the machine", flush=True)
        found = examine()
    if faults := failed(found):
        lines = "".join(f"\n  {one.check}: {one.found}; {one.remedy}" for one in faults)
        raise UserError(f"make doctor says NO:{lines}")


def result() -> Path:
    """Return the path of this machine's newest examination."""
    return paths.EXECUTED / f"doctor-{platform.node()}.json"


def failed(found: dict[str, Any]) -> list[Check]:
    """Return an examination's checks that say NO."""
    return [check for row in found.get("checks", []) if (check := Check(**row)).state == NO]


def show(found: dict[str, Any]) -> None:
    """Print an examination, one check per line, each NO with its remedy."""
    rows = [Check(**row) for row in found["checks"]]
    width = max(len(one.check) for one in rows)
    for one in rows:
        print(f"  {one.state:9}{one.check:{width}}  {one.found}")
        if one.remedy:
            print(f"  {'':9}{'':{width}}  -> {one.remedy}")


def _examined() -> dict[str, Any]:
    """Return what an examination is valid for: versions, hardware, hidden GPUs, and installed packages."""
    hidden = {name: os.environ.get(name, "") for name in ("CUDA_VISIBLE_DEVICES", "TF_FORCE_GPU_ALLOW_GROWTH")}
    return {"environment": environment.describe() | hidden, "installed": installed.versions()}


def _ask(framework: str) -> dict[str, Any]:
    """Return the output of a framework's probe, or an error with the last line of its stderr."""
    command = processes.bound([sys.executable, "-W", "ignore", "-m", f"lib.{framework}.probe"])
    nothing = {"loaded": dict.fromkeys(("cuda", "cudnn", "cudnn_cuda"), "none")}
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        return nothing | {"error": f"no answer in {_PATIENCE_SECONDS} s"}
    if answer.returncode or not answer.stdout:
        words = answer.stderr.strip().rpartition("\n")[2]
        return nothing | {"error": words or f"it ended with exit code {answer.returncode}"}
    return json.loads(answer.stdout.splitlines()[-1])
