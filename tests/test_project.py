"""One place names the versions, and the others are in step with it; each room stands above what it imports."""

import ast
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from collections import defaultdict
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from lib.doctor import installed

PROJECT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
PYTHONS = ["3.11", "3.12", "3.13"]
LOCKS = ("requirements.lock", "requirements-{}.lock")


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(*sets):
    """The pins of the common lock and of these sets' locks, or of the set that is installed."""
    names = [f"requirements-{name}.lock" for name in sets or (installed.framework_set(),)]
    return {package: pin for name in ("requirements.lock", *names) for package, pin in installed.pins(name).items()}


def required():
    lists = (PYPROJECT["project"]["dependencies"], *PYPROJECT["project"]["optional-dependencies"].values())
    return [requirement for requirements in lists for requirement in requirements]


@pytest.mark.parametrize("name", installed.SETS)
def test_only_the_locks_name_versions_and_each_set_has_one_for_every_requirement(name):
    for requirement in required():
        assert not re.search(r"[=<>~!]", requirement), f"{requirement} names a version: the lock is the place"
        assert normal(requirement.split("[")[0]) in locked(name)


@pytest.mark.parametrize("name", installed.SETS)
def test_no_version_stands_in_two_places(name):
    assert not installed.pins("requirements.lock").keys() & installed.pins(f"requirements-{name}.lock").keys()


def test_what_is_installed_is_what_the_lock_says():
    extras = PYPROJECT["project"]["optional-dependencies"]
    optional = {
        requirement for name in ("gpu", "wandb", "slurm", "kubernetes", "browser") for requirement in extras[name]
    }
    for requirement in set(required()) - optional:
        name = requirement.split("[")[0]
        assert metadata.version(name).split("+")[0] == locked()[normal(name)]


def test_the_locks_are_portable():
    for path in PROJECT.glob("requirements*.lock"):
        assert not re.search(r"@|file:|://|\+cpu", path.read_text())


def test_the_sets_differ_in_the_frameworks_alone_and_the_readme_names_how():
    differing = installed.differing_pins()
    assert set(differing) == {"torch", "torchvision", "tensorflow"}
    readme = (PROJECT / "README.md").read_text()
    for name, (cpu, gpu) in differing.items():
        assert re.search(rf"{name}`? *\| *{re.escape(cpu)} *\| *{re.escape(gpu)}", readme, re.IGNORECASE), name


def test_the_gpu_set_is_made_for_one_cuda():
    """The suffix of NVIDIA's wheels is the major version of the CUDA that they belong to."""
    majors = {re.search(r"-cu(\d+)$", name)[1] for name in installed.pins("requirements-gpu.lock") if "nvidia" in name}
    assert majors == {"12"}


@pytest.mark.skipif("PAIRED_TEST_REGISTRY" not in os.environ, reason="asks the registry: set PAIRED_TEST_REGISTRY=1")
def test_the_gpu_set_resolves_to_its_lock_and_no_two_of_its_wheels_own_one_file(tmp_path):
    """Only the list of files at the end of each wheel is read, not the gigabytes before it."""
    locks = [f"--constraint={PROJECT / name}" for name in ("requirements.lock", "requirements-gpu.lock")]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report=report"]
    subprocess.run([*command, *locks, "torch", "torchvision", "tensorflow[and-cuda]"], check=True, cwd=tmp_path)
    found = json.loads((tmp_path / "report").read_text())["install"]
    owners = defaultdict(dict)
    for wheel in found:
        name, version = normal(wheel["metadata"]["name"]), wheel["metadata"]["version"].split("+")[0]
        assert locked("gpu")[name] == version
        if name.startswith("nvidia") or name in ("torch", "tensorflow", "triton"):
            for file in RemoteZip(wheel["download_info"]["url"]).infolist():
                owners[file.filename][name] = file.CRC
    shared = {path: sorted(names) for path, names in owners.items() if len(set(names.values())) > 1}
    assert shared == {}
    assert {name.rpartition("-")[2] for names in owners.values() for name in names if "nvidia" in name} == {"cu12"}


class RemoteZip(zipfile.ZipFile):
    """A zip file on a server, of which only the directory at its end is fetched; a file on this disk is read as one."""

    def __init__(self, url):
        super().__init__(url.removeprefix("file://") if url.startswith("file:") else RemoteFile(url))


class RemoteFile(io.RawIOBase):
    """A file on a server that answers Range requests."""

    def __init__(self, url):
        self.url, self.position = url, 0
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD")) as answer:
            self.size = int(answer.headers["Content-Length"])

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        self.position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        return self.position

    def tell(self):
        return self.position

    def read(self, count=-1):
        end = self.size if count < 0 else min(self.position + count, self.size)
        if end == self.position:
            return b""
        request = urllib.request.Request(self.url, headers={"Range": f"bytes={self.position}-{end - 1}"})
        with urllib.request.urlopen(request) as answer:
            content = answer.read()
        assert len(content) == end - self.position, "the server sent the whole file"
        self.position = end
        return content


def test_every_place_names_the_same_pythons():
    suits = SpecifierSet(PYPROJECT["project"]["requires-python"])
    assert [one for one in (f"3.{minor}" for minor in range(99)) if one in suits] == PYTHONS
    assert f"\nSUITABLE := {' '.join(PYTHONS)}\n" in (PROJECT / "Makefile").read_text()
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{PYTHONS[0].replace('.', '')}"
    assert platform.python_version() in suits


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", installed.SETS)
def test_each_python_has_one_pin_for_every_requirement(name, python):
    lines = [line for lock in LOCKS for line in (PROJECT / lock.format(name)).read_text().splitlines()]
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    here = [normal(pin.name) for pin in pins if not pin.marker or pin.marker.evaluate({"python_version": python})]
    assert len(here) == len(set(here))
    assert {normal(requirement.split("[")[0]) for requirement in required()} <= set(here)


def test_only_the_pins_that_hold_for_this_python_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(installed, "LOCKS", tmp_path)
    (tmp_path / "a.lock").write_text('# c\nA_b==1.0\nc==2; python_version < "3"\nd==3; python_version >= "3"\n')
    assert installed.pins("a.lock") == {"a-b": "1.0", "d": "3"}


@pytest.fixture
def make_env(tmp_path):
    """Run `make env` in a folder of its own, with a made-up interpreter of each version; each stops before pip."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-cpu.lock"):
        shutil.copy(PROJECT / name, tmp_path)
    for minor in (10, 12, 13, 14):
        python = tmp_path / f"p{minor}"
        python.write_text(f'#!/bin/sh\n[ "$1" = -c ] && echo 3.{minor} && exit\necho "p{minor} $*"\nexit 1\n')
        python.chmod(0o755)

    def run(pythons):
        command = ["make", "env", "ENV=", "SET=cpu", f"PYTHON={pythons}"]
        outer = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}  # `make test` sets them, and an inner make then says where it is
        here = {name: value for name, value in os.environ.items() if name not in outer}
        return subprocess.run(command, cwd=tmp_path, env=here, capture_output=True, text=True, check=False)

    return run


def test_make_takes_the_first_python_that_suits(make_env):
    assert make_env("./missing ./p10 ./p13 ./p12").stdout == "p13 -m venv --clear .venv\n"


def test_make_keeps_what_its_python_installed_and_clears_what_another_did(make_env, tmp_path):
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(tmp_path / "p12")
    assert make_env(".venv/bin/python ./p13").stdout.split()[1:] == ["-m", "venv", ".venv"]
    assert make_env("./p13").stdout == "p13 -m venv --clear .venv\n"


@pytest.mark.parametrize(
    ("pythons", "found"), [("./p10 ./p14", "./p10 is 3.10, ./p14 is 3.14"), ("./missing", "none of ./missing runs")]
)
def test_without_a_suitable_python_make_says_what_it_found_and_how_to_get_one(make_env, pythons, found):
    ended = make_env(pythons)
    error = ended.stderr.splitlines()[0]
    assert ended.returncode
    assert error.startswith(f"error: Python 3.11, 3.12 or 3.13 is needed, and {found}: get one with ")
    assert "uv python install 3." in error
    assert "conda create" in error
    assert "PYTHON=/path/to/" in error


def test_conda_brings_a_python_that_suits_and_the_same_lock():
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    python = next(item for item in environment["dependencies"] if str(item).startswith("python="))
    assert python.removeprefix("python=") in PYTHONS
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert pip == ["-c requirements.lock", "-c requirements-gpu.lock", "-e .[gpu,dev]"]


def imports(path):
    """The modules of `lib` that a module imports, be it inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def graph():
    modules = {}
    for path in (PROJECT / "lib").rglob("*.py"):
        name = ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
        modules[name] = set(imports(path))
    return {name: {other for other in found if other in modules and other != name} for name, found in modules.items()}


def room(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (PROJECT / "lib" / parts[1]).is_dir() else "ground"


def allowed():
    """The rooms that each room may import, from the README's table: those beside it, and what these may import."""
    rows = re.findall(r"^\| `?(\w+)`? \| [^|]+ \| ([\w, ]*) ?\|$", (PROJECT / "README.md").read_text(), re.MULTILINE)
    stated = {name: set(re.findall(r"\w+", others)) for name, others in rows if (PROJECT / "lib" / name).is_dir()}
    stated["ground"] = set()
    found = {}
    for name in stated:
        reached, fresh = set(), {name}
        while fresh:
            reached |= fresh
            fresh = {other for one in fresh for other in stated[one]} - reached
        found[name] = reached | {"ground"}
    return found


def test_the_readme_s_table_of_rooms_is_what_the_modules_import():
    rooms = allowed()
    assert set(rooms) - {"ground"} == {path.parent.name for path in (PROJECT / "lib").glob("*/__init__.py")}
    for module, found in graph().items():
        for other in found:
            assert room(other) in rooms[room(module)], f"{module} imports {other}"
    assert "keras" not in rooms["pytorch"]
    assert "pytorch" not in rooms["keras"]
    for name in ("study", "data", "runs", "training", "sweep", "analysis", "figures", "report"):
        assert not {"keras", "pytorch", "parity", "bench"} & rooms[name]
    assert not {"training", "figures"} & rooms["analysis"]
    assert not any("report" in others for name, others in rooms.items() if name != "report")


def test_no_import_goes_in_a_circle_among_modules_or_rooms():
    modules = graph()
    packages = {name for name in modules if any(other.startswith(f"{name}.") for other in modules)}
    rooms = {name: others - {name} for name, others in allowed().items()}
    for nodes, ignored in ((modules, packages), (rooms, set())):
        settled = set()
        while ready := {name for name in nodes.keys() - settled if nodes[name] - ignored <= settled}:
            settled |= ready
        assert settled == nodes.keys()


def test_no_module_has_more_than_300_lines():
    long = {path.name: n for path in PROJECT.glob("lib/**/*.py") if (n := len(path.read_text().splitlines())) > 300}
    assert long == {}


def test_every_test_that_the_list_of_proofs_names_is_there():
    cited = re.findall(r"`([\w/]+\.py)::(\w+)", (PROJECT / "tests/README.md").read_text())
    assert len(cited) > 90
    for file, name in cited:
        assert f"def {name}(" in (PROJECT / "tests" / file).read_text(), f"{file} has no {name}"
