"""Clusters: Snakemake's options for an executor plugin, in a profile `params/profiles/<name>/config.yaml`."""

from importlib.util import find_spec

import yaml

from lib import paths
from lib.errors import ParameterError


def options(profile: str, at_once: int | None) -> list[str]:
    """Return Snakemake's options for a cluster, with `at_once` in place of the profile's number of `jobs`.

    Raises:
        ParameterError: there is no such profile, it names no executor, or the executor's plugin is not installed.
    """
    found = {path.parent.name: path for path in sorted((paths.PARAMS / "profiles").glob("*/config.yaml"))}
    if profile not in found:
        raise ParameterError(f"PROFILE: no profile {profile!r} in params/profiles; choose from: {', '.join(found)}")
    executor = (yaml.safe_load(found[profile].read_text(encoding="utf-8")) or {}).get("executor")
    if executor is None:
        raise ParameterError(f"params/profiles/{profile}/config.yaml names no executor, such as slurm")
    if find_spec(f"snakemake_executor_plugin_{executor.replace('-', '_')}") is None:
        raise ParameterError(
            f"PROFILE={profile} needs a package that is not installed: "
            f".venv/bin/pip install -e '.[{executor}]' -c requirements.lock"
        )
    return ["--profile", str(found[profile].parent), *(["--jobs", str(at_once)] if at_once else [])]
