"""The checks of the doctor, each with what it found and the remedy for a fault."""

import platform
import re
import shutil
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from lib import environment, paths
from lib.doctor import installed

OK, NO, NOT_HERE = "ok", "NO", "not here"

DRIVERS = {"12": (525, 60), "13": (580, 65)}
"""The oldest Linux driver for each major version of CUDA.

Source: NVIDIA, CUDA Toolkit Release Notes, "CUDA Toolkit and Minimum Required Driver Version for CUDA Minor Version
Compatibility".
"""

LEAST_FREE = 1e9
"""The fewest free bytes on a disk with which the quick start can be finished."""

EXACT, COARSE = 5e-5, 0.05
"""Limits of errors, as shares of the largest value: float32 is below the first, TF32 and float16 between the two."""

NO_GPU = "set CUDA_VISIBLE_DEVICES=-1 to train on the CPU"

FRAMEWORKS = {"pytorch": "PyTorch", "keras": "TensorFlow"}


class Check(NamedTuple):
    """One line of the doctor's table; `remedy` is empty unless the state is NO."""

    check: str
    state: str
    found: str
    remedy: str = ""


def checks(probes: dict[str, dict[str, Any]]) -> list[Check]:
    """Return every check, given the output of each framework's probe."""
    return [*_machine(), *_installation(), *_libraries(probes), *_gpu(probes), *_computing(probes)]


def _judged(check: str, passed: bool, found: str, remedy: str) -> Check:
    return Check(check, OK, found) if passed else Check(check, NO, found, remedy)


def _machine() -> Iterator[Check]:
    found = f"{platform.python_version()} on {platform.platform(terse=True)}"
    suits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield _judged("Python", suits, found, "remove .venv, then: make env PYTHON=/path/to/python3.12")
    for name, folder in (("environment", paths.LIB), ("data", paths.DATA), ("runs", paths.EXECUTED)):
        existing = next(one for one in (folder, *folder.parents) if one.exists())
        free = shutil.disk_usage(existing).free
        found = f"{free / 1e9:,.0f} GB free"
        yield _judged(f"disk of {name}", free > LEAST_FREE, found, f"make room on the disk of {existing}")


def _installation() -> Iterator[Check]:
    chosen = installed.framework_set()
    again = "remove .venv, then: make env"
    wrong = [*(f"{name} is missing" for name in installed.missing()), *installed.unpinned()]
    yield _judged("versions", not wrong, "; ".join(wrong) or f"as the locks of the {chosen} set name them", again)
    shared = installed.shared_files()
    yield _judged("one owner a file", not shared, _owners(shared) or "no file of two packages", again)


def _owners(shared: dict[str, list[str]]) -> str:
    """Return the packages that own the same files as text, with their number and one of them: a library if possible."""
    pairs: dict[str, list[str]] = {}
    for path, names in shared.items():
        pairs.setdefault(" and ".join(names), []).append(path)
    some = {names: min(files, key=lambda file: (".so" not in file, file)) for names, files in pairs.items()}
    return "; ".join(f"{len(pairs[names])} of {names}, such as {file}" for names, file in some.items())


def _libraries(probes: dict[str, dict[str, Any]]) -> Iterator[Check]:
    driver = environment.nvidia("driver_version") if environment.gpu_wanted() else "none"
    for framework, title in FRAMEWORKS.items():
        probe = probes[framework]
        major = probe.get("built_for", "none").partition(".")[0]
        yield _driver(title, driver, major)
        loaded = probe["loaded"]
        if "none" in (loaded["cudnn"], driver):
            # PyPI's PyTorch brings a cuDNN to machines without a GPU too, and TensorFlow opens it, but nothing uses it.
            found = "none loaded" if loaded["cudnn"] == "none" else f"cuDNN {loaded['cudnn']}, and no GPU to use it"
            yield Check(f"cuDNN of {title}", NOT_HERE, found)
            continue
        found = f"cuDNN {loaded['cudnn']} for CUDA {loaded['cudnn_cuda']}, {title} for CUDA {probe.get('built_for')}"
        fits = loaded["cudnn_cuda"].partition(".")[0] == major
        remedy = "a cuDNN for another CUDA is installed in its place: remove .venv, then: make env"
        yield _judged(f"cuDNN of {title}", fits, found, remedy)


def _driver(title: str, driver: str, major: str) -> Check:
    check = f"driver for {title}"
    if driver == "none" or major == "none":
        return Check(check, NOT_HERE, "no GPU" if driver == "none" else "built without CUDA")
    least = DRIVERS.get(major)
    if least is None or not re.match(r"\d+\.\d+", driver):
        return Check(check, NO, f"driver {driver}, CUDA {major}", "nvidia-smi must name a driver for this CUDA")
    found = f"{driver}; CUDA {major} runs from {least[0]}.{least[1]:02} on"
    number = tuple(int(part) for part in driver.split(".")[:2])
    remedy = f"update the driver; or make env SET=gpu, which has CUDA 12; or {NO_GPU}"
    return _judged(check, number >= least, found, remedy)


def _gpu(probes: dict[str, dict[str, Any]]) -> Iterator[Check]:
    names = ("same GPU", "memory growth", "clock and power")
    if not environment.gpu_wanted():
        yield from (Check(check, NOT_HERE, "no GPU") for check in names)
        return
    seen = {framework: probes[framework].get("gpu") or {} for framework in FRAMEWORKS}
    by_bus = dict(zip(*(map(str.lower, environment.nvidia_all(one)) for one in ("pci.bus_id", "uuid")), strict=True))
    keras = next((uuid for bus, uuid in by_bus.items() if bus.endswith(seen["keras"].get("pci", "none").lower())), "?")
    pytorch = f"gpu-{seen['pytorch'].get('uuid', '').lower().removeprefix('gpu-')}"
    found = "; ".join(f"{FRAMEWORKS[one]}: {gpu.get('name', 'none')}" for one, gpu in seen.items())
    alike = keras == pytorch and seen["keras"].get("name") == seen["pytorch"].get("name")
    yield _judged(names[0], alike, f"{found}; {pytorch}", f"make env SET=gpu; or {NO_GPU}")
    grows = probes["keras"].get("memory_growth", False)
    yield _judged(names[1], grows, "on" if grows else "off", "unset TF_FORCE_GPU_ALLOW_GROWTH")
    values = [environment.nvidia(query) for query in ("clocks.sm", "power.draw")]
    readable = all(re.match(r"\d", value) for value in values)
    yield _judged(names[2], readable, ", ".join(values), "nvidia-smi needs the right to read both")


def _computing(probes: dict[str, dict[str, Any]]) -> Iterator[Check]:
    for framework, title in FRAMEWORKS.items():
        probe = probes[framework]
        if "error" in probe:
            remedy = f"python -m lib.{framework}.probe shows it whole"
            yield Check(f"{title} computes", NO, probe["error"], remedy)
            continue
        yield from _precisions(title, probe)
        repeats = [name for name, same in probe["repeats"].items() if not same]
        found = f"two steps twice: other bits in {', '.join(repeats)}" if repeats else "two steps twice: the same bits"
        yield _judged(f"{title} repeats itself", not repeats, found, "report this GPU, driver and set")
    workspace = probes["pytorch"].get("workspace", "")
    yield _judged("CUBLAS_WORKSPACE_CONFIG", workspace == ":4096:8", workspace or "not set", "the learner sets it")
    loaders = probes["pytorch"].get("loaders", "not started")
    shared = f"{shutil.disk_usage('/dev/shm').total / 1e9:.1f} GB shared memory" if sys.platform == "linux" else ""
    remedy = "give /dev/shm 1 GB or more (docker run --shm-size=8g), or set num_workers: 0"
    yield _judged("workers", loaders == "ok", f"{loaders}, {shared}", remedy)


def _precisions(title: str, probe: dict[str, Any]) -> Iterator[Check]:
    for name, errors in probe["errors"].items():
        check, found = f"{title} in {name}", ", ".join(f"{what} {error:.1e}" for what, error in errors.items())
        low, high = min(errors.values()), max(errors.values())
        if name == "float32":
            yield _judged(check, high < EXACT, found, "TF32 is used though it is switched off: report this GPU and set")
        elif probe["gpu"] is None:
            yield Check(check, NOT_HERE, "no GPU")
        elif name == "tf32" and probe["gpu"]["capability"] < [8, 0]:
            yield Check(check, NOT_HERE, "this GPU has no TF32")
        else:
            remedy = f"{name} is switched on but not used: report this GPU and set"
            yield _judged(check, low > EXACT and high < COARSE, found, remedy)
