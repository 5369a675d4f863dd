"""The zoo: tables of many networks, their figures, and the chapter on invented runs."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from scipy.cluster import hierarchy
from sklearn.metrics import cohen_kappa_score

from lib.analysis import zoo
from lib.analysis.results import results
from lib.bench.invented import IMAGES, LABELS, finish
from lib.figures import zoo as figures
from lib.study.loading import load_study
from lib.study.models import ZOO, find

NAMES = [model.name for model in ZOO]


def invented(models=NAMES):
    """A table of `zoo.zoo` without runs: a later network is larger and mostly better."""
    n = len(models)
    table = pd.DataFrame(dict.fromkeys(zoo.COLUMNS, np.nan), index=range(n))
    accuracy = 0.5 + 0.3 * np.linspace(0, 1, n) + 0.01 * (np.arange(n) % 3)
    return table.assign(
        family=[find(model).kind.title for model in models],
        model=models,
        test_accuracy=accuracy,
        test_accuracy_sd=0.01,
        acc_best=accuracy,
        published_accuracy=[model.published.accuracy and model.published.accuracy / 100 for model in ZOO][:n],
        parameters=np.geomspace(1e5, 6e7, n),
        multiply_adds=np.geomspace(2e7, 4e9, n),
        train_seconds=np.geomspace(600, 6e5, n),
        per_million=accuracy / np.geomspace(0.1, 60, n),
        timing="",
    ).astype({"published_accuracy": float})


def answers(wrong):
    """Answers of runs by (model, seed); 1 is a wrong one."""
    rows = [
        {"model": model, "seed": seed, "image": image, "label": 0, "prediction": one}
        for (model, seed), errors in wrong.items()
        for image, one in enumerate(errors)
    ]
    return pd.DataFrame(rows)


def compared(*rows):
    names = ["model", "against", "level", "n", "delta", "ci_low", "ci_high", "judgement"]
    return pd.DataFrame(rows, columns=names)


def logits_of(cell, error):
    """Logits with that share of errors, on images that depend on the run."""
    rng = np.random.default_rng([cell.seed, len(cell.model), ord(cell.model[-1])])
    wrong = rng.random(IMAGES) < error
    return np.eye(100, dtype=np.float16)[np.where(wrong, 99, LABELS)]


def run(cell, lost=0.0):
    finish(
        cell,
        accuracy=0.7 - lost + (cell.seed % 7) / 1000,
        logits=logits_of(cell, 0.3 + lost),
        parameters=1000 * (1 + NAMES.index(cell.model)),
        multiply_adds=10**6 * (1 + NAMES.index(cell.model)),
    )


def test_the_front_has_who_is_beaten_by_none_in_both_and_keeps_ties():
    table = pd.DataFrame(
        {
            "model": ["cheap", "dear and worse", "twin", "twin too", "best", "same price, worse", "unknown price"],
            "test_accuracy": [0.5, 0.4, 0.6, 0.6, 0.9, 0.8, 1.0],
            "cost": [1.0, 2.0, 3.0, 3.0, 9.0, 9.0, np.nan],
        }
    )
    assert zoo.front(table, "cost").model.tolist() == ["cheap", "twin", "twin too", "best"]
    assert zoo.front(table[6:], "cost").empty


def test_consistency_is_cohen_s_kappa_of_the_errors():
    kappa = zoo.consistency(answers({("a", 1): [1, 1, 0, 0], ("b", 1): [1, 0, 0, 0]}))
    assert kappa.loc["a", "b"] == kappa.loc["b", "a"] == pytest.approx(0.5)  # (0.75 - 0.5) / (1 - 0.5)
    assert np.isnan(kappa.loc["a", "a"])  # one seed


def test_consistency_is_the_mean_over_common_seeds_and_over_the_pairs_of_a_model_s_own():
    rng = np.random.default_rng(0)
    runs = {(model, seed): rng.integers(0, 2, 50) for model in "ab" for seed in (1, 2, 3)}
    del runs["b", 3]
    kappa = zoo.consistency(answers(runs))

    def mean(*pairs):
        return pytest.approx(np.mean([cohen_kappa_score(runs[one], runs[other]) for one, other in pairs]))

    assert kappa.loc["a", "b"] == mean((("a", 1), ("b", 1)), (("a", 2), ("b", 2)))
    assert kappa.loc["a", "a"] == mean(*((("a", one), ("a", other)) for one, other in ((1, 2), (1, 3), (2, 3))))
    assert kappa.loc["b", "b"] == mean((("b", 1), ("b", 2)))


def test_consistency_has_no_value_without_a_common_seed_or_without_errors():
    kappa = zoo.consistency(answers({("a", 1): [1, 0], ("b", 2): [1, 0], ("c", 1): [0, 0], ("d", 1): [0, 0]}))
    assert np.isnan(kappa.loc["a", "b"])
    assert np.isnan(kappa.loc["c", "d"])
    assert kappa.loc["a", "c"] == 0
    assert len(zoo.clusters(kappa)) == 3


def test_pairs_are_ordered_and_know_their_kin():
    names = ["resnet_20", "resnet_32", "hornet_tiny"]
    kappa = pd.DataFrame([[1, 0.2, 0.3], [0.2, 1, np.nan], [0.3, np.nan, 1]], index=names, columns=names)
    table = zoo.alike(kappa)
    assert table[["model", "other", "kappa", "kin"]].to_numpy().tolist() == [
        ["resnet_20", "hornet_tiny", 0.3, False],
        ["resnet_20", "resnet_32", 0.2, True],
    ]


def test_networks_that_err_alike_are_neighbours():
    kappa = pd.DataFrame(np.full((4, 4), 0.1), index=list("abcd"), columns=list("abcd"))
    for one, other in (("a", "c"), ("b", "d")):
        kappa.loc[one, other] = kappa.loc[other, one] = 0.8
    kappa.loc["a", "d"] = kappa.loc["d", "a"] = -0.5
    linkage = zoo.clusters(kappa)
    order = "".join(kappa.index[hierarchy.leaves_list(linkage)])
    assert {"ac", "bd"} == {"".join(sorted(order[:2])), "".join(sorted(order[2:]))}
    assert linkage[:2, 2] == pytest.approx([0.2, 0.2])


def test_a_family_is_shown_by_its_best_network_on_val():
    table = invented().assign(acc_best=[0.9 if name == "ghost_resnet_32" else 0.5 for name in NAMES])
    best = zoo.families(table).set_index("family")
    assert best.loc["GhostNet", ["networks", "model"]].tolist() == [3, "ghost_resnet_32"]
    assert best.index.tolist() == list(dict.fromkeys(table.family))
    assert best.networks.sum() == 26


def test_networks_are_chosen_on_val_and_not_on_test():
    table = pd.DataFrame({"acc_best": [0.8, 0.5, 0.4], "test_accuracy": [0.7, 0.4, 0.9], "parameters": [9.0, 1.0, 1.0]})
    assert [row.name for row in zoo.best_on_val(table)] == [0, 1]


def test_a_stem_is_worth_ours_minus_the_original_one():
    rows = (("resnest50d", "base", zoo.STEM, 3, -0.1, -0.14, -0.06, "different"), *[("m", "base", "k3", *[0] * 5)])
    (mend,) = zoo.mends([compared(*rows)]).itertuples()
    assert (mend.model, mend.n, mend.delta, mend.ci_low, mend.ci_high) == ("resnest50d", 3, 0.1, 0.06, 0.14)
    assert zoo.mends([]).empty
    assert zoo.mends([compared(*rows).drop(columns="model")]).empty


def test_controls_are_two_names_of_one_network_trained_alike(read_chapter):
    study = load_study("zoo-eca")
    for cell in study.cells:
        run(cell)
    ((_, _, rows),) = zoo.comparisons(study, results(study))
    assert rows[rows.control].level.tolist() == ["k3"]
    study = load_study("zoo-quick")
    for cell in study.cells:
        run(cell)
    to_resnet, to_eca = (rows for *_, rows in zoo.comparisons(study, results(study)))
    assert to_resnet[to_resnet.control].level.tolist() == ["resnet20_no_eca"]
    assert to_eca[to_eca.control].level.tolist() == ["eca_resnet_20", "ecanet20_k3"]


def test_one_network_trained_with_two_recipes_is_no_control(read_chapter, tiny_study):
    models, recipes = ["resnet_20", "resnet20_no_eca"], {"resnet20_no_eca": "small-modern"}
    contrasts = [{"axis": "model", "against": "resnet_20"}]
    small = {"schedule": {"warmup_epochs": 0}}
    facts = {"datasets": ["cifar100"], "models": models, "contrasts": contrasts, "chapters": ["42_zoo"]}
    study = load_study(tiny_study("alike", frameworks=["pytorch"], settings=small, recipes=recipes, **facts))
    for cell in study.cells:
        run(cell)
    ((_, _, rows),) = zoo.comparisons(study, results(study))
    assert not rows.control.any()


def test_two_names_of_one_network_are_no_pair():
    names = ["eca_resnet_20", "resnet_20", "ecanet20_k3", "resnet20_no_eca", "ecanet20_k5", "ecanet20_adaptive"]
    assert zoo.synonyms(names) == [
        ["eca_resnet_20", "ecanet20_k3", "ecanet20_adaptive"],
        ["resnet_20", "resnet20_no_eca"],
    ]
    pairs = zoo.alike(pd.DataFrame(0.5, index=names, columns=names))
    assert len(pairs) == 15 - 3 - 1
    assert ("eca_resnet_20", "ecanet20_k5") in set(zip(pairs.model, pairs.other, strict=True))


def test_the_models_that_learn_soft_labels_are_named():
    soft = zoo.soft(load_study("zoo-quick"))
    assert {"convnext_tiny", "mlp_mixer_tiny", "resnest50d", "coatnet_0", "hornet_tiny"} <= set(soft)
    assert not {"resnet_20", "ecanet20_k3", "improved_resnet20_convnext"} & set(soft)
    assert zoo.soft(load_study("zoo-small")) == []


def test_the_table_has_ours_beside_the_published(read_chapter):
    study = load_study("zoo-small")
    for cell in study.cells:
        run(cell)
    table = zoo.zoo(study, results(study)).set_index("model", drop=False)
    assert list(table) == list(zoo.COLUMNS)
    assert table.index.tolist() == ["resnet_20", "resnet_32", "resnet_56", "ecanet20_k3", "ecanet20_adaptive"]
    row = table.loc["resnet_20"]
    expected = np.mean([0.68 + (seed % 7) / 1000 for seed in study.seeds])
    assert (row.family, row.recipe, row.seeds, row.epochs) == ("ResNet for CIFAR", "residual", 3, 2)
    assert row[["test_accuracy", "published_accuracy", "gap"]].tolist() == pytest.approx(
        [expected, 0.665, expected - 0.665]
    )
    assert row.published_parameters == pytest.approx(280_000)
    assert np.isnan(table.loc["ecanet20_k3"].published_parameters)
    assert row.train_seconds == pytest.approx(2 + 1)
    assert row.per_million == pytest.approx(expected / 0.001)


def test_models_are_in_the_registry_s_order_and_only_the_first_arm_and_dataset_count(read_chapter, tiny_study):
    name = tiny_study(
        "zoo-order",
        frameworks=["pytorch"],
        datasets=["cifar10", "cifar100"],
        models=["ghost_resnet_20", "resnet_20"],
        arms={"base": {}, "longer": {"epochs": 5}},
        chapters=["42_zoo"],
    )
    study = load_study(name)
    for cell in study.cells:
        run(cell, lost=0.2 if cell.arm == "longer" or cell.dataset == "cifar100" else 0)
    table = zoo.zoo(study, results(study))
    assert table.model.tolist() == ["resnet_20", "ghost_resnet_20"]
    assert table.seeds.tolist() == [1, 1]
    assert table.test_accuracy.tolist() == pytest.approx([0.68, 0.68])
    assert table.epochs.tolist() == [3, 3]
    assert table.published_accuracy.isna().all()  # those of the table are on CIFAR-100


def test_a_comparison_without_a_pair_is_left_out(read_chapter):
    study = load_study("zoo-small")
    for cell in study.cells:
        if cell.model == "resnet_32" or (cell.model == "resnet_20" and cell.seed == 42):
            run(cell)
    ((against, where, rows),) = zoo.comparisons(study, results(study))
    assert (against, where) == ("resnet_20", "cifar100, fp32")
    assert rows[["level", "n", "question"]].to_numpy().tolist() == [["resnet_32", 1, "ResNet for CIFAR"]]


def test_heights_are_kept_or_moved_apart_below_one():
    assert figures.apart(np.array([0.1, 0.5]), 0.1).tolist() == [0.1, 0.5]
    assert figures.apart(np.array([0.5, 0.5, 0.52]), 0.1) == pytest.approx([0.5, 0.6, 0.7])
    assert figures.apart(np.array([0.9, 0.98, 0.99]), 0.1) == pytest.approx([0.8, 0.9, 1.0])


def boxes(texts, figure):
    """The boxes of the texts as they are drawn, without the line of an annotation."""
    figure.draw_without_rendering()
    found = [Text.get_window_extent(text) for text in texts if text.get_text() and text.get_visible()]
    return sorted(found, key=lambda box: (box.y0, box.x0))


def overlapping(found):
    return [(one, other) for place, one in enumerate(found) for other in found[place + 1 :] if one.overlaps(other)]


def test_26_networks_have_a_row_each_below_their_family():
    table = invented()
    figure = figures.draw_overview(table)
    reached, efficient = figure.axes
    labels = reached.get_yticklabels()
    names = [label.get_text() for label in labels]
    assert [name for name in names if name in NAMES] == NAMES
    assert [label.get_text() for label in labels if label.get_fontweight() == "bold"] == list(
        dict.fromkeys(table.family)
    )
    ours, published = reached.lines[:2]
    assert [names[int(place)] for place in ours.get_ydata()] == NAMES
    assert ours.get_xdata() == pytest.approx(100 * table.test_accuracy)
    assert np.nansum(published.get_xdata()) == pytest.approx(100 * table.published_accuracy.sum())
    assert efficient.lines[0].get_xdata() == pytest.approx(100 * table.per_million)
    assert not overlapping(boxes(labels, figure))
    assert not overlapping(boxes(efficient.get_xticklabels(), figure))
    assert figure.get_size_inches()[1] * 2.54 < 22


def test_the_networks_of_a_front_are_named_without_an_overlap_and_unknown_costs_have_no_panel():
    table = invented()
    figure = figures.draw_costs(table)
    assert [axis.get_xlabel() for axis in figure.axes] == [cost.title for cost in zoo.COSTS.values()]
    for axis, cost in zip(figure.axes, zoo.COSTS, strict=True):
        assert [text.get_text() for text in axis.texts] == zoo.front(table, cost).model.tolist()
        assert len(axis.texts) > 10
        assert not overlapping(boxes(axis.texts, figure))
        assert sum(len(line.get_xdata()) for line in axis.lines if line.get_linestyle() == "None") == 26
    assert figure.get_size_inches()[1] * 2.54 < 22
    assert len(figures.draw_costs(table.assign(multiply_adds=np.nan)).axes) == 2


def test_each_family_has_a_panel_of_curves_with_its_networks():
    table = invented()
    rows = [(model, seed, epoch, epoch / 10) for model in NAMES for seed in (1, 2) for epoch in (1, 2, 3)]
    epochs = pd.DataFrame(rows, columns=["model", "seed", "epoch", "val_accuracy"])
    figure = figures.draw_courses(epochs, table)
    assert [axis.get_title("left") for axis in figure.axes] == list(dict.fromkeys(table.family))
    named = [text.get_text() for axis in figure.axes for text in axis.get_legend().get_texts()]
    assert named == NAMES
    bold = [line for axis in figure.axes for line in axis.lines if line.get_linewidth() > 1]
    assert [line.get_ydata().tolist() for line in bold] == [pytest.approx([10, 20, 30])] * 26
    assert not overlapping(boxes([text for axis in figure.axes for text in axis.get_legend().get_texts()], figure))
    assert len(figures.draw_courses(epochs, table[:3]).axes) == 1


def test_the_map_has_all_labels_in_the_order_of_the_clusters():
    rng = np.random.default_rng(0)
    kappa = zoo.consistency(answers({(name, 1): rng.integers(0, 2, 40) for name in NAMES}))
    linkage = zoo.clusters(kappa)
    figure = figures.draw_consistency(kappa, linkage)
    axis = figure.axes[1]
    order = [NAMES[leaf] for leaf in hierarchy.leaves_list(linkage)]
    for labels in (axis.get_xticklabels(), axis.get_yticklabels()):
        assert [label.get_text() for label in labels] == order
        assert not overlapping(boxes(labels, figure))
    cell = f"{kappa.loc[order[0], order[1]]:.2f}".replace("0.", ".")
    assert axis.texts[0].get_text() == cell  # the diagonal has no value with one seed
    assert not overlapping(boxes(axis.texts, figure))


def test_the_chapter_fits_26_networks_of_one_seed(read_chapter):
    study = load_study("zoo-quick")
    for cell in study.cells:
        run(cell, lost=0.1 if cell.model == "ghostnet_100" else 0)
    prose, saved = read_chapter("42_zoo", "zoo-quick")
    assert "26 of 26 runs have results" in prose
    assert "25 of 25" not in prose
    assert re.search(r"Pareto front, parameters, millions\*\*, the cheapest first: resnet_20\.", prose)
    assert "Against the published table" in prose
    assert "of 25 networks are above it" in prose
    assert "networks train on mixed or smoothed labels" in prose
    assert prose.count("The control has no spread to judge") == 3  # one seed
    assert "eca_resnet_20, ecanet20_k3, ecanet20_adaptive: one network under 3 names" in prose
    assert "n = 321 pairs of networks" in prose  # of 325, four are of one network
    assert not re.search(r"\bnan\b", prose)
    figures_of = {"zoo_overview.png", "zoo_costs.png", "zoo_courses.png", "zoo_consistency.png"}
    tables_of = {"zoo_accuracy.csv", "zoo_costs.csv", "zoo_families.csv", "zoo_alike.csv"}
    assert figures_of | tables_of | {"zoo_resnet_20_cifar100_fp32.png"} <= saved


def test_the_chapter_says_what_a_stem_is_worth(read_chapter):
    study = load_study("zoo-stem")
    for cell in study.cells:
        run(cell, lost=0.1 + (cell.seed % 5) / 1000 if cell.arm == zoo.STEM else 0)
    prose, saved = read_chapter("42_zoo", "zoo-stem")
    for model in study.models:
        assert re.search(rf"The mended stem, {model}\*\*: \+10.\d\d points \(95 % .*different, n = 3 seeds", prose)
        assert f"zoo_base_cifar100_{model}_fp32.png" in saved


@pytest.mark.parametrize(("lost", "verdict"), [(0.0, "holds"), (0.05, "does not hold")])
def test_the_chapter_judges_the_control_of_eca(read_chapter, lost, verdict):
    study = load_study("zoo-eca")
    for number, cell in enumerate(study.cells):
        noise = (number % 3) / 1000
        run(cell, lost=lost + noise if cell.arm == "k3" else noise)
    prose, saved = read_chapter("42_zoo", "zoo-eca")
    assert f"The control {verdict}**: k3 against base" in prose
    assert "A front needs two networks" in prose
    assert "This needs two networks with a common seed" in prose
    assert "zoo_costs.png" not in saved


@pytest.mark.parametrize("finished", [0, 1])
def test_the_chapter_can_be_read_however_few_runs_are_finished(read_chapter, finished):
    study = load_study("zoo")
    for cell in study.cells[:finished]:
        run(cell)
    prose, saved = read_chapter("42_zoo", "zoo")
    assert f"{finished} of 78 runs have results" in prose
    assert ("Nothing has been run yet" in prose) == (not finished)
    assert ("zoo_accuracy.csv" in saved) == bool(finished)
    assert "There are no two arms or networks to compare" in prose


def test_the_chapter_can_be_read_for_networks_of_no_zoo_and_partly_missing_runs(read_chapter):
    study = load_study("degradation-quick")
    for number, cell in enumerate(study.cells):
        if number % 4:
            finish(cell, accuracy=0.7 + number / 1000)
    prose, saved = read_chapter("42_zoo", "degradation-quick")
    assert "None of the networks with results has a published accuracy" in prose
    assert "Against the published table" not in prose
    assert {"zoo_overview.png", "zoo_costs.png", "zoo_consistency.png"} <= saved
