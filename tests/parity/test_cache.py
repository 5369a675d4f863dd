"""The results of rungs are kept and used again, as long as what they depend on is the same."""

import sys

import numpy as np
import pandas as pd
import pytest

from lib import paths
from lib.parity import __main__ as command
from lib.parity import cache, ladder
from lib.parity.rungs import ANSWERS
from lib.study.models import twins

TABLE = pd.DataFrame(
    {
        "model": ["resnet20", "resnet20", "resnet20"],
        "measured": [1 / 3, np.nan, np.inf],
        "input_size": [32, 32, 32],
        "held": [True, False, True],
        "passed": pd.array([True, pd.NA, False], dtype="boolean"),
    }
)


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Rungs that answer at once; returns the list of what they were asked."""
    monkeypatch.setattr(paths, "EXECUTED", tmp_path)
    monkeypatch.setattr(cache, "_SOURCES", dict(cache._SOURCES))
    cache._digest.cache_clear()
    asked = []

    def answer(model, size, reference, *switch):
        asked.append((model, size, reference, *switch))
        return TABLE

    for rung in ANSWERS:
        monkeypatch.setitem(ANSWERS, rung, answer)
    monkeypatch.setattr(ladder.numbers, "alone", answer)
    yield asked
    cache._digest.cache_clear()


def edit(module, text=b"\nEDITED = 1\n"):
    cache._SOURCES[module] = cache._SOURCES[module] + text
    cache._digest.cache_clear()


def climbed(*models, **options):
    """For each model, whether its result was in the cache."""
    return {found.model: found.cached for found in ladder.climb(models, [32], ["tensors"], **options)}


def test_a_result_is_computed_once_and_comes_back_to_the_bit(asked):
    first, again = (next(ladder.climb(["resnet20"], [32], ["tensors"])) for _ in range(2))
    assert (first.cached, again.cached, len(asked)) == (False, True, 1)
    pd.testing.assert_frame_equal(again.table, TABLE, check_exact=True)


def test_another_size_rung_or_reference_is_another_result(asked):
    for rungs, sizes, reference in ((["tensors"], [32], "pytorch"), (["tensors", "logits"], [32, 64], "keras")):
        assert not any(found.cached for found in ladder.climb(["resnet20"], sizes, rungs, reference))
    assert len(asked) == 5


def test_what_each_switch_does_alone_is_kept_switch_by_switch(asked):
    ladder.alone("resnet20", 32, switches=["momentum_form"])
    assert len(ladder.alone("resnet20", 32)) == 3 * len(TABLE)
    assert [switch for *_, switch in asked] == ["momentum_form", "bn_variance", "weight_decay"]


def test_a_damaged_result_is_computed_again(asked):
    climbed("resnet20")
    (path,) = (paths.EXECUTED / ".parity").iterdir()
    whole = path.read_text()
    for damaged in (whole.replace("true", "false"), whole[:-9], ""):
        path.write_text(damaged)
        assert climbed("resnet20") == {"resnet20": False}
        assert climbed("resnet20") == {"resnet20": True}
    assert len(asked) == 4


@pytest.mark.parametrize("room", ["study", "keras", "pytorch"])
def test_an_edited_family_is_computed_again_and_no_other(asked, room):
    climbed(*twins())
    edit(f"lib.{room}.networks.resnet")
    assert climbed(*twins()) == {"mobilenetv2": True, "resnet50": False, "convnext_tiny": True, "resnet20": True}


@pytest.mark.parametrize("module", ["lib.keras.learner", "lib.pytorch.optimizers", "lib.parity.numbers"])
def test_an_edit_of_what_all_networks_share_makes_all_of_them_new_and_a_comment_none(asked, module):
    climbed("mobilenetv2", "resnet20")
    edit(module, b"\n# a comment\n")
    assert all(climbed("mobilenetv2", "resnet20").values())
    edit(module)
    assert not any(climbed("mobilenetv2", "resnet20").values())


@pytest.mark.parametrize(
    "module", ["lib.bench.cost", "lib.parity.differences", "lib.study.settings", "lib.parity.cache"]
)
def test_an_edit_of_what_computes_no_result_leaves_them(asked, module):
    climbed("resnet20")
    edit(module)
    assert climbed("resnet20") == {"resnet20": True}


def test_another_version_of_a_library_makes_results_new(asked, monkeypatch):
    climbed("resnet20")
    described = cache.environment.describe() | {"keras": "99"}
    monkeypatch.setattr(cache.environment, "describe", lambda: described)
    cache._digest.cache_clear()
    assert climbed("resnet20") == {"resnet20": False}


def test_the_command_says_what_is_from_the_cache_and_computes_again_when_asked(asked, monkeypatch, capsys):
    def printed(*options):
        monkeypatch.setattr(sys, "argv", ["parity", "--model=resnet20", "--rung=tensors", "--size=32", *options])
        with pytest.raises(SystemExit):
            command.main()
        return capsys.readouterr().out

    assert "32x32, 0 s" in printed()
    assert "32x32, from the cache" in printed()
    assert "32x32, 0 s" in printed("--fresh")
    assert len(asked) == 2
