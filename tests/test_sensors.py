"""The state of a machine, from a made-up /proc and a made-up NVML, and from this machine's own processes."""

import math
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from lib import environment, sensors
from lib.runs import machine

GPU_COLUMNS = [name for name in machine.COLUMNS if name.startswith("gpu_")]


@pytest.fixture
def cores(monkeypatch, tmp_path):
    """Returns a function that writes /proc/stat: for each core its user, system, idle and stolen hundredths."""
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    monkeypatch.setattr(sensors, "_other_runs", lambda: 0)
    monkeypatch.setattr(environment.os, "sched_getaffinity", lambda _: {0, 2})

    def write(*rows, own=0.0):
        lines = [f"cpu{n} {u} 0 {s} {i} 7 0 0 {st} {u} 0" for n, (u, s, i, st) in enumerate(rows)]
        (tmp_path / "stat").write_text("\n".join(["cpu 1 1 1 1 1 1 1 1 1 1", *lines, "intr 1\n"]))
        monkeypatch.setattr(sensors, "_own_seconds", lambda: own)

    return write


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_shares_are_of_the_cores_that_the_run_may_use(cores):
    """Of 20 seconds on cores 0 and 2, 12 are busy, 9 of them by this run, and 1 is stolen. Core 1 is another's."""
    cores((100, 0, 100, 0), (0, 0, 0, 0), (0, 0, 0, 0), own=50.0)
    before = sensors.counters()
    cores((900, 100, 200, 0), (5000, 0, 0, 5000), (200, 100, 600, 100), own=59.0)
    found = sensors.state(before)
    assert found["others"] == pytest.approx(3 / 20)
    assert found["steal"] == pytest.approx(1 / 20)
    assert 0 <= found["seconds"] < 10
    assert list(found) == list(machine.COLUMNS)[2:]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_what_cannot_be_known_is_nan_and_clocks_that_disagree_give_no_negative_share(cores):
    cores(*[(100, 0, 100, 0)] * 3)
    alone, before = sensors.state(), sensors.counters()
    assert [name for name, value in alone.items() if math.isnan(value)] == ["seconds", "steal", "others", *GPU_COLUMNS]
    assert math.isnan(sensors.state(before)["others"])  # no time has passed
    cores(*[(200, 0, 200, 0)] * 3, own=2.1)
    assert sensors.state(before)["others"] == 0


def test_the_time_of_children_is_the_run_s_own_while_they_live_and_after():
    burn = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ninput()"
    before = sensors._own_seconds()
    with subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        assert sensors._own_seconds() - before >= 0.45
        child.communicate(b"\n")
    assert sensors._own_seconds() - before >= 0.45


def test_other_runs_are_those_that_have_begun_a_kernel(monkeypatch):
    monkeypatch.setattr(sensors, "_RUN", "a.run.of.this.test")
    kernel = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    assert sensors._other_runs() == 0
    for program, expected in (("input()", 0), (kernel, 1)):
        with subprocess.Popen([sys.executable, "-c", program, sensors._RUN], stdin=subprocess.PIPE) as run:
            waited = time.monotonic() + 20
            while expected and not psutil.Process(run.pid).children() and time.monotonic() < waited:
                time.sleep(0.01)
            assert sensors._other_runs() == expected
            run.communicate(b"\n")


class Unknown(Exception):
    """In place of `pynvml.NVMLError`."""


class Nvml:
    """A made-up NVML of three GPUs; `energy`, in millijoules, may be unknown."""

    NVMLError, NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = Unknown, 1, 0

    def __init__(self):
        self.energy = {"GPU-00": 1_000_000, "GPU-11": 2_000_000, "GPU-22": 0}

    def nvmlInit(self):
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid):
        return uuid

    def nvmlDeviceGetClockInfo(self, gpu, kind):
        assert kind == self.NVML_CLOCK_SM
        return {"GPU-00": 1980, "GPU-11": 1200, "GPU-22": 300}[gpu]

    def nvmlDeviceGetTemperature(self, gpu, sensor):
        return {"GPU-00": 40, "GPU-11": 60, "GPU-22": 90}[gpu]

    def nvmlDeviceGetPowerUsage(self, gpu):
        return 300_000

    def nvmlDeviceGetUtilizationRates(self, gpu):
        return SimpleNamespace(gpu=98, memory=30)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, gpu):
        return {"GPU-00": 0x4, "GPU-11": 0x4, "GPU-22": 0x40}[gpu]

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu):
        if self.energy is None:
            raise Unknown
        return self.energy[gpu]


@pytest.fixture
def nvml(monkeypatch):
    gpus = [environment.Gpu(str(k), f"GPU-{k}{k}") for k in range(3)]
    monkeypatch.setattr(environment.shutil, "which", lambda _: "nvidia-smi")
    monkeypatch.setattr(environment, "nvidia_all", lambda _: [", ".join(gpu) for gpu in gpus])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    found = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", found)
    sensors._gpus.cache_clear()
    yield found
    sensors._gpus.cache_clear()


def test_gpus_are_those_of_the_run_alone(nvml):
    before = sensors.counters()
    nvml.energy = {"GPU-00": 1_500_000, "GPU-11": 2_250_000, "GPU-22": 9_000_000}
    found = sensors.state(before)
    assert [found[name] for name in GPU_COLUMNS] == [1200, 60, 600, 0.98, 0, 750]


def test_a_gpu_that_is_too_hot_is_slowed_and_one_at_its_cap_is_not(nvml, monkeypatch):
    assert sensors.state()["gpu_slowed"] == 0
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    sensors._gpus.cache_clear()
    assert sensors.state()["gpu_slowed"] == 1


def test_a_question_that_a_gpu_does_not_answer_leaves_the_others(nvml):
    nvml.energy = None
    found = sensors.state(sensors.counters())
    assert math.isnan(found["gpu_energy"])
    assert found["gpu_clock"] == 1200


def test_no_gpu_is_asked_where_none_is_visible(nvml, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    sensors._gpus.cache_clear()
    assert all(math.isnan(sensors.state()[name]) for name in GPU_COLUMNS)
