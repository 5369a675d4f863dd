"""What would settle a comparison, the rule for adding seeds, and what an interval means."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lib.analysis import contrasts, headline, noise, settling, timing
from lib.analysis.estimates import Estimate
from lib.analysis.noise import Hits
from lib.study.loading import load_study
from tests.test_headline import FRAMEWORKS, GROUP, GROUPS, experiment


@pytest.mark.parametrize(
    ("sd", "correlation", "alone", "corrected"),
    [(0.25, 0, 6, 13), (0.25, 0.5, 4, 8), (0.25, 0.9, 3, 5), (0.5, 0, 19, 37), (0.5, 0.5, 11, 21), (0.5, 0.9, 4, 8)],
)
def test_the_pairs_for_equivalence_are_those_of_the_simulated_design(sd, correlation, alone, corrected):
    of_pair = sd * np.sqrt(2 * (1 - correlation))
    found = [settling.pairs_needed("equivalent", of_pair, 1.0, 0.5, level) for level in (0.05, 0.05 / 18)]
    assert found == [alone, corrected]


def test_the_pairs_for_a_difference_have_power_and_one_fewer_has_not():
    n = settling.pairs_needed("different", 1.0, 1.0, 0.9, 0.05)
    assert (
        settling.difference_power(n, 1.0, 1.0, 0.9, 0.05) >= 0.8 > settling.difference_power(n - 1, 1.0, 1.0, 0.9, 0.05)
    )
    rng = np.random.default_rng(0)
    drawn = rng.normal(0.9, 1, (4000, n))
    assert (stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.81, abs=0.03)
    assert np.isnan(settling.pairs_needed("different", 1.0, 1.0, 1e-4, 0.05))


def test_only_undecided_rows_have_a_price_and_a_shared_one_only_where_they_share_nothing():
    found = experiment(groups=GROUPS[:2], scatter=0.008)
    found.loc[(found["precision"] == "amp") & (found["framework"] == "pytorch"), "test_accuracy"] += 0.1
    native = {GROUPS[0]}
    table = contrasts.compare(found, FRAMEWORKS, ("test_accuracy",), native)
    hours = {(*group, "pytorch"): 2.0 for group in GROUPS}
    (row,) = settling.settling(table, GROUP, hours).itertuples()
    assert (row.precision, row.aim, row.n) == ("fp32", "equivalent", 5)
    assert row.hours == 2 * (row.pairs - 5)
    assert row.hours_shared == 2 * row.pairs_shared
    assert row.pairs_shared < row.pairs
    again = settling.settling(contrasts.compare(found, FRAMEWORKS, ("test_accuracy",)), GROUP, hours)
    assert again["pairs_shared"].isna().all()


def test_the_mean_of_a_headline_takes_fewer_pairs_than_its_rows():
    found = experiment(scatter=0.012)
    table = contrasts.compare(found, FRAMEWORKS, ("test_accuracy",), set(GROUPS))
    head = headline.headline(table, found, FRAMEWORKS, "pytorch")
    price = settling.settling_the_mean(head, 5, apart=True, hours=3.0)
    rows = settling.settling(table, GROUP, {})
    assert price["pairs"] < rows["pairs"].min()
    assert price["hours"] == 3 * max(price["pairs"] - 5, 0)


def test_a_mean_that_no_number_of_pairs_settles_and_unknown_hours_are_said():
    found = experiment(scatter=0.012)
    head = headline.headline(contrasts.compare(found, FRAMEWORKS, ("test_accuracy",)), found, FRAMEWORKS, "pytorch")
    need = pd.Series({"pairs": np.nan, "hours": np.nan})
    assert settling.mean_sentence(head, need).endswith("groups would take more than 10,000 pairs in each.")
    assert settling.mean_sentence(head, need.fillna({"pairs": 7.0})).endswith("groups takes 7 pairs in each.")


def test_the_rule_is_its_formula_depends_on_the_scatter_alone_and_never_takes_fewer_than_five():
    found = experiment(scatter=0.004)
    table = contrasts.compare(found, FRAMEWORKS, ("test_accuracy",), set(GROUPS))
    reach = stats.norm.isf(0.05 / 12) + stats.norm.isf(0.1)
    for row in settling.rule(table).itertuples():
        of_dataset = table[table["dataset"] == row.dataset]
        variance = np.average(of_dataset["se"] ** 2 * 5, weights=of_dataset["freedom"])
        assert row.sd == pytest.approx(np.sqrt(variance))
        assert row.seeds == np.ceil(2 + reach**2 * variance / 0.005**2) > 5
    shifted = found.assign(test_accuracy=found["test_accuracy"] + 0.1 * (found["framework"] == "keras"))
    again = contrasts.compare(shifted, FRAMEWORKS, ("test_accuracy",), set(GROUPS))
    pd.testing.assert_frame_equal(settling.rule(again), settling.rule(table))
    quiet = contrasts.compare(experiment(scatter=1e-4), FRAMEWORKS, ("test_accuracy",))
    assert (settling.rule(quiet)["seeds"] == 5).all()


def table_of(study, seeds, scatter=0.004):
    rng = np.random.default_rng(0)
    rows = [study.row(entry) for entry in study.entries if entry.cell.seed in seeds]
    table = pd.DataFrame(rows)
    values = dict.fromkeys(contrasts.COMPARED, 0.9 + scatter * rng.normal(size=len(table)))
    return table.assign(**values)


def test_seeds_beyond_five_follow_the_rule_only_if_their_number_is_the_rule_s(monkeypatch):
    monkeypatch.setattr(timing, "unreliable", lambda *_: {})
    five = load_study("stage2")
    found = table_of(five, five.seeds)
    wanted = int(settling.planned(five, found)["seeds"].max())
    assert wanted > 6
    assert "fixes 5 seeds" in settling.looks(five, found)

    def longer(number):
        seeds = (*five.seeds, *range(number - 5))
        entries = tuple(
            entry.model_copy(update={"cell": entry.cell.model_copy(update={"seed": seed})})
            for seed in seeds
            for entry in five.entries
            if entry.cell.seed == 42
        )
        return five.model_copy(update={"seeds": seeds, "entries": entries})

    assert f"the {wanted} seeds that the rule fixed" in settling.looks(longer(wanted), found)
    assert settling.looks(longer(wanted - 1), found).startswith("**Looked at least 2 times**")


def test_the_rule_needs_its_first_five_seeds_in_every_group(monkeypatch):
    monkeypatch.setattr(timing, "unreliable", lambda *_: {})
    study = load_study("stage2")
    assert settling.planned(study, table_of(study, study.seeds[:4])) is None
    assert settling.planned(load_study("quickstart"), table_of(study, ())) is None


def runs(rng, seeds, images, training, probability=0.8):
    """Hits of runs whose images flip independently, with the training's own scatter of the probability."""
    shares = probability + training * rng.normal(size=(seeds, 1))
    return (rng.random((seeds, images)) < shares).astype(float)


@pytest.mark.parametrize("training", [0.0, 0.01])
def test_the_parts_of_the_scatter_are_found_again(training):
    rng = np.random.default_rng(0)
    frames = []
    for model in range(40):
        for framework in ("keras", "pytorch"):
            right = runs(rng, 5, 1000, training)
            for seed, row in enumerate(right):
                keys = {"framework": framework, "dataset": "digits", "model": f"m{model}", "precision": "fp32"}
                frames.append(pd.DataFrame(keys | {"seed": seed, "image": range(1000), "label": 1, "prediction": row}))
    (found,) = noise.parts(pd.concat(frames), FRAMEWORKS).itertuples()
    assert found.sets == 80
    assert found.sd_images == pytest.approx(np.sqrt(0.8 * 0.2 / 1000), rel=0.03)
    assert found.sd_training == pytest.approx(training, abs=0.004)


def test_hits_are_seed_by_seed_and_only_of_seeds_on_both_sides():
    keys = {"dataset": "digits", "model": "resnet20", "precision": "fp32"}
    rows = [
        keys | {"framework": framework, "seed": seed, "image": image, "label": 1, "prediction": int(image < seed)}
        for framework, seeds in (("keras", (0, 1, 2)), ("pytorch", (2, 1)))
        for seed in seeds
        for image in range(3)
    ]
    (one,) = noise.hits(pd.DataFrame(rows), FRAMEWORKS, "pytorch").values()
    assert one.first.tolist() == one.second.tolist() == [[1, 0, 0], [1, 1, 0]]


def test_the_interval_for_new_images_covers_where_that_for_these_does_not():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        gap = rng.choice([-0.3, 0.3], 200)  # each image favours one side; over all images neither is better
        sides = [(rng.random((5, 200)) < 0.5 + sign * gap / 2).astype(float) for sign in (-1, 1)]
        means = [side.mean(axis=1) for side in sides]
        se = np.sqrt(sum(mean.var(ddof=1) for mean in means) / 5)
        estimate = Estimate(means[1].mean() - means[0].mean(), se, 8.0)
        wider = noise.widened(estimate, noise.image_variance([Hits(*sides)], paired=False))
        covered.append([low < 0 < high for low, high in (estimate.interval(), wider.interval())])
    these, new = np.mean(covered, axis=0)
    assert these < 0.9
    assert new == pytest.approx(0.95, abs=0.035)


def test_images_on_which_both_sides_are_alike_add_nothing():
    right = np.tile([1.0, 0, 1, 1], (5, 1))
    assert noise.image_variance([Hits(right, right)], paired=True) == 0
    estimate = Estimate(0.1, 0.02, 7.0)
    assert noise.widened(estimate, 0.0) == estimate
