"""The simulations of the judgement: their truths, their rates, and their cache."""

import numpy as np
import pandas as pd
import pytest

from lib import paths
from lib.analysis import operating
from lib.analysis.operating import ANSWERS, SCENARIOS, Scenario


def test_a_plain_truth_is_found_each_time_and_nothing_false():
    certain = Scenario("ten points", effect=0.1, right=("row_different", "anywhere", "beyond"), wrong=("every",))
    table = operating.simulated([certain], 4).set_index("answer")
    assert table["rate"].to_dict() == {
        ANSWERS["every"]: 0,
        **{ANSWERS[name]: 1 for name in ("row_different", "anywhere", "beyond")},
    }
    assert (table["error"] == 0).all()
    assert (table["n"] == 4).all()


def test_a_rate_has_the_standard_error_of_its_experiments():
    scenario = Scenario("a truth", effect=0.003, between=0.003, cover=("rows_cover", "mean_cover"))
    table = operating.simulated([scenario], 12).set_index("answer")
    mean = table.loc[ANSWERS["mean_cover"]]
    assert mean["error"] == pytest.approx(np.sqrt(mean["rate"] * (1 - mean["rate"]) / 11))
    assert 0.88 < table.loc[ANSWERS["rows_cover"], "rate"] < 1
    pd.testing.assert_frame_equal(table.reset_index(), operating.simulated([scenario], 12)[table.reset_index().columns])


def test_the_groups_have_the_scatter_and_the_effect_that_the_scenario_states():
    rng = np.random.default_rng(0)
    truth, seeds = np.full(len(operating.GROUPS), 0.01), np.full(len(operating.GROUPS), 80)
    results, rows = operating._judged(truth, rng.normal(size=(len(truth), 2, 80)), seeds)
    assert len(results) == 18 * 2 * 80
    assert (rows["test"] == "Welch").all()
    assert rows["delta"].to_numpy() == pytest.approx(truth, abs=0.003)
    spread = results.groupby(["dataset", "place", "side"])["test_accuracy"].std().groupby("dataset").mean()
    assert spread.to_dict() == pytest.approx(operating.SD, rel=0.05)


def test_every_answer_is_counted_somewhere_and_no_scenario_calls_one_both_right_and_wrong():
    named = {name for one in SCENARIOS for name in (*one.wrong, *one.right, *one.cover)}
    assert named == set(ANSWERS)
    assert not any(set(one.wrong) & set(one.right) for one in SCENARIOS)


def test_the_simulations_are_kept_until_the_code_of_the_statistics_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "EXECUTED", tmp_path)
    monkeypatch.setattr(operating, "EXPERIMENTS", 2)
    monkeypatch.setattr(operating, "SCENARIOS", SCENARIOS[:1])
    first = operating.characteristics()
    monkeypatch.setattr(operating, "simulated", None)
    pd.testing.assert_frame_equal(operating.characteristics(), first)
    monkeypatch.setattr(operating, "digest_of", lambda code: "other code")
    with pytest.raises(TypeError):
        operating.characteristics()


def test_the_chapter_prints_every_rate_with_its_error(read_chapter, monkeypatch):
    rates = operating.simulated(SCENARIOS[:2], 3)
    monkeypatch.setattr(operating, "characteristics", lambda: rates)
    prose, saved = read_chapter("A31_operating_characteristics", "quickstart")
    assert "2 scenarios of 3 experiments each, 18 groups" in prose
    assert "false answers are above 0.05 by more than two errors" in prose
    for kind, name in {"wrong": "false_answers", "covers": "coverage", "right": "power"}.items():
        assert f"{name}.csv" in saved
        shown = pd.read_csv(paths.REPORT / f"quickstart/tables/{name}.csv")[["rate", "error"]]
        assert shown.to_numpy() == pytest.approx(rates.loc[rates["kind"] == kind, ["rate", "error"]].to_numpy())
