"""What a study's settings and records decide: the judging test, and which speeds can be judged."""

import re

import numpy as np
import pandas as pd
import pytest
import yaml

from lib import files, paths
from lib.analysis import judgements, machines, results, timing
from lib.bench.invented import finish, log_of, states_of
from lib.errors import ParameterError
from lib.study.loading import load_study
from lib.study.margins import margins


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The quick start's study, in folders that hold nothing but its dataset's manifest."""
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    monkeypatch.setattr(paths, "EXECUTED", tmp_path / "executed")
    paths.DATA.mkdir()
    files.write_sealed(paths.DATA / "digits.json", {"digest": "the digits"})
    return load_study("quickstart")


def leave(study, seconds=None, **changes):
    """Leave runs one after another, a quarter of an hour each, with their `changes`; a call gives a run's own."""
    for number, cell in enumerate(study.cells):
        log = log_of(cell)
        log["epoch_time_seconds"] = 1.0 if seconds is None else seconds(cell)
        times = {name: f"2026-01-01T{number // 4:02}:{15 * (number % 4) + add:02}:00+00:00" for name, add in TIMES}
        own = {name: value(cell) if callable(value) else value for name, value in changes.items()}
        finish(cell, epochs=log, **times | own)


TIMES = (("started", 0), ("finished", 10))


def doubts(study):
    return timing.unreliable(study, results.results(study), study.main)


def test_frameworks_without_a_shared_pairing_are_native_and_with_one_they_are_pairs(study):
    assert judgements.native(study, study.main) == {("digits", "resnet20", "fp32")}
    paired = load_study("paired")
    assert judgements.native(paired, paired.main) == set()


def test_arms_of_one_framework_are_pairs_without_a_shared_pairing():
    arms = load_study("arms-quick")
    assert arms.main.axis == "arm"
    assert not any(cell.settings.pairing.shared for cell in arms.cells)
    assert judgements.native(arms, arms.main) == set()


def test_a_study_s_table_is_judged_by_its_settings(study):
    leave(study, test_accuracy=lambda cell: 0.9 + cell.seed / 1e5 + (cell.framework == "keras") * cell.seed**2 / 1e8)
    table = judgements.judged(study, results.results(study), study.main).set_index("metric")
    assert table["test"].tolist() == ["Welch"] * 3
    assert table.loc["test_accuracy", "holm_p"] == table.loc["test_accuracy", "welch_p"]
    assert table.loc["images_per_sec_avg", "judgement"] != "timing not reliable"


def test_one_metric_alone_is_judged_as_beside_the_others(study):
    leave(study, test_accuracy=lambda cell: 0.9 + cell.seed / 1e5 + (cell.framework == "keras") * cell.seed**2 / 1e8)
    found = results.results(study)
    whole = judgements.judged(study, found, study.main)
    alone = judgements.judged(study, found.drop(columns="images_per_sec_avg"), study.main, ["test_accuracy"])
    pd.testing.assert_frame_equal(alone, whole[whole["metric"] == "test_accuracy"].reset_index(drop=True))


def test_only_judgements_compares_runs_so_that_one_rule_judges_all():
    sources = [*(paths.LIB / "analysis").glob("*.py"), *paths.NOTEBOOKS.glob("*.py")]
    calls = re.compile(r"contrasts\.compare\(|contrasts import .*\bcompare\b")
    assert sorted(path.name for path in sources if calls.search(path.read_text())) == ["judgements.py", "operating.py"]


def test_margins_are_stated_with_their_sizes_and_by_dataset_where_these_differ(study, request):
    stage1 = load_study("stage1")  # before its margins are gone
    request.getfixturevalue("margin_file")(accuracy={"digits": 1.0, "cifar10": 0.25, "others": 0.5})
    assert "less than 1 points of accuracy, 5 % of the slower speed. These margins" in judgements.when_fixed(study)
    text = judgements.when_fixed(stage1, ["accuracy", "dead_units"])
    sizes = (
        "0.25 points of accuracy on cifar10, 0.5 points of accuracy on cifar100, 1 points of the share of dead units"
    )
    assert f"less than {sizes}." in text


def test_runs_that_had_one_machine_to_themselves_have_reliable_times(study):
    leave(study, seconds=lambda cell: 1 + cell.seed / 1e5)
    assert doubts(study) == {}


def test_a_scatter_above_the_limit_on_one_side_makes_times_unreliable(study):
    leave(study, seconds=lambda cell: 1 + cell.seed / 1e3 * (cell.framework == "keras"))
    (reason,) = doubts(study).values()
    logs = np.log([1 + seed / 1e3 for seed in study.seeds])
    assert reason == f"the seeds' speeds scatter by {logs.std(ddof=1):.1%}, above 5%"


def test_two_machines_make_times_unreliable(study):
    leave(study, environment=lambda cell: {"cpu": "this" if cell.framework == "keras" else "that"})
    assert doubts(study) == {("digits", "resnet20", "fp32", "pytorch"): "the runs were made on different machines"}


def test_runs_that_overlapped_for_longer_than_they_paused_make_times_unreliable(study):
    at_once = {"started": "2026-01-01T00:00:00+00:00", "finished": "2026-01-01T01:00:00+00:00"}
    leave(study, **at_once)
    assert list(doubts(study).values()) == ["runs were made at the same time on one machine"]
    leave(study, **at_once, working_seconds=600.0)  # each paused for 50 minutes, in which the others may have run
    assert doubts(study) == {}


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ({"others": [np.nan, 0.2, 0.01]}, "other work took 5.8% of the cores' time, above 5%"),
        ({"others": 0.03, "steal": 0.03}, "other work took 6.0% of the cores' time, above 5%"),
        ({"others": [np.nan, 0.16, 0.01]}, ""),
        ({"other_runs": [0, 0, 1]}, "other runs trained on the machine"),
        ({"gpu_slowed": [0, 1, 0]}, "a GPU lowered its clock to protect itself"),
        ({"gpu_slowed": 0, "gpu_temperature": 85}, ""),
    ],
)
def test_what_one_run_recorded_of_its_machine_makes_the_times_of_its_group_unreliable(study, states, reason):
    """Shares are of the time of all epochs, and a longer epoch counts more."""
    last = study.cells[-1]
    assert last.framework == "pytorch"
    leave(study, states=lambda cell: states_of(**states) if cell == last else states_of())
    assert doubts(study) == ({("digits", "resnet20", "fp32", "pytorch"): reason} if reason else {})
    table = timing.marked(study, results.results(study))
    assert table["timing"].tolist() == [reason if row == "pytorch" else "" for row in table["framework"]]
    means = results.means(study, results.results(study)).set_index("framework")
    assert means["timing"].to_dict() == {"keras": "", "pytorch": reason}


def test_runs_that_recorded_nothing_are_neither_unreliable_nor_left_out(study):
    leave(study)
    assert doubts(study) == {}
    assert set(timing.marked(study, results.results(study))["timing"]) == {""}
    table = machines.machines(study)
    assert len(table) == len(study.cells)
    assert table[list(machines.COLUMNS)].isna().all(axis=None)
    assert not set(machines.by_group(study)) & set(machines.COLUMNS)


def test_a_group_shows_its_worst_values_and_the_mean_energy_of_an_epoch(study):
    def own(cell):
        return states_of(others=cell.seed / 1e4, gpu_energy=[np.nan, 100, 100 + cell.seed], gpu_clock=cell.seed)

    leave(study, states=lambda cell: own(cell) if cell.framework == "keras" else None)
    row, other = machines.by_group(study).set_index("framework").loc[["keras", "pytorch"]].itertuples()
    assert (row.seeds, row.others, row.gpu_clock) == (3, pytest.approx(max(study.seeds) / 1e4), min(study.seeds))
    assert row.gpu_energy == pytest.approx(100 + np.mean(study.seeds) / 2)
    assert np.isnan(other.gpu_energy)
    assert not hasattr(row, "gpu_power")


@pytest.fixture
def margin_file(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "PARAMS", tmp_path)
    content = yaml.safe_load((paths.ROOT / "params/margins.yaml").read_text())

    def write(**changes):
        (tmp_path / "margins.yaml").write_text(yaml.safe_dump(content | changes))
        return margins()

    return write


def test_a_margin_is_that_of_its_dataset_or_that_of_the_others(margin_file):
    found = margin_file(accuracy={"digits": 1.0, "others": 0.5})
    assert found.of("accuracy", "digits") == 0.01
    assert found.of("accuracy", "cifar10") == 0.005
    assert found.of("speed", "digits") == 0.05


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accuracy": {"mnist": 0.5, "others": 0.5}}, "accuracy: no dataset 'mnist'; choose from: .*digits.*others"),
        ({"accuracy": {"digits": 0.5}}, "accuracy: 'others' is missing"),
        ({"accuracy": {"others": "half"}}, "accuracy.others: Input should be a valid number"),
        ({"speed": 0}, "speed: Input should be greater than 0"),
        ({"sped": 5.0}, "sped: unknown key; choose from: fixed, reason, accuracy, speed, dead_units"),
        ({"fixed": "long ago"}, "fixed: Input should be a valid date"),
    ],
)
def test_wrong_margins_are_an_error_that_names_the_key_and_the_choices(margin_file, changes, message):
    with pytest.raises(ParameterError, match=f"margins.yaml:\n  {message}"):
        margin_file(**changes)
