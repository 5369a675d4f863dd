"""Clusters: which profile a sweep uses, and what it needs."""

import pytest
import yaml

from lib import paths
from lib.errors import ParameterError
from lib.sweep import clusters


@pytest.fixture
def profiles(monkeypatch, tmp_path):
    """A folder of profiles: one of a plugin that nobody has, and one that names none."""
    monkeypatch.setattr(paths, "PARAMS", tmp_path)
    for name, content in {"mine": {"executor": "not-there"}, "none": {"jobs": 1}}.items():
        path = tmp_path / "profiles" / name / "config.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump(content))


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize(
    ("profile", "problem"),
    [
        ("slrm", "PROFILE: no profile 'slrm' in params/profiles; choose from: mine, none"),
        ("none", "params/profiles/none/config.yaml names no executor, such as slurm"),
        ("mine", r"PROFILE=mine needs a package .*pip install -e '.\[not-there\]' -c requirements.lock"),
    ],
)
def test_a_wrong_profile_is_answered_with_what_to_do(profile, problem):
    with pytest.raises(ParameterError, match=f"^{problem}"):
        clusters.options(profile, None)


def test_the_number_of_jobs_replaces_the_profile_s(profiles, monkeypatch, tmp_path):
    monkeypatch.setattr(clusters, "find_spec", lambda name: name)
    given = ["--profile", str(tmp_path / "profiles/mine")]
    assert clusters.options("mine", None) == given
    assert clusters.options("mine", 7) == [*given, "--jobs", "7"]


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_the_committed_profiles_give_a_run_a_gpu_and_as_many_jobs_as_they_say(name):
    profile = yaml.safe_load((paths.PARAMS / f"profiles/{name}/config.yaml").read_text())
    assert profile["executor"] == name
    assert profile["default-resources"]["gpu"] == 1
    assert profile["jobs"] > 1
