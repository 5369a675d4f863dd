"""What a machine tells of its work: how much of it is not this run's, and what its GPUs do."""

import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

import psutil

from lib import environment

_RUN = "lib.sweep.cell"
"""The module whose process trains a run, in a kernel that is its child."""

_REASONS = "nvmlDeviceGetCurrentClocksThrottleReasons"  # the newer name, of "event reasons", needs a newer driver
_SLOWED = 0x08 | 0x20 | 0x40 | 0x80
"""The reasons why a GPU lowers its clock to protect itself: hardware slowdown, heat (two bits), and power brake.

The cap of its power is none of them: a GPU at work is often at it. Source: NVML's API reference,
`nvmlClocksThrottleReasons`.
"""


class Counters(NamedTuple):
    """What has added up until one moment, in seconds; the energy is in joules.

    `total`, `busy` and `stolen` are CPU time of the cores that this process may use, `own` is that of this process and
    its children. Stolen is what the host of a virtual machine did not give it. The energy is that of its GPUs.
    """

    clock: float
    total: float
    busy: float
    stolen: float
    own: float
    energy: float


_UNKNOWN = Counters(*[math.nan] * 6)


def counters() -> Counters:
    """Read the counters, so that `state` can tell what has happened since."""
    every, usable = psutil.cpu_times(percpu=True), set(environment.core_numbers())
    cores = [times for number, times in enumerate(every) if number in usable] or every
    sums = {name: sum(getattr(times, name) for times in cores) for name in cores[0]._fields}
    total = sum(sums.values()) - sums.get("guest", 0) - sums.get("guest_nice", 0)  # the user's time has both: proc(5)
    stolen = sums.get("steal", 0.0)
    busy = total - stolen - sums["idle"] - sums.get("iowait", 0.0)
    energy = _over(sum, _answers("nvmlDeviceGetTotalEnergyConsumption")) / 1000
    return Counters(time.monotonic(), total, busy, stolen, _own_seconds(), energy)


def state(since: Counters = _UNKNOWN) -> dict[str, float]:
    """Return the state of the machine: the columns of `lib.runs.machine` but its first two.

    Shares and energy are those of the time since the counters were read, and NaN without them. So is what the machine
    does not tell, such as all of a GPU where there is none, or no package `nvidia-ml-py`. Of several GPUs the clock and
    the utilisation are the lowest, the temperature is the highest, and power and energy are sums.
    """
    passed = Counters(*(after - before for after, before in zip(counters(), since, strict=True)))
    total = passed.total or math.nan  # of a moment too short for the system's clock
    return {
        "seconds": passed.clock,
        "load": os.getloadavg()[0],
        "steal": passed.stolen / total,
        "others": max(passed.busy - passed.own, 0.0) / total,
        "other_runs": _other_runs(),
        "gpu_clock": _over(min, _answers("nvmlDeviceGetClockInfo", "NVML_CLOCK_SM")),
        "gpu_temperature": _over(max, _answers("nvmlDeviceGetTemperature", "NVML_TEMPERATURE_GPU")),
        "gpu_power": _over(sum, _answers("nvmlDeviceGetPowerUsage")) / 1000,
        "gpu_utilisation": _over(min, [rates.gpu for rates in _answers("nvmlDeviceGetUtilizationRates")]) / 100,
        "gpu_slowed": _over(max, [bits & _SLOWED > 0 for bits in _answers(_REASONS)]),
        "gpu_energy": passed.energy,
    }


def _own_seconds() -> float:
    """Return the CPU time of this process and its children, those that have ended included."""
    this, seconds = psutil.Process(), 0.0
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.Error):  # it has just ended, and its parent counts it
            seconds += sum(process.cpu_times()[:4])  # user, system, and both of the children that were waited for
    return seconds


def _other_runs() -> int:
    """Return how many other runs of this project train on the machine, in any folder and of any user.

    A run that waits for a slot has no child yet. What runs in another container is not seen.
    """
    own = {process.pid for process in psutil.Process().parents()}
    found = list(psutil.process_iter(["ppid", "cmdline"]))
    runs = {one.pid for one in found if _RUN in (one.info["cmdline"] or ())} - own
    return len(runs & {one.info["ppid"] for one in found})


@cache
def _gpus() -> list[Any]:
    """Return NVML's handles of the GPUs that `CUDA_VISIBLE_DEVICES` leaves visible; none without its package."""
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByUUID(gpu.uuid) for gpu in environment.visible_gpus()]
    except pynvml.NVMLError:
        return []


def _answers(question: str, *constants: str) -> list[Any]:
    """Return NVML's answer to a question for each GPU; none where one of them does not know it."""
    if not _gpus():
        return []
    import pynvml

    arguments = [getattr(pynvml, name) for name in constants]
    try:
        return [getattr(pynvml, question)(gpu, *arguments) for gpu in _gpus()]
    except pynvml.NVMLError:
        return []


def _over(combine: Callable[[Sequence[float]], float], answers: Sequence[float]) -> float:
    return float(combine(answers)) if answers else math.nan
