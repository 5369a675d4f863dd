"""The studies of one framework: their files, their chapters and what these compute."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from lib import paths
from lib.analysis import degradation, networks, neurons
from lib.analysis.results import epochs, results, with_train_accuracy
from lib.bench.invented import finish, log_of
from lib.errors import DataError
from lib.figures.degradation import draw_errors
from lib.figures.layers import draw_scales, draw_shares
from lib.runs import records
from lib.study.loading import load_study
from lib.study.study import Comparison

FASHION = [f"fashion-{part}{size}" for part in ("selection", "ablations", "extras") for size in ("", "-quick")]


def degrading(cell, plain56=0.7):
    """Leave a run in which depth costs a plain network train accuracy, and gains a residual one some."""
    last = {"plain20": 0.9, "plain56": plain56, "resnet20": 0.92, "resnet56": 0.95}[cell.model]
    log = log_of(cell, accuracy=0.8 + cell.seed / 1e5)
    log["train_accuracy"] = np.linspace(
        0.2, last + (cell.seed % 7) / 1000 * (cell.model in ("plain20", "resnet20")), len(log)
    )
    finish(cell, accuracy=0.8, epochs=log, test_accuracy=0.78 + cell.seed / 1e5)


def test_the_chapter_on_degradation_gives_a_verdict_a_figure_and_json(read_chapter):
    study = load_study("degradation-quick")
    for cell in study.cells:
        degrading(cell)
    prose, saved = read_chapter("40_degradation", study.name)
    assert "cifar10, fp32: plain56 against plain20: degrades" in prose
    assert "resnet56 against resnet20: does not degrade" in prose
    assert not re.search(r"\bnan\b", prose)
    expected = {"errors_cifar10_fp32.png", "scales_cifar10_fp32.png", "degradation.csv", "selection.csv"}
    assert expected | {"degradation_summary.json", "degradation_summary.csv"} <= saved
    summary = json.loads((paths.REPORT / study.name / "tables/degradation_summary.json").read_text())
    assert [row["model"] for row in summary] == ["plain20", "plain56", "resnet20", "resnet56"]
    assert summary[2]["paper_error"] == 8.75
    assert summary[0]["paper_error"] is None


@pytest.mark.parametrize(("plain56", "verdict"), [(0.7, "degrades"), (0.95, "does not degrade"), (0.9, "undecided")])
def test_the_verdict_is_on_the_train_accuracy(read_chapter, plain56, verdict):
    study = load_study("degradation-quick")
    for cell in study.cells:
        degrading(cell, plain56)
    table = degradation.comparisons(study, with_train_accuracy(results(study), epochs(study)))
    assert table.verdict.tolist() == [verdict, "", "does not degrade", ""]


def test_networks_that_differ_in_more_than_depth_have_no_verdict(read_chapter, tiny_study):
    contrasts = [{"axis": "model", "against": "plain20", "levels": ["resnet56"]}]
    name = tiny_study(
        "unlike", frameworks=["pytorch"], datasets=["cifar10"], models=["plain20", "resnet56"], contrasts=contrasts
    )
    study = load_study(name)
    for cell in study.cells:
        degrading(cell)
    table = degradation.comparisons(study, with_train_accuracy(results(study), epochs(study)))
    assert set(table.verdict) == {""}


def test_one_seed_leaves_the_claim_undecided(read_chapter):
    study = load_study("degradation-quick")
    for cell in study.cells:
        if cell.seed == 42:
            degrading(cell)
    table = degradation.comparisons(study, with_train_accuracy(results(study), epochs(study)))
    assert set(table.verdict) == {"undecided", ""}


@pytest.mark.parametrize("stem", ["40_degradation", "41_fashion"])
@pytest.mark.parametrize("finished", [0, 1])
def test_a_chapter_can_be_read_however_few_runs_are_finished(read_chapter, stem, finished):
    study = load_study("degradation-quick" if stem == "40_degradation" else "fashion-ablations-quick")
    for cell in study.cells[:finished]:
        finish(cell, accuracy=0.8)
    prose, _ = read_chapter(stem, study.name)
    assert f"{finished} of {len(study.entries)} runs have results" in prose
    assert ("Nothing has been run yet" in prose) == (not finished)


@pytest.mark.parametrize("name", [name for name in FASHION if name.endswith("-quick")])
def test_the_chapter_on_fashion_shows_what_its_study_has(read_chapter, name):
    study = load_study(name)
    for number, cell in enumerate(study.cells):
        lost = 0.05 if cell.arm in ("no-skip", "erasing") or cell.model == "vgg11" else 0
        noop = cell.arm in (None, "noop")
        finish(cell, accuracy=0.9 - lost + cell.seed / 1e5 + (0 if noop else (number % 3) / 1000), multiply_adds=10**8)
    prose, saved = read_chapter("41_fashion", name)
    assert {"confusion.png", "mistakes.png", "confused_pairs.csv", "neurons.csv", "dead_by_depth.png"} <= saved
    assert ("changes_base.png" in saved) == ("selection" not in name)
    for sentence in ("is the most accurate", "Chosen on val", "This study has no arms"):
        assert (sentence in prose) == ("selection" in name)
    assert ("noop (+0.00)" in prose) == ("ablations" in name)
    if "ablations" in name:
        assert re.search(r"Against base, equivalent.*noop \(\+0.00\)", prose)
        assert "**no-batch-norm**" in prose


def test_the_stages_of_fashion_share_their_base(read_chapter):
    for size in ("", "-quick"):
        shared = [
            {cell.name for cell in load_study(f"fashion-{part}{size}").cells}
            for part in ("selection", "ablations", "extras")
        ]
        base = set.intersection(*shared)
        assert base == {
            f"pytorch_fashion_mnist_resnet9_fp32_seed{seed}-fashion{size}"
            for seed in load_study(f"fashion-extras{size}").seeds
        }


def test_the_network_that_is_chosen_is_the_quickest_within_the_margin():
    values = {"model": ["a", "b", "c"], "acc_best": [0.9, 0.896, 0.8], "seconds": [9.0, 3.0, 1.0]}
    table = pd.DataFrame(values).assign(dataset="digits")
    best, chosen = networks.cheapest_of_the_best(table)
    assert (best.model, chosen.model) == ("a", "b")


def test_shares_of_units_are_over_all_layers_and_by_layer(read_chapter):
    study = load_study("degradation-quick")
    for cell in study.cells[:2]:
        finish(cell, accuracy=0.8)
    layers = neurons.measured(study)
    assert neurons.shares(layers[layers.best], ["model"]).dead_share.tolist() == [0.2] * layers.model.nunique()
    assert neurons.shares(layers, ["depth"]).dead_share.tolist() == pytest.approx([0.1, 0.2, 0.3])
    scales = neurons.scales(layers, ["model"])
    assert scales[(scales.epoch == 0) & (scales.depth == 2)].scale.tolist() == [0.5] * layers.model.nunique()


def test_a_damaged_table_of_layers_is_named(read_chapter):
    study = load_study("degradation-quick")
    finish(study.cells[0], accuracy=0.8)
    (records.folder(study.cells[0]) / "layers.csv").write_text("nothing")
    with pytest.raises(DataError, match="layers.csv is damaged"):
        neurons.measured(study)


def test_train_errors_are_dashed_and_test_errors_solid_in_one_panel_a_comparison(read_chapter):
    study = load_study("degradation-quick")
    for cell in study.cells:
        degrading(cell)
    figure = draw_errors(epochs(study), study.comparisons)
    assert [[text.get_text() for text in axis.get_legend().get_texts()] for axis in figure.axes] == [
        ["plain20", "plain56"],
        ["resnet20", "resnet56"],
    ]
    bold = [line for line in figure.axes[0].lines if line.get_linewidth() > 1]
    assert [line.get_linestyle() for line in bold] == ["--", "-", "--", "-"]
    assert bold[0].get_ydata()[-1] == pytest.approx(100 * (1 - 0.9), abs=1)


def test_scales_and_shares_are_drawn_for_every_level(read_chapter):
    study = load_study("degradation-quick")
    for cell in study.cells:
        finish(cell, accuracy=0.8)
    layers = neurons.measured(study)
    figure = draw_scales(neurons.scales(layers, ["model"]), study.main)
    assert [axis.get_title("left") for axis in figure.axes[:3]] == [
        "before the training",
        "after epoch 1",
        "after epoch 6",
    ]
    assert all(len(axis.lines) == 4 for axis in figure.axes)
    shares = neurons.shares(layers, ["model", "depth"])
    figure = draw_shares(shares, "depth", "dead_share", study.main)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == list(study.models)
    assert [text.get_text() for text in figure.axes[0].texts[:3]] == ["10.0", "20.0", "30.0"]


def test_findings_name_their_arm_and_each_arm_s_own_last_epoch(read_chapter, monkeypatch):
    study = load_study("degradation")
    for cell in study.cells:
        degrading(cell)
    prose, _ = read_chapter("40_degradation", "degradation")
    for arm in ("base", "paper"):
        assert f"cifar10, fp32, {arm}: plain56 against plain20: degrades" in prose
        assert f"cifar10, fp32, {arm}: resnet56**: the gradient at the first activation is 0.34 times" in prose


def test_a_model_with_one_arm_alone_stops_no_chapter(read_chapter):
    study = load_study("degradation")
    for cell in study.cells:
        if cell.model != "plain20" or cell.arm == "paper":
            degrading(cell)
    prose, _ = read_chapter("40_degradation", "degradation")
    assert "cifar10, fp32, paper: plain56 against plain20: degrades" in prose
    assert "cifar10, fp32, base: plain56 against plain20: undecided" in prose


def test_a_comparison_of_networks_of_one_depth_has_no_verdict_on_depth(read_chapter, tiny_study):
    name = tiny_study(
        "shortcuts",
        frameworks=["pytorch"],
        datasets=["cifar10"],
        models=["plain20", "resnet20", "resnet56"],
        seeds=[42, 123],
        contrasts=[{"axis": "model", "against": "resnet20"}],
        chapters=["40_degradation"],
    )
    for cell in load_study(name).cells:
        degrading(cell)
    prose, _ = read_chapter("40_degradation", name)
    assert re.search(r"plain20 against resnet20: (different|undecided)\.", prose)
    assert "resnet56 against resnet20: does not degrade." in prose
    assert "No finished run has the test accuracy of every epoch." in prose
    assert "No finished run has measured its layers." in prose


def test_fashion_s_prose_on_other_comparisons_is_that_of_the_study(read_chapter):
    for name, sentence in (("fashion-ablations-quick", True), ("fashion-extras-quick", False)):
        finish(load_study(name).cells[0], accuracy=0.8)
        prose, _ = read_chapter("41_fashion", name)
        assert ("Also compared with rate-0-01: no-momentum." in prose) == sentence


def test_the_results_mention_gates_only_where_the_study_has_any(read_chapter, tiny_study):
    assert "gates" not in read_chapter("30_results", tiny_study("ungated"))[0]
    assert "of the 3 gates" in read_chapter("30_results", "degradation-quick")[0]


def test_the_chapter_on_fashion_can_be_read_without_the_base(read_chapter):
    study = load_study("fashion-ablations-quick")
    for cell in study.cells:
        if cell.arm == "noop":
            finish(cell, accuracy=0.8)
    prose, _ = read_chapter("41_fashion", study.name)
    assert "3 of 54 runs have results" in prose


def test_a_best_epoch_that_one_run_alone_measured_is_no_column_over_the_epochs():
    table = pd.DataFrame({"seed": [1, 1, 1, 2, 2], "epoch": [0, 3, 4, 0, 4]})
    assert neurons.regular(table, ["seed"]).epoch.tolist() == [0, 4, 0, 4]


def test_no_level_is_left_out_of_the_scales_however_many_there_are():
    levels = [f"net{number}" for number in range(10)]
    rows = [(level, epoch, depth, 1.0, 1.0) for level in levels for epoch in (0, 1, 5) for depth in (1, 2)]
    scales = pd.DataFrame(rows, columns=["model", "epoch", "depth", "scale", "gradient"])
    figure = draw_scales(scales, Comparison("model", levels[0], tuple(levels[1:]), []))
    assert all(len(axis.lines) == 10 for axis in figure.axes)
