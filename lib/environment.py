"""What a run was made with: versions and hardware, as text for the record."""

import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from lib.errors import TrainingError

_PACKAGES = ("tensorflow", "keras", "torch", "torchvision", "numpy", "scikit-learn")


def describe() -> dict[str, str]:
    """Return the machine's and the packages' versions; nothing is imported for it."""
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "system": platform.platform(terse=True),
        "cpu": f"{_cpu_name()}, {cores()} cores",
        "gpu": _nvidia("name"),
        "driver": _nvidia("driver_version"),
    }


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def require_gpu(seen: bool) -> None:
    """Refuse to train on a CPU, days long and compared with a GPU, where the machine has a GPU.

    `seen` is whether the framework sees one. `CUDA_VISIBLE_DEVICES=-1` says that none is wanted.

    Raises:
        TrainingError: the machine has a GPU that the framework does not see.
    """
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES", "all") not in ("", "-1")
    if wanted and not seen and _nvidia("name") not in ("none", "unknown"):
        raise TrainingError(
            f"the machine has a GPU ({_nvidia('name')}) that this framework does not see: install its CUDA libraries "
            "with `make env EXTRAS=gpu-dev`, or set CUDA_VISIBLE_DEVICES=-1 to train on the CPU"
        )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _nvidia(query: str) -> str:
    if not shutil.which("nvidia-smi"):
        return "none"
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.splitlines()[0].strip() if answer.returncode == 0 and answer.stdout else "unknown"
