"""The doctor: what it asks, and that each fault is a NO with its remedy. The probes run for real, on this machine."""

import copy
import csv
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import setuptools

from lib import environment, files
from lib.doctor import checks as room
from lib.doctor import examination, installed
from lib.doctor.checks import NO, NOT_HERE, OK, checks
from lib.errors import UserError


@pytest.fixture(scope="module")
def examined():
    """One examination of this environment, through the command line."""
    command = [sys.executable, "-W", "ignore", "-m", "lib.doctor", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def probes(examined):
    return copy.deepcopy(examined["probes"])


def states(probes):
    return {one.check: one.state for one in checks(probes)}


def test_this_environment_has_no_fault_and_the_examination_is_kept(examined):
    assert examination.failed(examined) == []
    assert files.read_sealed(examination.result()) == examined
    assert environment.describe().items() <= examined["environment"].items()


@pytest.fixture
def gpu(monkeypatch, probes):
    """What both probes say on an A40; returns the probes, to be made wrong."""
    answers = {"driver_version": "535.104.05", "name": "NVIDIA A40", "clocks.sm": "1740 MHz", "power.draw": "80.00 W"}
    answers |= {"pci.bus_id": "00000000:3B:00.0", "uuid": "GPU-1234-abcd"}
    monkeypatch.setattr(environment, "nvidia", answers.__getitem__)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(environment, "nvidia_all", lambda query: [answers[query]])
    seen = {"name": "NVIDIA A40", "capability": [8, 6]}
    for framework, own in (("keras", {"pci": "0000:3b:00.0"}), ("pytorch", {"uuid": "1234-abcd"})):
        probe = probes[framework]
        probe["gpu"], probe["built_for"] = seen | own, "12.8"
        probe["loaded"] = {"cuda": "12.8", "cudnn": "9.10.2", "cudnn_cuda": "12.9"}
        for error in probe["errors"]["tf32"]:
            probe["errors"]["tf32"][error] = 5e-4
    return probes


def test_on_a_gpu_every_line_is_judged(gpu):
    assert set(states(gpu).values()) == {OK}


FAULTS = {
    "driver for PyTorch": lambda gpu: gpu["pytorch"].update(built_for="13.0", loaded={"cudnn": "none"}),
    "cuDNN of TensorFlow": lambda gpu: gpu["keras"]["loaded"].update(cudnn_cuda="13.0"),
    "same GPU": lambda gpu: gpu["pytorch"]["gpu"].update(uuid="another"),
    "memory growth": lambda gpu: gpu["keras"].update(memory_growth=False),
    "PyTorch in float32": lambda gpu: gpu["pytorch"]["errors"]["float32"].update(product=5e-4),
    "TensorFlow in tf32": lambda gpu: gpu["keras"]["errors"].update(tf32={"product": 3e-7, "convolution": 5e-4}),
    "PyTorch in float16": lambda gpu: gpu["pytorch"]["errors"]["float16"].update(convolution=0.9),
    "TensorFlow repeats itself": lambda gpu: gpu["keras"]["repeats"].update(float16=False),
    "CUBLAS_WORKSPACE_CONFIG": lambda gpu: gpu["pytorch"].update(workspace="set too late"),
    "workers": lambda gpu: gpu["pytorch"].update(loaders="bus error"),
    "TensorFlow computes": lambda gpu: gpu["keras"].update(error="no kernel image"),
}


@pytest.mark.parametrize("check", FAULTS)
def test_each_fault_is_a_no_with_its_remedy(gpu, check):
    FAULTS[check](gpu)
    found = {one.check: one for one in checks(gpu)}
    assert [name for name, one in found.items() if one.state == NO] == [check]
    assert found[check].remedy


def test_a_gpu_that_is_not_to_be_used_is_not_here(gpu, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    for probe in gpu.values():
        probe["gpu"] = None
    assert NO not in states(gpu).values()
    assert states(gpu)["same GPU"] == NOT_HERE


def test_another_cuda_s_cudnn_is_no_fault_where_no_gpu_would_use_it(probes, monkeypatch):
    monkeypatch.setattr(environment, "gpu_wanted", lambda: False)
    probes["keras"].update(built_for="12.5.1", loaded={"cuda": "none", "cudnn": "9.20.0", "cudnn_cuda": "13.2"})
    line = next(one for one in checks(probes) if one.check == "cuDNN of TensorFlow")
    assert (line.state, line.found) == (NOT_HERE, "cuDNN 9.20.0, and no GPU to use it")


def test_a_gpu_without_tf32_is_no_fault(gpu):
    gpu["pytorch"]["gpu"]["capability"] = gpu["keras"]["gpu"]["capability"] = [7, 5]
    assert {one for one, state in states(gpu).items() if state == NOT_HERE} == {"PyTorch in tf32", "TensorFlow in tf32"}


@pytest.mark.parametrize(("python", "state"), [((3, 10), NO), ((3, 11), OK), ((3, 13), OK), ((3, 14), NO)])
def test_a_python_that_the_locks_are_not_made_for_is_a_no(monkeypatch, python, state):
    monkeypatch.setattr(room, "sys", SimpleNamespace(version_info=python))
    assert next(room._machine()).state == state


def test_a_full_disk_is_a_no(probes, monkeypatch):
    monkeypatch.setattr(room, "LEAST_FREE", 1e18)
    found = states(probes)
    assert {found[f"disk of {name}"] for name in ("environment", "data", "runs")} == {NO}


def write_distribution(folder, name, version, **contents):
    """A distribution's metadata, as pip leaves them: paths with the hashes of what was installed there."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    with (info / "RECORD").open("w", newline="") as record:
        csv.writer(record).writerows([path, f"sha256={content}", ""] for path, content in contents.items())


@pytest.fixture
def two_cudnns(tmp_path, monkeypatch):
    """What the old GPU environment had: two wheels that install one file, here in small."""
    library, package = "made_up/lib/libcudnn.so.9", "made_up/__init__.py"
    write_distribution(tmp_path, "nvidia-cudnn-cu12", "9.28.0", **{library: "twelve", package: "empty"})
    write_distribution(tmp_path, "nvidia-cudnn-cu13", "9.20.0", **{library: "thirteen", package: "empty"})
    monkeypatch.syspath_prepend(tmp_path)


def test_a_file_that_two_packages_own_is_a_no_that_names_both_and_an_equal_one_is_not(two_cudnns, probes):
    found = next(one for one in checks(probes) if one.check == "one owner a file")
    assert found.state == NO
    assert found.found == (
        "1 of nvidia-cudnn-cu12 9.28.0 and nvidia-cudnn-cu13 9.20.0, such as made_up/lib/libcudnn.so.9"
    )
    assert "remove .venv" in found.remedy


def test_another_version_than_the_pin_is_a_no_that_names_both(monkeypatch, probes):
    found = installed.versions()
    monkeypatch.setattr(installed, "versions", lambda: found | {"numpy": "0.1"})
    wrong = next(one for one in checks(probes) if one.check == "versions")
    assert wrong.state == NO
    assert wrong.found == f"numpy 0.1, not {installed.pins('requirements.lock')['numpy']}"


def test_private_copies_of_setuptools_are_not_installed_packages(monkeypatch):
    before = installed.versions()
    monkeypatch.syspath_prepend(Path(setuptools.__file__).parent / "_vendor")
    assert metadata.version("wheel") != before["wheel"]
    assert installed.versions() == before
    assert not installed.shared_files()


def test_a_sweep_is_refused_where_the_doctor_says_no_and_told_why(examined, monkeypatch):
    monkeypatch.setattr(examination, "checks", lambda probes: [room.Check("same GPU", NO, "two", "take one away")])
    monkeypatch.setattr(examination, "_ask", lambda framework: examined["probes"][framework])
    files.write_sealed(examination.result(), examined)
    examination.require()
    files.write_sealed(examination.result(), examined | {"environment": {"gpu": "another"}})
    with pytest.raises(UserError, match=r"make doctor says NO:\n  same GPU: two; take one away"):
        examination.require()
    files.write_sealed(examination.result(), examined)


def test_a_framework_that_cannot_be_asked_is_a_no(examined):
    probe = examination._ask("nothing")
    assert "No module named" in probe["error"]
    found = states(examined["probes"] | {"pytorch": probe})
    assert found["PyTorch computes"] == NO


def test_versions_are_those_that_the_loaded_libraries_say(monkeypatch):
    class Runtime:
        def cudaRuntimeGetVersion(self, number):
            number._obj.value = 12080

    cudnn = SimpleNamespace(cudnnGetVersion=Mock(return_value=91002), cudnnGetCudartVersion=Mock(return_value=12090))
    monkeypatch.setattr(environment, "_loaded", {"libcudart.so": Runtime(), "libcudnn.so": cudnn}.get)
    assert environment.loaded_libraries() == {"cuda": "12.8", "cudnn": "9.10.2", "cudnn_cuda": "12.9"}
    monkeypatch.setattr(environment, "_loaded", lambda name: None)
    assert set(environment.loaded_libraries().values()) == {"none"}
