"""The chapter on how the networks were trained: its tables hold what the studies state."""

from pathlib import Path
from types import SimpleNamespace

import jupytext
import pytest

from lib.analysis import limits, setup
from lib.study.loading import load_study

CHAPTER = Path(__file__).parents[1] / "notebooks" / "00_setup.py"


def values(study):
    return {(row.setting, getattr(row, "for")): row.value for _, row in setup.settings(study).iterrows()}


def test_settings_of_all_runs_stand_once_and_others_with_their_runs():
    found = values(load_study("stage2"))
    assert found["batch size", "all runs"] == "256"
    assert found["optimizer: weight decay", "all runs"] == "0.0001"
    assert {key[1] for key in found if key[0] == "epochs"} == {"cifar10", "cifar100", "tiny_imagenet"}


def test_what_is_off_is_named_and_not_in_the_table():
    study = load_study("quickstart")
    names = {setting for setting, _ in values(study)}
    assert "mixing: mixup" in setup.off(study)
    assert not names & set(setup.off(study))
    assert {"augmentation: flip", "augmentation: magnitude"} <= set(setup.off(study))  # one file turns off flips


@pytest.mark.parametrize("name", ["stage2", "fashion-ablations", "zoo"])
def test_every_setting_with_an_effect_is_in_the_table_or_off(name):
    study = load_study(name)
    first = next(iter(study.entries)).cell.settings
    shown = {setting for setting, _ in values(study)} | set(setup.off(study))
    assert {setup.named(key) for key in setup.flat(first.model_dump(exclude=setup.WITHOUT_EFFECT))} <= shown


def test_arms_say_what_they_change():
    table = setup.arms(load_study("fashion-ablations")).set_index("arm").changes
    assert table["base"] == table["noop"] == "nothing"
    assert table["no-momentum"] == "optimizer: momentum 0"
    assert setup.arms(load_study("quickstart")).empty


def test_native_runs_follow_their_own_conventions_and_aligned_ones_the_reference():
    native, aligned = (setup.conventions(load_study(name)) for name in ("stage2", "paired"))
    assert (native.keras == "Keras").all()
    assert (native.pytorch == "PyTorch").all()
    assert (aligned.keras == aligned.pytorch).all()
    assert list(native.convention) == list(aligned.convention)
    assert setup.conventions(load_study("degradation")).empty


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("quickstart", "are native: the frameworks differ in 3 conventions"),
        ("paired", "are aligned in every convention"),
        ("attribution", "go from native to aligned"),
    ],
)
def test_the_implementation_is_said_as_the_runs_were(name, said):
    assert said in setup.implementation(load_study(name))
    assert not setup.implementation(load_study("degradation"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("quickstart", ""),
        ("degradation", "The test accuracy of every epoch is measured too. Nothing is selected by it."),
        ("zoo-stem", "the weights that are evaluated are moving averages of the trained ones."),
    ],
)
def test_the_protocol_says_what_else_is_evaluated(name, said):
    cells = jupytext.read(CHAPTER).cells
    (place,) = [place for place, cell in enumerate(cells) if cell.source.startswith("## The protocol")]
    assert "once" not in cells[place].source
    found = []
    exec(cells[place + 1].source, {"study": load_study(name), "chapter": SimpleNamespace(markdown=found.append)})
    assert len(found) == bool(said)
    assert "".join(found).endswith(said)


def test_the_commands_prepare_every_dataset():
    assert setup.commands(load_study("stage1")).splitlines() == [
        "make env",
        "make data DATASET=cifar10",
        "make data DATASET=cifar100",
        "make sweep STUDY=stage1",
        "make report STUDY=stage1",
    ]
    assert setup.commands(load_study("bench")).splitlines() == ["make env", "make bench STUDY=bench"]


@pytest.mark.parametrize(
    ("name", "said", "silent"),
    [
        ("quickstart", ("**Seeds**: 3.", "360 test images", "their own in 3 conventions"), ("Machines",)),
        ("paired", ("**Seeds**",), ("Conventions",)),
        ("degradation", ("10,000 test images",), ("Conventions",)),
    ],
)
def test_limits_are_those_of_the_study(name, said, silent, tmp_path, monkeypatch):
    monkeypatch.setattr("lib.paths.EXECUTED", tmp_path)
    found = "\n".join(limits.limits(load_study(name)))
    assert all(words in found for words in said)
    assert not any(words in found for words in silent)
