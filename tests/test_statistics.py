from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from lib.analysis import contrasts, estimates, inference
from lib.study.study import Comparison

KEYS = ["framework", "dataset", "model", "precision", "seed"]
RESULTS = [*KEYS, "test_accuracy", "test_macro_f1", "images_per_sec_avg"]
GROUP = ["dataset", "model", "precision"]
FRAMEWORKS = Comparison("framework", "keras", ("pytorch",), GROUP)

KERAS = np.array([0.912, 0.905, 0.921, 0.917, 0.909])
PYTORCH = np.array([0.918, 0.914, 0.922, 0.925, 0.913])
SEEDS = [42, 123, 456, 789, 1024]
INSPECTED = "judged by inspection, not by a test"


def results(keras, pytorch, seeds=SEEDS, model="resnet20"):
    """A table of results; accuracy and F1 are as given, and the speeds are ten thousand times as much."""
    values = dict(zip(product(["keras"], seeds), keras, strict=False))
    values |= dict(zip(product(["pytorch"], seeds), pytorch, strict=False))
    rows = [
        dict(zip(KEYS, (framework, "digits", model, "fp32", seed), strict=True))
        | {"test_accuracy": value, "test_macro_f1": value, "images_per_sec_avg": 1e4 * value}
        for (framework, seed), value in values.items()
    ]
    return pd.DataFrame(rows, columns=RESULTS)


def many(keras, pytorch):
    """Tables of results one below the other: a model for each row of the arrays `(models, seeds)`."""
    pairs = enumerate(zip(keras, pytorch, strict=True))
    return pd.concat([results(k, p, model=f"model{number}") for number, (k, p) in pairs])


def compare(table):
    return contrasts.compare(table, FRAMEWORKS)


def accuracy(table):
    return compare(table).set_index("metric").loc["test_accuracy"]


@pytest.fixture(scope="module")
def row():
    return accuracy(results(KERAS, PYTORCH))


def test_the_columns_are_the_documented_ones_and_each_group_has_a_row_a_metric():
    table = compare(many([KERAS, KERAS], [PYTORCH, PYTORCH]))
    assert list(table.columns) == [*GROUP, *contrasts.COLUMNS]
    assert table["model"].tolist() == ["model0"] * 3 + ["model1"] * 3
    assert table["metric"].tolist() == ["test_accuracy", "test_macro_f1", "images_per_sec_avg"] * 2


def test_the_difference_is_pytorch_minus_keras_with_its_t_interval_and_p(row):
    expected = stats.ttest_rel(PYTORCH, KERAS)
    low, high = expected.confidence_interval(0.95)
    assert row["n"] == 5
    assert row["mean_against"] == pytest.approx(0.9128)
    assert row["mean_level"] == pytest.approx(0.9184)
    assert row["delta"] == pytest.approx(0.0056)
    assert [row["ci_low"], row["ci_high"], row["t_p"]] == pytest.approx([low, high, expected.pvalue])
    half = 2.7764451051977987 * row["sd_difference"] / np.sqrt(5)  # the tabled 97.5 % quantile of t with 4 df
    assert row["ci_high"] - row["delta"] == pytest.approx(half)


def test_five_differences_of_one_sign_reach_the_smallest_wilcoxon_p_and_no_less(row):
    assert row["wilcoxon_p"] == row["wilcoxon_p_min"] == 0.0625


@pytest.mark.parametrize(("pairs", "smallest"), [(2, 0.5), (3, 0.25), (5, 0.0625), (6, 0.03125), (10, 2 / 2**10)])
def test_the_smallest_wilcoxon_p_is_two_of_all_patterns_of_signs(pairs, smallest):
    assert inference.smallest_wilcoxon_p(pairs) == smallest


def test_wilcoxon_is_exact_by_enumeration_of_signs_even_with_ties_in_floating_point():
    differences = np.array([0.01, 0.01, -0.01, 0.02, 0.03])
    ranks = np.array([2, 2, 2, 4, 5])
    sums = np.array([ranks[np.array(signs)].sum() for signs in product([True, False], repeat=5)])
    observed = ranks[differences > 0].sum()
    expected = min(1, 2 * (sums >= observed).mean())
    row = accuracy(results(KERAS, KERAS + differences))
    assert row["wilcoxon_p"] == pytest.approx(expected)


def test_both_of_cohen_s_d_follow_their_formulae(row):
    differences = PYTORCH - KERAS
    assert row["cohens_d_z"] == pytest.approx(stats.ttest_rel(PYTORCH, KERAS).statistic / np.sqrt(5))
    spread = (np.std(KERAS, ddof=1) + np.std(PYTORCH, ddof=1)) / 2
    assert row["cohens_d_av"] == pytest.approx(differences.mean() / spread)


def test_cliff_s_delta_counts_the_combinations_with_ties_as_neither():
    keras, pytorch = [0.90, 0.91, 0.92, 0.93, 0.94], [0.92, 0.90, 0.95, 0.96, 0.91]
    more = sum(p > k for p, k in product(pytorch, keras))
    less = sum(p < k for p, k in product(pytorch, keras))
    assert accuracy(results(keras, pytorch))["cliffs_delta"] == pytest.approx((more - less) / 25)


def test_equivalence_is_tested_on_the_difference_or_for_a_speed_on_the_log_of_the_ratio():
    keras, pytorch = KERAS, np.add(KERAS, [0.001, -0.001, 0.0005, 0, 0.002])
    table = compare(results(keras, pytorch)).set_index("metric")
    expected = ttost_paired(pytorch, keras, -0.005, 0.005)[0]
    assert table.loc["test_accuracy", "tost_p"] == pytest.approx(expected, rel=1e-6)
    expected = ttost_paired(1e4 * pytorch, 1e4 * keras, 1 / 1.05, 1.05, transform=np.log)[0]
    assert table.loc["images_per_sec_avg", "tost_p"] == pytest.approx(expected, rel=1e-4)
    assert table["judgement"].tolist() == ["equivalent", "descriptive", "equivalent"]


def test_a_speed_has_the_geometric_mean_ratio_with_the_interval_of_its_log():
    row = compare(results(KERAS, PYTORCH)).set_index("metric").loc["images_per_sec_avg"]
    logs = np.log(PYTORCH / KERAS)
    low, high = stats.ttest_1samp(logs, 0).confidence_interval(0.95)
    expected = [stats.gmean(PYTORCH / KERAS), np.exp(low), np.exp(high)]
    assert [row["ratio"], row["ratio_low"], row["ratio_high"]] == pytest.approx(expected)
    assert row["margin_low"] == pytest.approx(1 / row["margin_high"])


def test_holm_multiplies_the_smallest_p_by_the_number_of_a_metric_s_rows_and_never_goes_down():
    rng = np.random.default_rng(0)
    table = compare(many(rng.normal(0.9, 0.01, (4, 5)), rng.normal(0.91, 0.01, (4, 5))))
    table = table[table["metric"] == "test_accuracy"].sort_values("t_p")
    p, adjusted = table["t_p"].to_numpy(), table["holm_p"].to_numpy()
    assert adjusted == pytest.approx(np.minimum(1, np.maximum.accumulate(p * np.arange(4, 0, -1))))


def test_holm_s_correction_is_statsmodels_and_keeps_the_order_and_what_is_missing():
    p_values = pd.Series([0.04, np.nan, 0.001, 0.03, 0.03, 0.9], index=list("abcdef"))
    found = inference.holm(p_values)
    assert list(found.index) == list("abcdef")
    assert np.isnan(found["b"])
    assert found.dropna().tolist() == pytest.approx(multipletests(p_values.dropna(), method="holm")[1].tolist())


def test_holm_counts_only_the_tests_that_could_be_made():
    found = many([KERAS, KERAS + 0.01 * PYTORCH], [PYTORCH, KERAS])
    table = compare(pd.concat([found, results([0.9], [0.8], [42], model="one_pair")]))
    table = table[table["metric"] == "test_accuracy"].set_index("model")
    assert table["holm_p"].min() == pytest.approx(2 * table["t_p"].min())
    assert np.isnan(table.loc["one_pair", "holm_p"])


def test_macro_f1_is_described_and_neither_corrected_nor_judged():
    table = compare(results(KERAS, PYTORCH)).set_index("metric")
    assert table.loc["test_macro_f1", "judgement"] == "descriptive"
    assert table.loc["test_macro_f1", ["holm_p", "tost_holm_p"]].isna().all()
    assert table.loc["test_macro_f1", "t_p"] == table.loc["test_accuracy", "t_p"]
    assert table.loc["test_accuracy", "holm_p"] == table.loc["test_accuracy", "t_p"]


def test_speeds_that_are_not_reliable_are_not_judged_and_do_not_count_in_the_correction():
    found = many([KERAS, KERAS + 0.01 * PYTORCH], [PYTORCH, KERAS])
    doubts = {("digits", "model0", "fp32", "pytorch"): "two machines"}
    table = contrasts.compare(found, FRAMEWORKS, unreliable=doubts).set_index(["metric", "model"])
    row = table.loc["images_per_sec_avg", "model0"]
    assert (row["judgement"], row["reason"]) == ("timing not reliable", "two machines")
    assert row[["holm_p", "tost_holm_p"]].isna().all()
    other = table.loc["images_per_sec_avg", "model1"]
    assert (other["holm_p"], other["tost_holm_p"]) == (other["t_p"], other["tost_p"])
    assert table.loc[("test_accuracy", "model0"), "judgement"] != "timing not reliable"


NATIVE = {("digits", "resnet20", "fp32")}


@pytest.mark.parametrize("metric", ["test_accuracy", "images_per_sec_avg"])
def test_a_native_row_is_judged_by_welch_s_test_and_shows_the_paired_one(metric):
    table = contrasts.compare(results(KERAS, PYTORCH), FRAMEWORKS, native=NATIVE).set_index("metric")
    row, unit = table.loc[metric], 1e4 if metric == "images_per_sec_avg" else 1
    keras, pytorch = unit * KERAS, unit * PYTORCH
    expected = stats.ttest_ind(pytorch, keras, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert row["test"] == "Welch"
    assert row["holm_p"] == row["welch_p"] == pytest.approx(expected.pvalue)
    assert [row["ci_low"], row["ci_high"]] == [row["welch_low"], row["welch_high"]] == pytest.approx(list(interval))
    paired = stats.ttest_rel(pytorch, keras)
    assert row["t_p"] == pytest.approx(paired.pvalue)
    assert [row["paired_low"], row["paired_high"]] == pytest.approx(list(paired.confidence_interval(0.95)))
    margin = [1 / 1.05, 1.05] if unit > 1 else [-0.005, 0.005]
    tost = ttost_ind(pytorch, keras, *margin, usevar="unequal", transform=np.log if unit > 1 else None)
    assert row["tost_p"] == pytest.approx(tost[0], rel=1e-6)


def test_a_paired_row_shows_welch_s_test_too_and_only_the_groups_that_are_named_are_native():
    table = contrasts.compare(
        many([KERAS, KERAS], [PYTORCH, PYTORCH]), FRAMEWORKS, native={("digits", "model1", "fp32")}
    )
    rows = table[table["metric"] == "test_accuracy"].set_index("model")
    assert rows["test"].tolist() == ["paired", "Welch"]
    assert rows.loc["model0", "holm_p"] == pytest.approx(2 * rows.loc["model0", "t_p"])
    assert rows.loc["model0", "welch_p"] == rows.loc["model1", "welch_p"] > rows.loc["model1", "t_p"]


def test_native_runs_with_equal_values_seed_by_seed_have_a_spread_and_are_tested():
    rows = contrasts.compare(results(KERAS, KERAS), FRAMEWORKS, native=NATIVE).set_index("metric")
    assert rows.loc["test_accuracy", "welch_p"] == 1
    assert rows.loc["test_accuracy", "judgement"] == "undecided"
    constant = contrasts.compare(results([0.1] * 3, [0.2] * 3), FRAMEWORKS, native=NATIVE).iloc[0]
    assert constant["reason"] == "neither side varies: no spread to test against"
    assert constant["judgement"] == "undecided"


def test_the_noise_of_floats_in_a_constant_column_is_no_spread():
    noisy = np.full(5, 0.1) + np.array([0, 1, 0, -1, 0]) * 1e-17 * 4
    assert np.ptp(noisy) > 0
    row = accuracy(results(noisy, np.full(5, 0.3)))
    assert np.isnan(row["cohens_d_av"])
    assert row["reason"] == "all differences are equal: no spread to test against"


def test_rows_stand_in_the_order_of_the_results():
    found = pd.concat([results(KERAS, PYTORCH, model=model) for model in ("resnet50", "mobilenetv2", "convnext_tiny")])
    assert list(dict.fromkeys(compare(found)["model"])) == ["resnet50", "mobilenetv2", "convnext_tiny"]
    assert pairing(found)["model"].tolist() == ["resnet50", "mobilenetv2", "convnext_tiny", "all"]


@pytest.mark.parametrize("pairs", [14, 20, 30])
def test_wilcoxon_is_exact_with_ties_and_zeros_above_13_pairs(pairs):
    rng = np.random.default_rng(pairs)
    differences = rng.integers(-2, 4, pairs) / 100
    assert (differences == 0).any()
    moved = differences[differences != 0]
    ranks = stats.rankdata(np.abs(moved))
    signs = rng.choice([-1, 1], (200_000, len(moved)))
    drawn = np.abs(((signs > 0) * ranks).sum(axis=1) - ranks.sum() / 2)
    share = (drawn >= abs(ranks[moved > 0].sum() - ranks.sum() / 2) - 1e-9).mean()
    found = inference.wilcoxon_p(differences)
    assert found == pytest.approx(share, abs=5 * np.sqrt(share / 200_000))


def test_wilcoxon_is_that_of_scipy_where_scipy_s_is_exact():
    differences = np.random.default_rng(0).normal(0.3, 1, 40)
    assert inference.wilcoxon_p(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)


def test_the_smallest_wilcoxon_p_counts_only_the_pairs_that_differ():
    row = accuracy(results(KERAS, np.add(KERAS, [0.01, 0.02, 0, 0.03, 0])))
    assert row["wilcoxon_p"] == row["wilcoxon_p_min"] == 0.25


def test_a_difference_that_is_significant_but_within_the_margin_is_equivalent():
    row = accuracy(results(KERAS, np.add(KERAS, [0.0010, 0.0011, 0.0009, 0.0010, 0.0011])))
    assert row["holm_p"] < 0.05
    assert row["judgement"] == "equivalent"


def test_a_difference_beyond_the_margin_is_different_and_a_noisy_one_undecided():
    assert accuracy(results(KERAS, np.add(KERAS, [0.030, 0.031, 0.029, 0.030, 0.032])))["judgement"] == "different"
    assert accuracy(results(KERAS, np.add(KERAS, [0.03, -0.02, 0.01, -0.03, 0.02])))["judgement"] == "undecided"


@pytest.mark.parametrize(
    ("keras", "pytorch", "reason", "judgement"),
    [
        ([0.9], [0.91], "one pair has no spread to test against", "undecided"),
        ([0.9, 0.8], [], "no seed is finished in both", "undecided"),
        ([0.9], [0.9], "one pair has no spread to test against", "undecided"),
        ([0.9, 0.8], [0.9, 0.8], f"all differences are zero: {INSPECTED}", "equivalent"),
        ([0.9, 0.8, 0.7], [0.904, 0.804, 0.704], "all differences are equal: no spread to test against", "undecided"),
        ([0.9, 0.8, 0.7], [0.89, 0.79, 0.69], "all differences are equal: no spread to test against", "undecided"),
    ],
    ids=["one pair", "no pair", "one zero", "all zero", "equal inside", "equal outside"],
)
@pytest.mark.filterwarnings("error")
def test_differences_without_a_spread_have_no_p_and_zeros_are_judged_by_inspection(keras, pytorch, reason, judgement):
    row = accuracy(results(keras, pytorch))
    assert row["reason"] == reason
    assert row[["t_p", "holm_p", "tost_p", "tost_holm_p", "ci_low", "ci_high", "cohens_d_z", "detectable"]].isna().all()
    assert row["judgement"] == judgement


def test_equal_speeds_are_equivalent_by_inspection():
    row = compare(results(KERAS, KERAS)).set_index("metric").loc["images_per_sec_avg"]
    assert np.isnan(row["tost_p"])
    assert row["judgement"] == "equivalent"


def test_speeds_with_equal_differences_are_tested_for_equivalence_by_their_ratio():
    row = compare(results(KERAS, KERAS + 0.01)).set_index("metric").loc["images_per_sec_avg"]
    assert row["reason"] == "all differences are equal: no spread to test against"
    assert np.isnan(row["t_p"])
    assert row["tost_p"] < 0.05
    assert row["judgement"] == "equivalent"


def test_a_row_judged_by_inspection_does_not_count_in_holm_s_correction():
    noop = results(KERAS, KERAS, model="noop")
    alone, both = compare(results(KERAS, PYTORCH)), compare(pd.concat([results(KERAS, PYTORCH), noop]))
    tested = both[both["model"] == "resnet20"].reset_index(drop=True)
    pd.testing.assert_frame_equal(tested, alone)
    assert both.loc[both["model"] == "noop", "judgement"].tolist() == ["equivalent", "descriptive", "equivalent"]


def test_a_seed_without_a_partner_is_left_out_and_said():
    row = accuracy(results(KERAS, PYTORCH[:3]))
    assert row["n"] == 3
    assert row["mean_against"] == pytest.approx(np.mean(KERAS[:3]))
    assert row["reason"] == "left out: 2 seeds not finished in both"


@pytest.mark.filterwarnings("error")
def test_two_pairs_are_tested_as_the_two_that_they_are():
    row = accuracy(results(KERAS[:2], PYTORCH[:2]))
    assert row["t_p"] == pytest.approx(stats.ttest_rel(PYTORCH[:2], KERAS[:2]).pvalue)
    assert row["wilcoxon_p"] == row["wilcoxon_p_min"] == 0.5


@pytest.mark.filterwarnings("error")
def test_no_results_give_an_empty_table_with_the_columns():
    table = compare(pd.DataFrame(columns=RESULTS))
    assert table.empty
    assert list(table.columns) == [*GROUP, *contrasts.COLUMNS]
    assert contrasts.significance_summary(table).empty


@pytest.mark.parametrize("pairs", [2, 3, 5, 10])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 3, 0.05 / 54])
def test_the_detectable_effect_is_found_with_power_0_8(pairs, alpha):
    effect = inference.detectable_effect(pairs, alpha)
    critical = stats.t.isf(alpha / 2, pairs - 1)
    assert stats.nct.sf(critical, pairs - 1, effect * np.sqrt(pairs)) == pytest.approx(0.8, abs=1e-4)


def test_the_detectable_difference_scales_with_the_spread_of_the_differences(row):
    assert row["detectable"] == pytest.approx(inference.detectable_effect(5) * row["sd_difference"])


def test_the_design_shows_that_six_pairs_are_the_first_with_a_wilcoxon_p_below_0_05():
    table = inference.design(range(2, 9), tests=54).set_index("pairs")
    assert table.index[table["smallest Wilcoxon p"] < 0.05].min() == 6
    assert table.loc[5, "detectable d_z"] == pytest.approx(1.682, abs=1e-3)
    assert (table["detectable d_z, corrected"] > table["detectable d_z"]).all()


@pytest.fixture(scope="module")
def simulated():
    """Six hundred comparisons of five pairs whose true difference lies at the margin."""
    rng = np.random.default_rng(1)
    keras = rng.normal(0.9, 0.004, (600, 5))
    table = compare(many(keras, keras + rng.normal(0.005, 0.001, (600, 5))))
    return table[table["metric"] == "test_accuracy"]


def test_the_t_interval_covers_the_true_difference_95_times_in_100_at_five_pairs(simulated):
    covered = (simulated["ci_low"] < 0.005) & (simulated["ci_high"] > 0.005)
    assert covered.mean() == pytest.approx(0.95, abs=0.025)


def test_equivalence_is_claimed_5_times_in_100_where_the_truth_lies_at_the_margin(simulated):
    assert (simulated["tost_p"] < 0.05).mean() == pytest.approx(0.05, abs=0.025)


def test_the_summary_says_who_is_higher_and_how_large_the_effects_are():
    keras, seeds = [*KERAS, *KERAS], range(10)
    higher = np.add(keras, [0.030, 0.031, 0.029, 0.030, 0.032] * 2)
    table = compare(pd.concat([results(keras, higher, seeds), results([0.9], [0.8], [42], model="one_pair")]))
    summary = contrasts.significance_summary(table).set_index(["model", "metric"])
    row = summary.loc["resnet20", "test_accuracy"]
    assert row[["significant", "effect_size", "cliffs_size", "verdict"]].tolist() == [
        "yes",
        "large",
        "large",
        "PyTorch higher",
    ]
    row = summary.loc["one_pair", "test_accuracy"]
    assert row[["significant", "effect_size", "cliffs_size", "verdict"]].tolist() == [
        "",
        "below 10 pairs",
        "below 10 pairs",
        "undecided",
    ]
    nine = table.assign(n=9).set_index(["model", "metric"], drop=False)
    assert (contrasts.significance_summary(nine)["effect_size"] == "below 10 pairs").all()


@pytest.mark.parametrize(
    ("effect", "size"), [(0.0, "negligible"), (-0.2, "small"), (0.49, "small"), (0.5, "medium"), (-0.8, "large")]
)
def test_an_effect_s_size_is_cohen_s(effect, size):
    base = np.array([0.88, 0.89, 0.90, 0.91, 0.92] * 2)
    shift = effect * base.std(ddof=1)
    wobble = np.array([1, -1, 0, -1, 1] * 2) * 1e-7
    table = compare(results(base, base + shift + np.sign(effect) * 1e-5 + wobble, range(10)))
    assert contrasts.significance_summary(table).loc[0, "effect_size"] == size


def test_the_summary_s_markdown_is_a_table_with_a_line_a_row():
    text = contrasts.summary_markdown(contrasts.significance_summary(compare(results([0.9], [0.8], [42]))), FRAMEWORKS)
    lines = text.splitlines()
    assert lines[0] == "# Significance summary"
    assert len([line for line in lines if line.startswith("|")]) == 2 + 3
    assert "nan" not in text


def pairing(table):
    return contrasts.pairing(contrasts.pairs(table, FRAMEWORKS, "test_accuracy"), GROUP)


def test_a_pair_is_worth_what_its_correlation_says():
    shared, own = np.array([-2.0, -1, 0, 1, 2]), np.array([1.0, -2, 0, 2, -1])
    assert shared @ own == 0
    keras, pytorch = 0.9 + (3 * shared + own) / 1e3, 0.9 + (3 * shared - own) / 1e3
    row = pairing(results(keras, pytorch)).iloc[0]
    assert row["n"] == 5
    assert row["correlation"] == pytest.approx((9 - 1) / (9 + 1))
    assert row["worth"] == pytest.approx(1 / (1 - 0.8))
    reach = 1.959964 / np.sqrt(5 - 3)
    assert [row["r_low"], row["r_high"]] == pytest.approx(np.tanh([np.arctanh(0.8) - reach, np.arctanh(0.8) + reach]))


def test_pooling_is_around_each_group_s_own_mean():
    rng = np.random.default_rng(0)
    keras, pytorch = rng.normal(0.9, 0.01, (40, 5)), rng.normal(0.9, 0.01, (40, 5))
    apart = np.linspace(-0.3, 0, 40)[:, None]
    table = pairing(many(keras + apart, pytorch + apart))
    pooled = table.iloc[-1]
    assert pooled[["dataset", "model", "precision"]].tolist() == ["all"] * 3
    assert pooled["n"] == 200
    assert abs(pooled["correlation"]) < 0.2
    assert pooled["worth"] == pytest.approx(1, abs=0.2)
    assert pooled["r_low"] < 0 < pooled["r_high"]


def test_pairs_without_a_partner_are_left_out_and_one_pair_has_no_correlation():
    table = results(KERAS[:2], PYTORCH[:1])
    assert pairing(table)["n"].tolist() == [1]
    assert pairing(table)["correlation"].isna().all()


def test_runs_that_are_all_the_same_have_no_correlation():
    assert pairing(results(np.full(3, 0.1), PYTORCH[:3]))["correlation"].isna().all()


def arms(values):
    """A table of results of a study with one framework, from the accuracies of each arm."""
    rows = [
        {"dataset": "digits", "model": "resnet20", "precision": "fp32", "arm": arm, "seed": seed}
        | {"test_accuracy": value, "test_macro_f1": value, "images_per_sec_avg": 1e4 * value}
        for arm, accuracies in values.items()
        for seed, value in zip(SEEDS, accuracies, strict=False)
    ]
    return pd.DataFrame(rows)


def test_arms_are_compared_by_the_same_function_each_with_the_base():
    comparison = Comparison("arm", "base", ("noop", "worse"), GROUP)
    found = contrasts.compare(arms({"base": KERAS, "noop": KERAS, "worse": KERAS - 0.03 + 1e-3 * PYTORCH}), comparison)
    rows = found[found["metric"] == "test_accuracy"].set_index("level")
    assert list(rows.index) == ["noop", "worse"]
    assert (rows["against"] == "base").all()
    noop = [5, 0, "equivalent", f"all differences are zero: {INSPECTED}"]
    assert rows.loc["noop", ["n", "delta", "judgement", "reason"]].tolist() == noop
    framework_like = contrasts.compare(results(KERAS, KERAS - 0.03 + 1e-3 * PYTORCH), FRAMEWORKS)
    alike = framework_like[framework_like["metric"] == "test_accuracy"].iloc[0]
    columns = ["n", "mean_against", "mean_level", "delta", "ci_low", "ci_high", "t_p", "tost_p", "cliffs_delta"]
    assert rows.loc["worse", columns].tolist() == alike[columns].tolist()


def test_the_metrics_that_are_asked_for_are_compared_and_corrected_alone():
    found = results(KERAS, PYTORCH).assign(train_accuracy_last=lambda table: 1 - table["test_accuracy"])
    table = contrasts.compare(found, FRAMEWORKS, metrics=("train_accuracy_last",))
    assert table["metric"].tolist() == ["train_accuracy_last"]
    assert table.loc[0, "delta"] == pytest.approx(-0.0056)
    assert table.loc[0, "holm_p"] == table.loc[0, "t_p"] == pytest.approx(stats.ttest_rel(PYTORCH, KERAS).pvalue)
    pd.testing.assert_frame_equal(compare(found), compare(results(KERAS, PYTORCH)))


def test_the_published_table_of_the_frameworks_names_them_and_that_of_arms_names_the_levels():
    table = contrasts.published(compare(results(KERAS, PYTORCH)), FRAMEWORKS)
    assert {"mean_keras", "mean_pytorch"} <= set(table.columns)
    assert not {"against", "level", "mean_level"} & set(table.columns)
    comparison = Comparison("arm", "base", ("other",), GROUP)
    table = contrasts.published(contrasts.compare(arms({"base": KERAS, "other": PYTORCH}), comparison), comparison)
    assert {"against", "level", "mean_against", "mean_level"} <= set(table.columns)


def test_frameworks_that_are_compared_the_other_way_keep_their_names():
    comparison = Comparison("framework", "pytorch", ("keras",), GROUP)
    found = contrasts.compare(results(KERAS, PYTORCH), comparison)
    row = contrasts.published(found, comparison).iloc[0]
    assert (row["mean_keras"], row["mean_pytorch"]) == (KERAS.mean(), PYTORCH.mean())
    assert row["delta"] == pytest.approx(KERAS.mean() - PYTORCH.mean())


def test_patterns_of_exchanges_are_all_that_there_are_or_ten_thousand_that_are_always_the_same():
    assert sorted(map(tuple, inference.exchanges(3))) == sorted(product([False, True], repeat=3))
    assert len(inference.exchanges(13)) == 2**13
    many = inference.exchanges(14)
    assert many.shape == (10_000, 14)
    assert not many[0].any()
    assert many[1:].mean() == pytest.approx(0.5, abs=0.01)
    assert (many == inference.exchanges(14)).all()


def test_the_p_of_a_permutation_test_counts_the_real_pattern_and_those_that_equal_it_but_for_rounding():
    assert inference.permutation_p(np.array([0.1 + 0.2, 0.3, 0.2, 0.1])) == 2 / 4
    assert inference.permutation_p(np.array([-0.3, -0.1 - 0.2, -0.4, 0.1])) == 3 / 4


def test_a_mean_without_a_spread_has_no_interval():
    assert estimates.mean_interval(np.array([0.5, 0.5]))[0] == 0.5
    assert np.isnan(estimates.mean_interval(np.array([0.5, 0.5]))[1:]).all()
    assert np.isnan(estimates.mean_interval(np.array([]))).all()
    low, high = stats.ttest_1samp([1, 2, 4], 0).confidence_interval(0.95)
    assert estimates.mean_interval(np.array([1, 2, 4])) == pytest.approx((7 / 3, low, high))
    noise = np.array([0.1 + 0.2, 0.3, 0.3])
    assert np.isnan(estimates.mean_interval(noise)[1:]).all(), "floats that differ by rounding alone have no spread"
