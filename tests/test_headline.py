"""The headline of an experiment: each of its answers against a formula, a library or an enumeration."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from lib.analysis import contrasts, headline
from lib.figures.forest import forest
from lib.study.study import Comparison

GROUP = ["dataset", "model", "precision"]
FRAMEWORKS = Comparison("framework", "keras", ("pytorch",), GROUP)
DATASETS, MODELS, PRECISIONS = ("cifar10", "cifar100"), ("resnet50", "mobilenetv2", "convnext_tiny"), ("fp32", "amp")
GROUPS = list(product(DATASETS, MODELS, PRECISIONS))


def experiment(effect=0.0, scatter=0.003, between=0.0, groups=GROUPS, seeds=5, seed=0):
    """Results of two frameworks: an effect in each group, with scatter between the seeds and between the groups."""
    rng = np.random.default_rng(seed)
    rows = []
    for group in groups:
        true = effect + between * rng.normal()
        for one, framework in product(range(seeds), ("keras", "pytorch")):
            accuracy = 0.8 + scatter * rng.normal() + (framework == "pytorch") * true
            rows.append((framework, *group, one, accuracy, 1000 * np.exp(5 * (accuracy - 0.8))))
    return pd.DataFrame(rows, columns=["framework", *GROUP, "seed", "test_accuracy", "images_per_sec_avg"])


def told(results, native=frozenset(GROUPS), metric="test_accuracy"):
    table = contrasts.compare(results, FRAMEWORKS, (metric,), native)
    return headline.headline(table, results, FRAMEWORKS, "pytorch", metric), table


def test_the_mean_over_the_groups_has_satterthwaite_s_interval():
    found, table = told(experiment(0.002))
    squares = table["se"] ** 2
    freedom = squares.sum() ** 2 / (squares**2 / table["freedom"]).sum()
    reach = stats.t.isf(0.025, freedom) * np.sqrt(squares.sum()) / 12
    assert found.mean.interval() == pytest.approx([table["delta"].mean() - reach, table["delta"].mean() + reach])
    assert found.tost_p == pytest.approx(
        stats.t.sf((0.005 - table["delta"].mean()) / (np.sqrt(squares.sum()) / 12), freedom)
    )
    assert (found.groups, found.left_out, found.judgement) == (12, 0, "equivalent")


def test_a_mean_beyond_the_margin_is_different_and_a_noisy_one_undecided():
    assert told(experiment(0.02))[0].judgement == "different"
    assert told(experiment(0.0, scatter=0.05))[0].judgement == "undecided"


def test_a_speed_s_headline_is_on_the_log_of_the_ratio():
    found, table = told(experiment(0.002), metric="images_per_sec_avg")
    assert found.mean.value == pytest.approx(np.log(table["ratio"]).mean())
    assert found.margin == pytest.approx([-np.log(1.05), np.log(1.05)])
    assert "PyTorch / Keras in images per second averages 1.0" in headline.sentence(
        found, FRAMEWORKS, "pytorch", "images_per_sec_avg"
    )


def test_flips_are_exact_for_few_parts_and_random_but_repeatable_for_many():
    parts = np.array([0.3, -0.1, 0.5, 0.2])
    sums = [abs(np.dot(signs, parts)) for signs in product([-1, 1], repeat=4)]
    assert headline.flip_p(parts) == pytest.approx(np.mean([one >= 0.9 - 1e-12 for one in sums]))
    assert headline.flip_p(np.ones(6)) == 2 / 2**6
    many = np.random.default_rng(0).normal(0.2, 1, 60)
    assert headline.flip_p(many) == headline.flip_p(many)
    normal = 2 * stats.norm.sf(abs(many.sum()) / np.sqrt((many**2).sum()))
    assert headline.flip_p(many) == pytest.approx(normal, abs=0.02)
    assert headline.flip_p(np.ones(60)) == 1 / 10_000


def test_clusters_are_of_dataset_and_model_and_count_their_precisions_once():
    found, table = told(experiment(0.002))
    sums = table.groupby(["dataset", "model"], sort=False)["delta"].sum().to_numpy()
    assert found.clusters == 6
    assert found.clusters_p == headline.flip_p(sums)


def test_random_effects_are_statsmodels_where_the_groups_vary_beyond_their_errors():
    found, table = told(experiment(between=0.006))
    expected = combine_effects(table["delta"].to_numpy(), headline.pooled_variances(table) / 5, "dl", use_t=True)
    assert expected.tau2 > 0
    assert found.random == pytest.approx([expected.mean_effect_re, np.sqrt(expected.var_hksj_re), 11])


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # statsmodels takes the root of it
def test_random_effects_of_groups_that_hardly_vary_have_no_negative_variance():
    results = experiment(scatter=0.001)
    means = results.groupby(["framework", *GROUP])["test_accuracy"].transform("mean")
    found, table = told(results.assign(test_accuracy=results["test_accuracy"] - 0.99 * (means - 0.8)))
    variance = headline.pooled_variances(table) / 5
    assert combine_effects(table["delta"].to_numpy(), variance, "dl", use_t=True).tau2 < 0
    assert found.random.value == pytest.approx(np.average(table["delta"], weights=1 / variance))


def test_variances_are_pooled_within_a_dataset():
    _, table = told(experiment(), native=())
    for dataset, rows in table.assign(pooled=headline.pooled_variances(table)).groupby("dataset"):
        assert rows["pooled"].to_numpy() == pytest.approx((rows["sd_difference"] ** 2).mean()), dataset


def test_groups_that_differ_are_found_and_equal_ones_are_not():
    assert told(experiment(between=0.01))[0].unlike_p < 0.001
    p_values = [told(experiment(seed=seed))[0].unlike_p for seed in range(60)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_shrunken_rows_are_nearer_to_the_truth_and_not_drawn_to_it_where_groups_differ_much():
    def errors(between):
        found = []
        for seed in range(30):
            rng = np.random.default_rng(seed)
            true = between * rng.normal(size=12)
            table = contrasts.compare(
                pd.concat(
                    [
                        experiment(one, groups=[group], seed=seed * 100 + place)
                        for place, (one, group) in enumerate(zip(true, GROUPS, strict=True))
                    ]
                ),
                FRAMEWORKS,
                ("test_accuracy",),
                set(GROUPS),
            )
            rows = headline.shrunken(table)
            found.append([((rows[name] - true) ** 2).mean() for name in ("delta", "shrunken")])
        return np.sqrt(np.mean(found, axis=0))

    raw, drawn = errors(0.0)
    assert drawn < 0.6 * raw
    raw, drawn = errors(0.05)
    assert drawn == pytest.approx(raw, rel=0.05)


def test_every_group_is_within_the_margin_if_the_largest_p_says_so():
    found, table = told(experiment(scatter=0.001))
    assert found.every_p == table["tost_p"].max() < 0.05
    assert table["tost_holm_p"].max() >= found.every_p


def test_a_group_without_a_spread_is_left_out_and_every_group_then_has_no_p_unless_it_is_equal_by_inspection():
    results = experiment()
    one = (results["model"] == "resnet50") & (results["dataset"] == "cifar10") & (results["precision"] == "fp32")
    lost, _ = told(results[~one | (results["seed"] == 0)])
    assert (lost.groups, lost.left_out) == (11, 1)
    assert np.isnan(lost.every_p)
    same, _ = told(results.assign(test_accuracy=results["test_accuracy"].mask(one, 0.5)))
    assert (same.groups, same.left_out) == (11, 1)
    assert same.every_p > 0


def test_two_groups_have_no_headline_of_their_own():
    assert told(experiment(groups=GROUPS[:2]))[0] is None


def test_one_of_several_levels_has_its_own_headline():
    results = experiment(0.002).rename(columns={"framework": "arm"})
    third = results[results["arm"] == "pytorch"].assign(
        arm="other", test_accuracy=lambda rows: rows["test_accuracy"] + 0.1
    )
    comparison = Comparison("arm", "keras", ("pytorch", "other"), GROUP)
    both = pd.concat([results, third])
    table = contrasts.compare(both, comparison, ("test_accuracy",))
    found = headline.headline(table, both, comparison, "other")
    alone = headline.headline(table, both, comparison, "pytorch")
    assert found.groups == alone.groups == 12
    assert found.mean.value == pytest.approx(alone.mean.value + 0.1)


def test_the_sentence_and_the_table_say_what_each_number_answers():
    found, _ = told(experiment(0.002))
    text = headline.sentence(found, FRAMEWORKS, "pytorch")
    assert text.startswith("Over these 12 groups PyTorch minus Keras in test accuracy averages +0.")
    assert "the mean is within the margin" in text
    assert "6 clusters of dataset and model" in text
    apart, _ = told(experiment(0.02))
    assert "the mean is other than zero (p < 0.0001)" in headline.sentence(apart, FRAMEWORKS, "pytorch")
    table = headline.answers(found)
    assert len(table) == 7
    assert table["question"].str.endswith("?").all()
    assert not table["p"].isna().any()
    few, _ = told(experiment(groups=GROUPS[:6]))
    assert "beyond these networks: no test with 3 clusters" in headline.sentence(few, FRAMEWORKS, "pytorch")


@pytest.mark.parametrize("metric", ["test_accuracy", "images_per_sec_avg"])
def test_the_forest_has_a_row_a_group_and_a_diamond_as_wide_as_the_interval_of_the_mean(metric):
    found, table = told(experiment(0.002), metric=metric)
    axis = forest(headline.shrunken(table), found, FRAMEWORKS).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == [*(" ".join(group) for group in GROUPS), "mean"]
    scale = np.exp if metric == "images_per_sec_avg" else lambda values: 100 * np.array(values)
    diamond = axis.patches[-1].get_xy()
    assert [diamond[:, 0].min(), diamond[:, 0].max()] == pytest.approx(list(scale(found.mean.interval())))
    raw, drawn = (line.get_xdata() for line in axis.lines[:2])
    assert raw == pytest.approx(table["ratio"] if metric == "images_per_sec_avg" else 100 * table["delta"])
    assert np.ptp(drawn) < np.ptp(raw)
