"""The environment of a run as text for its record: versions and hardware."""

import ctypes
import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from lib.errors import TrainingError

AT_ONCE = "PAIRED_AT_ONCE"
"""The environment variable that tells a run how many slots of its machine its sweep may use at the same time."""

_PACKAGES = ("tensorflow", "keras", "torch", "torchvision", "numpy", "scikit-learn")


def describe() -> dict[str, str]:
    """Return the versions of the machine and of the packages, without importing them."""
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "system": platform.platform(terse=True),
        "cpu": f"{_cpu_name()}, {cores()} cores",
        "gpu": nvidia("name"),
        "driver": nvidia("driver_version"),
    }


def loaded_libraries() -> dict[str, str]:
    """Return the versions of the CUDA runtime and cuDNN that this process has loaded: `cuda`, `cudnn`, `cudnn_cuda`.

    The last one is the CUDA that cuDNN was built for. Each is a version, such as 12.8, or "none". On a machine without
    a GPU a framework may load nothing, or cuDNN alone.

    Source: cuDNN's API reference, `cudnnGetVersion` and `cudnnGetCudartVersion`; CUDA's, `cudaRuntimeGetVersion`.
    """
    found = {"cuda": "none", "cudnn": "none", "cudnn_cuda": "none"}
    if runtime := _loaded("libcudart.so"):
        number = ctypes.c_int()
        runtime.cudaRuntimeGetVersion(ctypes.byref(number))
        found["cuda"] = _cuda_version(number.value)
    if cudnn := _loaded("libcudnn.so"):
        cudnn.cudnnGetVersion.restype = cudnn.cudnnGetCudartVersion.restype = ctypes.c_size_t
        number = cudnn.cudnnGetVersion()
        found["cudnn"] = f"{number // 10_000}.{number % 10_000 // 100}.{number % 100}"
        found["cudnn_cuda"] = _cuda_version(cudnn.cudnnGetCudartVersion())
    return found


def _loaded(name: str) -> ctypes.CDLL | None:
    """Return a shared library that this process has loaded, by the beginning of its file's name."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    files = (line.split(maxsplit=5)[5] for line in lines if "/" in line)
    return next((ctypes.CDLL(file) for file in files if Path(file).name.startswith(name)), None)


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(core_numbers())


def core_numbers() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def slot() -> dict[str, str]:
    """Return what this process has of its machine: `threads`, and `slots`, how many of them its sweep may use at once.

    Other sweeps on the machine are not counted. Both are "not set" where no sweep gave them, as on a cluster; `threads`
    are also those of a process that was started with `OMP_NUM_THREADS`.
    """
    variables = {"threads": "OMP_NUM_THREADS", "slots": AT_ONCE}
    return {name: os.environ.get(variable, "not set") for name, variable in variables.items()}


class Gpu(NamedTuple):
    """A GPU: its number in the order of the bus, and the name that it has on every machine and in every container."""

    index: str
    uuid: str


def visible_gpus() -> list[Gpu]:
    """Return the GPUs that `CUDA_VISIBLE_DEVICES` leaves visible, in its order; all where it is not set."""
    found = [Gpu(*line.split(", ")) for line in nvidia_all("index,uuid")] if shutil.which("nvidia-smi") else []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    wanted = [name.strip() for name in visible.split(",") if name.strip()]
    return [gpu for name in wanted for gpu in found if name in gpu]


def gpu_wanted() -> bool:
    """Return whether the machine has a GPU that is to be used; `CUDA_VISIBLE_DEVICES=-1` excludes all."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1")
    return not hidden and nvidia("name") not in ("none", "unknown")


def require_gpu(seen: bool) -> None:
    """Refuse to train on the CPU of a machine with a GPU; `seen` is whether the framework sees the GPU.

    Raises:
        TrainingError: the machine has a GPU that the framework does not see.
    """
    if gpu_wanted() and not seen:
        raise TrainingError(
            f"the machine has a GPU ({nvidia('name')}) that this framework does not see: install its CUDA libraries "
            "with `make env SET=gpu`, or set CUDA_VISIBLE_DEVICES=-1 to train on the CPU"
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


def nvidia(query: str) -> str:
    """Return the answer of `nvidia-smi` for the first GPU: "none" without that program, "unknown" where it fails."""
    if not shutil.which("nvidia-smi"):
        return "none"
    return next(iter(nvidia_all(query)), "unknown")


def nvidia_all(query: str) -> list[str]:
    """Return the answers of `nvidia-smi` for every GPU, one item each, or nothing where it fails."""
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return [line.strip() for line in answer.stdout.splitlines()] if answer.returncode == 0 else []
