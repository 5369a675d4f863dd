"""Loops side by side: rounds until the ratios are narrow, tables of them, and one real measurement of each loop."""

import itertools
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lib import environment, errors, paths
from lib.analysis import speed
from lib.bench import __main__ as command
from lib.bench import loops, rounds
from lib.bench import speed as bench
from lib.data import generated
from lib.figures.speed import draw_ratios, words
from lib.report import freshness
from lib.runs import measured
from lib.study.loading import load_study


def loop(*speeds):
    """A loop that has these speeds, over and over."""
    return itertools.cycle(speeds).__next__


def test_rounds_end_when_every_ratio_is_narrow():
    found = rounds.race({"ours": loop(100.0, 101.0), "bare": loop(110.0, 111.0)}, seconds=60)
    assert {name: len(speeds) for name, speeds in found.items()} == {"ours": rounds.LEAST, "bare": rounds.LEAST}


def test_rounds_go_on_while_a_ratio_is_wide_and_end_with_the_time():
    wide = {"ours": loop(100.0), "bare": loop(50.0, 150.0)}
    assert len(rounds.race(wide, seconds=0.05)["ours"]) > rounds.LEAST
    assert len(rounds.race(wide, seconds=0)["ours"]) == rounds.LEAST


def test_every_loop_has_one_turn_a_round_and_follows_another_one_each_time():
    def order():
        turns = []
        rounds.race({name: lambda name=name: turns.append(name) or 1.0 for name in "abc"}, seconds=0)
        return "".join(turns)

    found = [order()[place : place + 3] for place in range(0, 3 * rounds.LEAST, 3)]
    assert {"".join(sorted(one)) for one in found} == {"abc"}
    assert len(set(found)) > 2
    assert order() == order()


def test_a_turn_has_as_many_steps_as_fill_its_time():
    assert rounds.steps_for(2.5, step=0.1, most=100) == 25
    assert rounds.steps_for(2.5, step=60, most=100) == 1
    assert rounds.steps_for(2.5, step=0.001, most=100) == 100


KEYS = {"framework": "pytorch", "dataset": "cifar10", "model": "resnet20", "precision": "fp32"}


def rows(**loops):
    kinds = {"ours": "ours", "bare": "bare", "compiled": "arm"}
    return pd.DataFrame(
        KEYS | {"loop": name, "kind": kinds.get(name, "alternative"), "round": number, "images_per_second": value}
        for name, values in loops.items()
        for number, value in enumerate(values, start=1)
    )


def test_a_ratio_is_that_of_the_same_rounds():
    """A machine that slows down slows every loop of the round: the ratio is exact, the speeds are not."""
    table = speed.ratios(rows(ours=[90.0, 45.0, 9.0, 18.0, 27.0, 36.0], bare=[100.0, 50.0, 10.0, 20.0, 30.0, 40.0]))
    row = table.iloc[0]
    assert (row["ratio"], row["ratio_low"], row["ratio_high"]) == pytest.approx((0.9, 0.9, 0.9))
    assert (row["rounds"], row["narrow"], row["other"]) == (6, True, pytest.approx(35))


def test_the_interval_of_a_ratio_is_that_of_the_signed_rank_test():
    """The depression scores of Hollander and Wolfe's example 3.1, as logarithms."""
    before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    found = speed.ratio(np.exp(after), np.exp(before))
    assert np.log(found) == pytest.approx((-0.46, -0.786, -0.010), abs=0.001)


def test_of_six_rounds_the_interval_has_all_and_of_five_there_is_none():
    value, low, high = speed.ratio([1.0, 1.1, 0.9, 1.3, 0.8, 1.2], [1.0] * 6)
    assert (low, high) == pytest.approx((0.8, 1.3))
    assert low < value < high
    assert not speed.is_narrow(low, high)
    assert np.isnan(speed.ratio([1.0, 1.1, 0.9, 1.3, 0.8], [1.0] * 5)[1:]).all()


def test_goals_are_judged_beside_the_bare_loop_and_the_fastest_alternative():
    exact = rows(ours=[98.0] * 6, bare=[100.0] * 6, timm=[90.0] * 6, torchvision=[99.0] * 6)
    judged = speed.judged(speed.ratios(exact)).set_index("loop")
    assert judged["verdict"].to_dict() == {"bare": "met", "torchvision": "missed"}
    unsure = rows(ours=[98.0, 99.0, 97.0] * 2, bare=[100.0, 104.0, 98.0] * 2)
    assert speed.judged(speed.ratios(unsure))["verdict"].tolist() == ["undecided"]
    arms = speed.arms(speed.ratios(rows(ours=[98.0] * 6, compiled=[150.0] * 6)))
    assert (arms["arm"].tolist(), arms["ratio"].tolist()) == (["compiled"], pytest.approx([150 / 98]))


def test_the_figure_of_ratios_has_a_row_for_each_and_words_that_tell_them():
    table = speed.ratios(rows(ours=[98.0, 99.0, 97.0] * 2, bare=[100.0, 101.0, 99.0] * 2, fit=[90.0, 91.0, 92.0] * 2))
    names = [text.get_text() for text in draw_ratios(table).axes[0].get_yticklabels()]
    assert names == ["/ bare", "/ fit"]
    assert "pytorch resnet20 fp32 / bare: 0.98 (" in words(table)[1]


@pytest.fixture(scope="module")
def study(tiny_study):
    settings = {"batch_size": 64, "limits": {"test_samples": 32}}
    arms = {"base": {}, "device": {"batches_on": "device"}, "free": {"execution": {"deterministic": False}}}
    return load_study(tiny_study("measured", settings=settings, arms=arms))


@pytest.mark.parametrize("framework", ["keras", "pytorch"])
def test_every_loop_of_a_framework_is_measured(study, framework, monkeypatch):
    monkeypatch.setattr(bench, "TURN", 0.1)
    monkeypatch.setattr(bench, "WARM", 0.1)
    monkeypatch.setattr(bench, "ARMS", 0)
    monkeypatch.setattr(bench, "TOGETHER", 0.3)
    monkeypatch.setattr(bench, "PAIRS", 1)
    cell = next(cell for cell in study.cells if cell.framework == framework)
    tables = bench._measured(study, cell, seconds=0, whole=framework == "pytorch")
    speeds = pd.DataFrame(tables["speeds"])
    expected = {"ours", "bare", *bench.ALTERNATIVES[framework]} - {"lightning"}
    assert expected <= set(speeds["loop"])
    assert (speeds.groupby("loop").size() == rounds.LEAST).all()
    assert (speeds["images_per_second"] > 0).all()
    parts = {row["part"]: row["value"] for row in tables["parts"]}
    assert set(parts) == {"built", "first", "first batch", "pipeline", "evaluation"}
    assert parts["pipeline"] > speeds["images_per_second"].max()
    assert [0 < row["speed"] < 4 for row in tables["at_once"]] == ([] if framework == "keras" else [True])
    arms = {(row["loop"], row["kind"]) for row in tables["arms"]}
    assert arms == (set() if framework == "keras" else {("ours", "ours"), ("device", "arm"), ("free", "arm")})


def test_a_loop_that_ends_is_named(study, monkeypatch, capfd):
    monkeypatch.setitem(bench.ALTERNATIVES, study.cells[0].framework, ("unheard",))
    with pytest.raises(errors.TrainingError, match=f"loops of {study.cells[0].name} ended with status 1; its messages"):
        bench._measured(study, study.cells[0], seconds=0, whole=False)
    assert "KeyError: 'unheard'" in capfd.readouterr().err


def test_loops_that_are_killed_while_they_wait_are_named(study):
    cell = next(cell for cell in study.cells if cell.framework == "pytorch")
    with bench._process(study, cell) as main:
        main._process.kill()
        main._process.wait()
        with pytest.raises(errors.TrainingError, match="ended with status -9"):
            main.speed("ours", 0, 1)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"compile": True}, "compile"),
        ({"mixing": {"mixup": 0.2}, "execution": {"fused": True}}, "mixing, fused"),
        ({"augmentation": {"erasing": 0.5}}, "erasing"),
    ],
)
def test_a_base_that_no_other_loop_can_train_is_refused(tiny_study, settings, told):
    unlike = load_study(tiny_study("unlike", frameworks=["pytorch"], settings=settings))
    with pytest.raises(errors.ParameterError, match=f"no other loop trains with {told}; leave it to an arm"):
        bench.require_comparable(unlike)


def test_an_arm_that_is_not_compiled_says_so(study, monkeypatch):
    cell = next(cell for cell in study.cells if cell.framework == "pytorch")

    @contextmanager
    def other(study, cell, others=()):
        yield SimpleNamespace(fallback="no compiler" if cell.arm == "free" else "", speed=lambda *_: 1.0)

    monkeypatch.setattr(bench, "_process", other)
    monkeypatch.setattr(bench, "ARMS", 0)
    assert [*bench._arms(study, cell, lambda: 1.0, (1, 1))] == ["ours", "device", "free (does not work here)"]


def test_a_study_without_the_chapter_is_not_measured(monkeypatch):
    monkeypatch.setattr("sys.argv", ["bench", "quickstart"])
    with pytest.raises(SystemExit, match="quickstart has no chapter 50_speed, which shows what is measured"):
        command.main()


def test_grey_images_can_be_loaded_as_a_user_would():
    import_module("lib.pytorch")  # before torchvision
    user_loader = import_module("lib.bench.pytorch_loops").user_loader
    grey = generated.store(28, 10, 64, 1)
    cell = next(cell for cell in load_study("bench").cells if cell.framework == "pytorch")
    settings = cell.settings.model_copy(update={"num_workers": 0})
    images, _ = next(iter(user_loader(cell.model_copy(update={"settings": settings}), grey)))
    assert images.shape == (32, 1, 28, 28)


def test_without_a_measurement_the_message_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.setattr(measured.paths, "EXECUTED", tmp_path)
    with pytest.raises(errors.DataError, match="nothing was measured with bench: run `make bench STUDY=bench`"):
        measured.read("bench")
    measured.write("bench", {"speeds": []})
    assert measured.read("bench") == {"speeds": []}


def test_generated_images_fill_four_hundred_batches():
    cell = load_study("bench").cells[0]
    assert len(loops.images(cell).split("train").indices) == loops.IMAGES == 400 * cell.settings.batch_size


def invented_measurements():
    """Made-up measurements of two networks in both frameworks."""
    random, tables = np.random.default_rng(0), {"speeds": [], "arms": [], "parts": [], "at_once": []}
    for framework, model in itertools.product(("keras", "pytorch"), ("resnet20", "mobilenetv2")):
        keys = KEYS | {"framework": framework, "model": model}
        raced = {"speeds": {"ours": "ours", "bare": "bare", "timm": "alternative"}}
        raced["arms"] = {"ours": "ours", "compiled": "arm"}
        for table, name, kind in [(table, *one) for table, kinds in raced.items() for one in kinds.items()]:
            speeds = enumerate(random.normal(100, 2, 6), start=1)
            row = keys | {"loop": name, "kind": kind}
            tables[table] += [row | {"round": number, "images_per_second": value} for number, value in speeds]
        values = {"built": 2.0, "first": 3.0, "first batch": 0.1, "pipeline": 20_000.0, "evaluation": 900.0}
        tables["parts"] += [keys | {"part": part, "value": value} for part, value in values.items()]
        tables["at_once"].append(keys | {"speed": 0.9, "n": 3})
    costs = [{"framework": name, "part": part, "seconds": 1.0} for name in ("pytorch", "keras") for part in "ab"]
    sizes = [{"what": "plan", "runs": runs, "seconds": 2.0, "cpu_seconds": 2.0} for runs in (24, 180)]
    facts = {"started": "then", "finished": "now", "quick": True, "environment": environment.describe()}
    state = {"load": 0.1, "others": 0.01, "steal": 0.0, "other_runs": 0, "gpu_slowed": np.nan}
    return facts | {"machine": [state, state | {"other_runs": 1}]} | tables | {"fixed": costs, "scale": sizes}


def test_the_chapter_needs_no_dataset(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "DATA", tmp_path)
    assert freshness.unprepared(load_study("bench"), "01_data") == ["cifar10"]
    assert freshness.unprepared(load_study("bench"), "50_speed") == []


def test_the_chapter_shows_what_was_measured(read_chapter):
    measured.write("bench", invented_measurements())
    prose, saved = read_chapter("50_speed", "bench")
    tables = {f"speed_{name}.csv" for name in ("goals", "parts", "arms", "fixed")}
    assert tables | {"speed_ratios.svg", "speed_scale.svg"} <= saved
    assert "**A quick measurement**" in prose
    assert "**Timing not reliable:** other runs trained on the machine." in prose
    assert "Of 4 goals beside the bare loop (0.97)" in prose
