"""The packages that pip has installed: their versions and pins, and files that two of them own."""

import csv
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from lib import paths

LOCKS = paths.LIB.parent
"""The folder of `requirements.lock` and of one lock for each set."""

SETS = ("cpu", "gpu")
"""The two sets of frameworks: for machines without and with an NVIDIA GPU."""


def versions() -> dict[str, str]:
    """Return every installed distribution with its version, by normalised name, without a build's own suffix."""
    return {_normal(one.name): one.version.split("+")[0] for one in _distributions()}


def pins(name: str) -> dict[str, str]:
    """Return the versions in a lock file, such as `requirements.lock`, for this Python, by normalised name."""
    lines = (LOCKS / name).read_text(encoding="utf-8").splitlines()
    named = (Requirement(line) for line in lines if line and not line.startswith("#"))
    here = (one for one in named if one.marker is None or one.marker.evaluate())
    return {_normal(one.name): str(one.specifier).removeprefix("==") for one in here}


def framework_set() -> str:
    """Return the set with the most pins installed: `cpu` or `gpu`."""
    found = versions()
    return max(SETS, key=lambda one: sum(found.get(name) == pin for name, pin in _frameworks(one).items()))


def _frameworks(name: str) -> dict[str, str]:
    """Return a set's pins of the packages that every set has: the frameworks."""
    shared = set.intersection(*(set(pins(f"requirements-{one}.lock")) for one in SETS))
    return {package: pin for package, pin in pins(f"requirements-{name}.lock").items() if package in shared}


def differing_pins() -> dict[str, tuple[str, str]]:
    """Return the frameworks' pins by package: the version on a machine without and with a GPU."""
    cpu, gpu = (_frameworks(one) for one in SETS)
    return {package: (cpu[package], gpu[package]) for package in cpu}


def unpinned() -> list[str]:
    """Return the packages in another version than their pin, as `package version, not pin`."""
    found, pinned = versions(), pins("requirements.lock") | pins(f"requirements-{framework_set()}.lock")
    return [f"{name} {found[name]}, not {pin}" for name, pin in pinned.items() if found.get(name, pin) != pin]


def missing() -> list[str]:
    """Return the project's requirements that are not installed."""
    required = [line for line in metadata.requires("paired-seeds") or [] if "extra ==" not in line]
    return sorted({_normal(re.split(r"[^\w.-]", line)[0]) for line in required} - set(versions()))


def shared_files() -> dict[str, list[str]]:
    """Return the files that several distributions installed with different contents: path, and their names.

    The distribution that was installed last has overwritten the others. Every wheel lists its files and their hashes.

    Source: the packaging user guide, "Recording installed projects", the RECORD file.
    """
    owners: dict[str, dict[str, str]] = defaultdict(dict)
    for one in _distributions():
        name = f"{one.name} {one.version}"
        for path, content, _ in csv.reader((one.read_text("RECORD") or "").splitlines()):
            if content:
                owners[path][name] = content
    return {path: sorted(found) for path, found in owners.items() if len(set(found.values())) > 1}


def _distributions() -> Iterator[metadata.Distribution]:
    """Return the distributions on the path, without setuptools' private copies, whose folder it adds when imported."""
    return metadata.distributions(path=[folder for folder in sys.path if Path(folder).name != "_vendor"])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
