"""One place names the versions, and the others are in step with it; each room stands above what it imports."""

import ast
import platform
import re
import tomllib
from importlib import metadata
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def locked():
    lines = (PROJECT / "requirements.lock").read_text().splitlines()
    pins = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {normal(name): version for name, version in pins}


def required():
    lists = (PYPROJECT["project"]["dependencies"], *PYPROJECT["project"]["optional-dependencies"].values())
    return [requirement for requirements in lists for requirement in requirements]


def test_only_the_lock_names_versions_and_it_names_one_for_every_requirement():
    for requirement in required():
        assert not re.search(r"[=<>~!]", requirement), f"{requirement} names a version: the lock is the place"
        assert normal(requirement.split("[")[0]) in locked()


def test_what_is_installed_is_what_the_lock_says():
    for requirement in required():
        name = requirement.split("[")[0]
        assert metadata.version(name).split("+")[0] == locked()[normal(name)]


def test_the_lock_is_portable():
    text = (PROJECT / "requirements.lock").read_text()
    assert not re.search(r"@|file:|://|\+cpu", text)
    assert locked()["torch"] == "2.13.0"
    assert locked()["torchvision"] == "0.28.0"


def test_conda_brings_the_same_python_and_the_same_lock():
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    python = next(item for item in environment["dependencies"] if str(item).startswith("python="))
    assert PYPROJECT["project"]["requires-python"].startswith(f">={python.removeprefix('python=')},")
    assert platform.python_version().startswith(python.removeprefix("python="))
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert pip == ["-c requirements.lock", "-e .[gpu,dev]"]


def imports(path):
    """The modules of `lib` that a module imports when it is imported itself."""
    for node in ast.parse(path.read_text()).body:
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


def test_no_import_goes_in_a_circle():
    modules, settled = graph(), set()
    packages = {name for name in modules if any(other.startswith(f"{name}.") for other in modules)}
    while ready := {name for name in modules.keys() - settled if modules[name] - packages <= settled}:
        settled |= ready
    assert settled == modules.keys()


def test_neither_framework_s_room_imports_the_other_and_only_parity_imports_both():
    for name, found in graph().items():
        keras = any(other.startswith("lib.keras") for other in found)
        pytorch = any(other.startswith("lib.pytorch") for other in found)
        assert not (name.startswith("lib.keras") and pytorch)
        assert not (name.startswith("lib.pytorch") and keras)
        if not name.startswith(("lib.keras", "lib.pytorch", "lib.parity")):
            assert not keras
            assert not pytorch


def test_the_names_a_parameter_can_take_are_those_that_exist():
    from typing import get_args

    from lib import params
    from lib.data.catalog import CATALOG
    from lib.keras.models import MODELS as KERAS
    from lib.pytorch.models import MODELS as PYTORCH

    assert set(get_args(params.ModelName)) == set(KERAS) == set(PYTORCH)
    assert set(get_args(params.DatasetName)) == set(CATALOG)
    chapters = {path.stem for path in (PROJECT / "notebooks").glob("*.py")}
    assert chapters >= set(get_args(params.ChapterName))


def test_every_test_that_the_list_of_proofs_names_is_there():
    cited = re.findall(r"`([\w/]+\.py)::(\w+)", (PROJECT / "tests/README.md").read_text())
    assert len(cited) > 90
    for file, name in cited:
        assert f"def {name}(" in (PROJECT / "tests" / file).read_text(), f"{file} has no {name}"
