import shutil
from itertools import combinations, product

import jupytext
import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import recall_score, zero_one_loss

from lib import files, paths
from lib.analysis import agreement, predictions
from lib.analysis.inference import PATTERNS
from lib.bench.invented import IMAGES, LABELS, finish, logits_of
from lib.errors import DataError
from lib.execution import execute
from lib.figures.predictions import draw_churn, draw_classes, draw_reliability
from lib.report.chapter import Chapter
from lib.runs import logits, records, status
from lib.runs.status import Kind
from lib.study.loading import load_study
from lib.study.study import Comparison

GROUP = ["dataset", "model", "precision"]
FRAMEWORKS = Comparison("framework", "keras", ("pytorch",), GROUP)
NATIVE = set(product(["digits"], ["resnet20", "one", "two", "three"], ["fp32", "amp", "fp64"]))
ANSWERS = ["framework", *GROUP, "seed", "image", "label", "prediction", "confidence"]


def excess_of(pairs, native):
    return agreement.excess(list(agreement.splits(pairs, FRAMEWORKS, native)), FRAMEWORKS)


def pooled_excess_of(pairs, native):
    return agreement.pooled_excess(list(agreement.splits(pairs, FRAMEWORKS, native)), FRAMEWORKS)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The quick start's study in a project of its own, in this process and in the kernels that it starts."""
    for name in ("params", "notebooks"):
        shutil.copytree(paths.ROOT / name, tmp_path / name)
    monkeypatch.setenv("PAIRED_ROOT", str(tmp_path))
    for name in ("data", "executed", "report"):
        monkeypatch.setattr(paths, name.upper(), tmp_path / name)
    monkeypatch.setattr(paths, "STUDIES", tmp_path / "params/studies")
    paths.DATA.mkdir()
    files.write_sealed(paths.DATA / "digits.json", {"digest": "the digits"})
    return load_study("quickstart")


def answered(given, labels=(0, 0, 0, 0)):
    """The table of `answers` for runs by (framework, seed), each with its predictions."""
    group = {"dataset": "digits", "model": "resnet20", "precision": "fp32"}
    tables = [
        pd.DataFrame({"image": range(len(labels)), "label": labels, "prediction": answers, "confidence": 0.9}).assign(
            framework=framework, seed=seed, **group
        )
        for (framework, seed), answers in given.items()
    ]
    return pd.concat(tables, ignore_index=True)[ANSWERS]


def random_answers(frameworks=("keras", "pytorch"), seeds=(42, 123, 456), classes=10):
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(20 * classes) % classes)
    given = {
        (name, seed): np.where(rng.random(len(labels)) < 0.7, labels, rng.integers(0, classes, len(labels)))
        for name in frameworks
        for seed in seeds
    }
    return answered(given, labels).assign(confidence=lambda table: rng.uniform(0.1, 1, len(table)))


def test_the_logits_are_read_as_float32_with_their_labels(study):
    cell = study.cells[0]
    finish(cell)
    found = logits.read(cell)
    assert found.logits.dtype == np.float32
    np.testing.assert_array_equal(found.logits, logits_of(cell))
    np.testing.assert_array_equal(found.labels, LABELS)


def test_logits_beyond_float16_are_read_as_its_largest_number(study):
    diverged = logits_of(study.cells[0])
    diverged[0, :2] = np.inf, -np.inf
    finish(study.cells[0], logits=diverged)
    assert logits.read(study.cells[0]).logits[0, :2].tolist() == [65504, -65504]


def rewrite(**arrays):
    return lambda path: np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "logits.npz is gone: put back the file that the run left"),
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), "not the logits of a run"),
        (lambda path: path.write_bytes(b""), "not the logits of a run"),
        (lambda path: path.write_text("logits"), "not the logits of a run"),
        (rewrite(logits=np.zeros((6, 10))), "not the logits of a run"),
        (rewrite(logits=np.zeros((6, 10)), labels=np.array([{}] * 6)), "not the logits of a run"),
        (rewrite(logits=np.zeros((6, 9)), labels=np.zeros(6)), r"digits has \(n, 10\) and \(n,\)"),
        (rewrite(logits=np.zeros((6, 10)), labels=np.zeros(5)), r"logits \(6, 10\) and labels \(5,\)"),
        (rewrite(logits=np.full((6, 10), np.nan), labels=np.zeros(6)), "no number"),
        (rewrite(logits=np.zeros((6, 10)), labels=np.full(6, 10)), "no class of digits"),
    ],
    ids=["absent", "cut off", "empty", "text", "no labels", "objects", "classes", "lengths", "nan", "label"],
)
def test_damaged_logits_are_one_error_that_names_the_file(study, damage, message):
    cell = study.cells[0]
    finish(cell)
    path = records.folder(cell) / "logits.npz"
    damage(path)
    with pytest.raises(DataError, match=message) as error:
        predictions.answers(study)
    assert str(path) in str(error.value)


def test_the_answers_are_those_of_the_runs_that_have_results_in_the_study_s_order(study):
    first, second, unfinished, *_ = study.cells
    finish(second)
    finish(first)
    status.write(unfinished, Kind.FAILED, "the loss became nan")
    table = predictions.answers(study)
    assert list(table.columns) == ANSWERS
    assert table["framework"].drop_duplicates().tolist() == [first.framework, second.framework]
    run = table[table["framework"] == second.framework]
    assert run["image"].tolist() == list(range(IMAGES))
    assert run["prediction"].tolist() == logits_of(second).argmax(axis=1).tolist()
    confidence = softmax(logits_of(second).astype(np.float64), axis=1).max(axis=1)
    np.testing.assert_array_equal(run["confidence"], confidence)


def test_runs_with_other_labels_are_not_compared(study):
    finish(study.cells[0])
    finish(study.cells[1], labels=LABELS[::-1])
    with pytest.raises(DataError, match="have other test labels") as error:
        predictions.answers(study)
    assert study.cells[0].name in str(error.value)
    assert study.cells[1].name in str(error.value)


def test_a_study_that_never_ran_has_empty_tables(study):
    answers = predictions.answers(study)
    assert list(answers.columns) == ANSWERS
    classes, pairs = predictions.per_class(answers, FRAMEWORKS), agreement.disagreements(answers, FRAMEWORKS)
    tables = [classes, predictions.class_gaps(classes, FRAMEWORKS), predictions.calibration(study, answers), pairs]
    tables += [predictions.reliability(answers, FRAMEWORKS)]
    tables += [agreement.churn(pairs, FRAMEWORKS), excess_of(pairs, ())]
    assert all(table.empty for table in tables)


def test_the_accuracy_on_a_class_is_its_recall_averaged_over_the_seeds():
    answers = random_answers()
    table = predictions.per_class(answers, FRAMEWORKS).set_index(["framework", "class"])
    for framework, of_framework in answers.groupby("framework"):
        recalls = [
            recall_score(run["label"], run["prediction"], average=None) for _, run in of_framework.groupby("seed")
        ]
        rows = table.loc[framework]
        assert rows.index.tolist() == list(range(10))
        assert rows["accuracy"].to_numpy() == pytest.approx(np.mean(recalls, axis=0))
        assert rows["lowest"].to_numpy() == pytest.approx(np.min(recalls, axis=0))
        assert rows["highest"].to_numpy() == pytest.approx(np.max(recalls, axis=0))
        assert rows[["images", "seeds"]].drop_duplicates().to_numpy().tolist() == [[20, 3]]


def test_a_gap_is_pytorch_minus_keras_and_unknown_where_one_framework_is_missing():
    classes = predictions.per_class(answered({("keras", 1): [0, 0, 1, 1], ("pytorch", 1): [0, 0, 0, 1]}), FRAMEWORKS)
    assert predictions.class_gaps(classes, FRAMEWORKS)["delta"].tolist() == [0.25]
    alone = predictions.class_gaps(classes[classes["framework"] == "pytorch"], FRAMEWORKS)
    assert alone["mean_level"].tolist() == [0.75]
    assert alone[["mean_against", "delta"]].isna().all(axis=None)


def test_the_ten_widest_gaps_stand_out_or_the_hardest_classes_of_one_framework():
    gaps = predictions.class_gaps(predictions.per_class(random_answers(classes=30), FRAMEWORKS), FRAMEWORKS)
    chosen = predictions.widest(gaps)
    rest = gaps.drop(chosen.index)
    assert len(chosen) == 10
    assert chosen["class"].is_monotonic_increasing
    assert chosen["delta"].abs().min() >= rest["delta"].abs().max()
    alone = predictions.class_gaps(predictions.per_class(random_answers(["keras"], classes=30), FRAMEWORKS), FRAMEWORKS)
    hardest = predictions.widest(alone)
    assert hardest["mean_against"].max() <= alone.drop(hardest.index)["mean_against"].min()


def test_the_calibration_error_of_four_images_is_that_of_a_hand_computation():
    """Two of them share the bin from 14/15 to 1, with a mean confidence of 0.96 and one of two right."""
    confidence, correct = np.array([0.95, 0.97, 0.55, 0.62]), np.array([True, False, True, True])
    by_hand = 2 / 4 * abs(0.5 - 0.96) + 1 / 4 * abs(1 - 0.55) + 1 / 4 * abs(1 - 0.62)
    assert predictions.expected_calibration_error(confidence, correct) == pytest.approx(by_hand)


def test_a_bin_holds_its_upper_end():
    """Then the two images share a bin and their gaps cancel out in part; apart, they would give (0.8 + 0.19) / 2."""
    confidence, correct = np.array([3 / 15, 0.19]), np.array([True, False])
    assert predictions.expected_calibration_error(confidence, correct) == pytest.approx((1 - 0.39) / 2)


def test_the_reliability_curve_is_scikit_learn_s_and_gives_the_calibration_error():
    answers = random_answers(["keras"], [42])
    correct = answers["label"] == answers["prediction"]
    accuracy, confidence = calibration_curve(correct, answers["confidence"], n_bins=15)
    curve = predictions.reliability(answers, FRAMEWORKS)
    assert curve["accuracy"].to_numpy() == pytest.approx(accuracy)
    assert curve["confidence"].to_numpy() == pytest.approx(confidence)
    assert curve["images"].sum() == len(answers)
    error = np.average(np.abs(accuracy - confidence), weights=curve["images"])
    run = predictions.calibration(load_study("quickstart"), answers).loc[0]
    assert run["calibration_error"] == pytest.approx(error)
    assert run["test_accuracy"] == correct.mean()
    assert run["confidence"] == pytest.approx(answers["confidence"].mean())


def test_churn_on_four_images_is_that_of_a_hand_computation():
    given = {
        ("keras", 1): [0, 1, 2, 3],
        ("keras", 2): [0, 1, 2, 9],
        ("pytorch", 1): [0, 1, 9, 9],
        ("pytorch", 2): [5, 6, 7, 8],
    }
    table = agreement.churn(agreement.disagreements(answered(given), FRAMEWORKS), FRAMEWORKS).set_index("comparison")
    assert table["pairs"].to_dict() == {
        "within Keras": 1,
        "within PyTorch": 1,
        "across, same seed": 2,
        "across, other seeds": 2,
    }
    assert table["churn"].tolist() == [0.25, 1, (0.5 + 1) / 2, (0.25 + 1) / 2]
    assert table["lowest"].tolist() == [0.25, 1, 0.5, 0.25]
    assert table["highest"].tolist() == [0.25, 1, 1, 1]


def test_the_levels_that_a_comparison_leaves_out_have_no_churn():
    answers = random_answers(["keras", "pytorch", "jax"], [42, 123])
    pd.testing.assert_frame_equal(
        agreement.disagreements(answers, FRAMEWORKS),
        agreement.disagreements(answers[answers["framework"] != "jax"], FRAMEWORKS),
    )


def test_every_pair_of_runs_differs_on_the_share_that_scikit_learn_finds():
    answers = random_answers()
    pairs = agreement.disagreements(answers, FRAMEWORKS)
    shares = pairs.set_index(["level", "seed", "other_level", "other_seed"])["churn"]
    by_run = {keys: run["prediction"] for keys, run in answers.groupby(["framework", "seed"])}
    assert len(shares) == 15
    for one, other in combinations(by_run, 2):
        assert shares[(*one, *other)] == pytest.approx(zero_one_loss(by_run[one], by_run[other]))


@pytest.mark.parametrize(
    ("frameworks", "seeds", "kinds"),
    [
        (["keras", "pytorch"], [42], ["across, same seed"]),
        (["pytorch"], [42, 123], ["within PyTorch"]),
        (["keras"], [42], []),
    ],
)
def test_few_runs_have_few_comparisons_and_no_excess(frameworks, seeds, kinds):
    pairs = agreement.disagreements(random_answers(frameworks, seeds), FRAMEWORKS)
    assert agreement.churn(pairs, FRAMEWORKS)["comparison"].tolist() == kinds
    assert excess_of(pairs, ()).empty


@pytest.mark.parametrize(
    ("keras", "pytorch", "excess"),
    [
        (([0, 0, 0, 0], [0, 0, 0, 0]), ([1, 1, 0, 0], [1, 1, 0, 0]), 0.5),
        (([0, 0, 0, 0], [1, 1, 1, 1]), ([0, 0, 0, 0], [1, 1, 1, 1]), 0),
        (([0, 0, 0, 0], [1, 1, 1, 1]), ([0, 0, 0, 0], [0, 0, 0, 0]), 0),
    ],
    ids=["certain of other classes", "the same two seeds", "half a seed effect"],
)
def test_the_excess_is_what_the_framework_adds_to_the_seed(keras, pytorch, excess):
    given = {("keras", seed): answers for seed, answers in enumerate(keras)}
    given |= {("pytorch", seed): answers for seed, answers in enumerate(pytorch)}
    table = excess_of(agreement.disagreements(answered(given), FRAMEWORKS), ())
    assert table["excess"].tolist() == [excess]


def test_the_excess_estimates_half_the_squared_distance_of_the_two_frameworks_probabilities():
    rng = np.random.default_rng(0)
    chances = {"keras": [0.7, 0.2, 0.1], "pytorch": [0.4, 0.4, 0.2]}
    given = {(name, seed): rng.choice(3, 2000, p=p) for name, p in chances.items() for seed in range(8)}
    table = excess_of(agreement.disagreements(answered(given, np.zeros(2000, int)), FRAMEWORKS), ())
    assert table.loc[0, "excess"] == pytest.approx((0.3**2 + 0.2**2 + 0.1**2) / 2, abs=0.01)


def test_without_a_shared_seed_pairs_of_one_number_count_like_the_others():
    given = {("keras", 1): [0, 0], ("keras", 2): [0, 0], ("pytorch", 1): [1, 0], ("pytorch", 2): [0, 0]}
    pairs = agreement.disagreements(answered(given, (0, 0)), FRAMEWORKS)
    table = excess_of(pairs, NATIVE)
    assert table.loc[0, ["within", "across", "excess", "splits"]].tolist() == [0.25, 0.25, 0, 6]


@pytest.mark.parametrize(
    ("native", "splits", "p"), [(NATIVE, 20, 2 / 20), ((), 8, 2 / 8)], ids=["native", "shared seeds"]
)
def test_the_p_of_two_levels_that_differ_for_sure_is_that_of_two_splits(native, splits, p):
    """The real split and the one with both names exchanged have the highest excess."""
    given = {("keras", seed): [0, 0, 0, 0] for seed in range(3)} | {
        ("pytorch", seed): [1, 1, 0, 0] for seed in range(3)
    }
    pairs = agreement.disagreements(answered(given), FRAMEWORKS)
    table = excess_of(pairs, native)
    assert table.loc[0, ["excess", "splits", "split_p"]].tolist() == [0.5, splits, pytest.approx(p)]


def test_each_group_is_split_as_its_own_pairing_says():
    answers = pd.concat([random_answers().assign(model=name) for name in ("one", "two")])
    pairs = agreement.disagreements(answers, FRAMEWORKS)
    table = excess_of(pairs, {("digits", "two", "fp32")})
    assert dict(zip(table["model"], table["splits"], strict=True)) == {"one": 8, "two": 20}


def test_five_runs_of_each_level_have_252_splits_of_which_each_is_judged_by_its_own_churn():
    answers = random_answers(seeds=range(5))
    found = excess_of(agreement.disagreements(answers, FRAMEWORKS), NATIVE).loc[0]
    runs = [run["prediction"].to_numpy() for _, run in answers.groupby(["framework", "seed"])]

    def of(chosen):
        sides = [[run for place, run in enumerate(runs) if (place in chosen) == side] for side in (True, False)]
        within = [np.mean([zero_one_loss(*pair) for pair in combinations(side, 2)]) for side in sides]
        return np.mean([zero_one_loss(one, other) for one in sides[0] for other in sides[1]]) - np.mean(within)

    by_hand = np.array([of(chosen) for chosen in combinations(range(10), 5)])
    assert found["splits"] == len(by_hand) == 252
    assert found["excess"] == pytest.approx(by_hand[0])
    assert found["split_p"] == np.mean(by_hand >= by_hand[0] - 1e-9)


def test_of_many_splits_some_are_drawn_and_the_real_one_counts():
    pairs = agreement.disagreements(random_answers(seeds=range(8)), FRAMEWORKS)
    drawn, flips = (excess_of(pairs, native).loc[0] for native in (NATIVE, ()))
    assert drawn["splits"] == PATTERNS < 12870
    assert flips["splits"] == 2**8
    assert 0 < drawn["split_p"] <= 1


def test_groups_that_alone_cannot_decide_are_judged_together():
    """PyTorch always predicts other classes: three seeds of one network cannot tell, those of three networks can."""
    given = {("keras", seed): [0, 0, 0, 0] for seed in range(3)} | {
        ("pytorch", seed): [1, 1, 0, 0] for seed in range(3)
    }
    answers = pd.concat([answered(given).assign(model=name) for name in ("one", "two", "three")])
    pairs = agreement.disagreements(answers, FRAMEWORKS)
    alone = pairs[pairs["model"] == "one"]
    assert pooled_excess_of(alone, NATIVE)["p"].tolist() == [2 / 20]
    pooled = pooled_excess_of(pairs, NATIVE).loc[0]
    assert pooled[["level", "groups", "excess"]].tolist() == ["pytorch", 3, 0.5]
    assert pooled["p"] == pytest.approx((2 / 20) ** 3, abs=0.001)
    kin = pd.concat([answered(given).assign(precision=name) for name in ("fp32", "amp", "fp64")])
    alike = pooled_excess_of(agreement.disagreements(kin, FRAMEWORKS), NATIVE).loc[0]
    assert alike["p"] == pytest.approx(2 / 20, abs=0.01), "precisions share their seeds, and are split alike"


def test_a_perfectly_calibrated_network_has_the_floor_s_calibration_error():
    rng = np.random.default_rng(0)
    confidence = rng.beta(8, 1, 2000)
    errors = [predictions.expected_calibration_error(confidence, rng.random(2000) < confidence) for _ in range(300)]
    floor = predictions.calibrated_errors(confidence)
    assert floor.shape == (predictions.DRAWS,)
    assert floor.mean() == pytest.approx(np.mean(errors), rel=0.05)
    assert np.quantile(floor, 0.95) == pytest.approx(np.quantile(errors, 0.95), rel=0.08)
    assert predictions.calibrated_errors(np.tile(confidence, 16)).mean() == pytest.approx(floor.mean() / 4, rel=0.1)


def test_a_class_has_a_dot_at_its_mean_and_a_line_over_its_seeds():
    classes = predictions.per_class(random_answers(), FRAMEWORKS)
    (axis,) = draw_classes(classes, FRAMEWORKS).axes
    assert axis.get_title("left") == "resnet20, fp32"
    assert [label.get_text() for label in axis.get_yticklabels()] == [str(number) for number in range(10)]
    for framework, dots, lines in zip(("keras", "pytorch"), axis.lines, axis.collections, strict=True):
        rows = classes[classes["framework"] == framework]
        assert dots.get_xdata() == pytest.approx(rows["accuracy"].to_numpy())
        ends = [segment[:, 0] for segment in lines.get_segments()]
        assert np.array(ends) == pytest.approx(rows[["lowest", "highest"]].to_numpy())


def test_the_reliability_figure_has_a_panel_a_group_a_diagonal_and_a_curve_a_framework():
    answers = pd.concat([random_answers(), random_answers().assign(precision="amp", model="mobilenetv2")])
    curves = predictions.reliability(answers, FRAMEWORKS)
    drawn = [axis for axis in draw_reliability(curves, FRAMEWORKS).axes if axis.axison]
    assert {axis.get_title("left") for axis in drawn} == {"resnet20, fp32", "mobilenetv2, amp"}
    for axis in drawn:
        _, keras, pytorch = axis.lines
        model = axis.get_title("left").split(",")[0]
        for framework, line in (("keras", keras), ("pytorch", pytorch)):
            rows = curves[(curves["framework"] == framework) & (curves["model"] == model)]
            assert line.get_xdata() == pytest.approx(rows["confidence"].to_numpy())
            assert line.get_ydata() == pytest.approx(rows["accuracy"].to_numpy())


def test_every_bin_has_a_dot_and_the_curve_leaves_out_those_with_hardly_an_image():
    curves = predictions.reliability(random_answers(["keras"]), FRAMEWORKS)
    curves.loc[3, "images"] = 1
    (axis,) = draw_reliability(curves, FRAMEWORKS).axes
    assert axis.collections[0].get_offsets()[:, 0].tolist() == pytest.approx(curves["confidence"].tolist())
    assert axis.lines[1].get_xdata() == pytest.approx(curves["confidence"].drop(3).to_numpy())


def test_the_churn_figure_has_a_dot_a_pair_and_a_stroke_at_each_mean():
    pairs = agreement.disagreements(random_answers(), FRAMEWORKS)
    (axis,) = draw_churn(pairs, FRAMEWORKS).axes
    dots, strokes = axis.lines[::2], axis.lines[1::2]
    assert [len(line.get_xdata()) for line in dots] == [3, 3, 3, 6]
    assert [line.get_xdata()[0] for line in strokes] == pytest.approx(
        agreement.churn(pairs, FRAMEWORKS)["churn"].to_numpy()
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("frameworks", [["keras", "pytorch"], ["pytorch"]], ids=["both", "one framework"])
@pytest.mark.parametrize("classes", [3, 40])
def test_one_seed_can_be_drawn(frameworks, classes):
    answers = random_answers(frameworks, [42], classes)
    figures = [
        draw_classes(predictions.per_class(answers, FRAMEWORKS), FRAMEWORKS),
        draw_reliability(predictions.reliability(answers, FRAMEWORKS), FRAMEWORKS),
        draw_churn(agreement.disagreements(random_answers(frameworks, [42, 123], classes), FRAMEWORKS), FRAMEWORKS),
    ]
    for figure in figures:
        assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.fixture
def read_chapter(study, monkeypatch):
    """Run a chapter's cells in this process, and return its computed prose."""

    def read(stem):
        prose = []
        monkeypatch.setattr(Chapter, "markdown", lambda _, text: prose.append(text))
        namespace = {}
        for cell in jupytext.read(paths.NOTEBOOKS / f"{stem}.py").cells:
            if cell.cell_type == "code":
                exec(cell.source, namespace)
        return "\n".join(prose)

    return read


def executed(stem):
    """Execute a chapter in a kernel; return its computed prose and its figures and tables, by label."""
    target = paths.REPORT / f"{stem}.ipynb"
    execute(paths.NOTEBOOKS / f"{stem}.py", target, {"study_name": "quickstart"})
    outputs = [o for cell in nbformat.read(target, 4).cells for o in cell.get("outputs", []) if "data" in o]
    prose = "\n".join(output.data["text/markdown"] for output in outputs if "text/markdown" in output.data)
    shown = {o.metadata.report.label: o.data for o in outputs if "report" in o.metadata}
    return prose, shown


def column(shown, label, number):
    page = BeautifulSoup(shown[label]["text/html"], "html.parser")
    return [row.find_all("td")[number].get_text() for row in page.tbody.find_all("tr")]


def test_the_chapter_on_predictions_shows_classes_calibration_and_churn(study):
    for cell in study.cells:
        finish(cell, test_accuracy=float(np.mean(logits_of(cell).argmax(axis=1) == LABELS)))
    prose, shown = executed("34_predictions")
    assert list(shown) == [
        "fig-classes_digits",
        "tbl-class_gaps",
        "fig-reliability_digits",
        "tbl-calibration",
        "fig-churn",
        "tbl-churn",
        "tbl-churn_excess",
    ]
    assert "The largest deviation among 6 runs is 0.00 points" in prose
    assert "in the one group, not significant at 0.05: p = 0.2000" in prose
    table = agreement.churn(agreement.disagreements(predictions.answers(study), FRAMEWORKS), FRAMEWORKS)
    assert column(shown, "tbl-churn", 2) == [f"{100 * churn:.2f}" for churn in table["churn"]]
    saved = pd.read_csv(paths.REPORT / "quickstart/tables/calibration_runs.csv")
    assert saved["calibration_error"].tolist() == pytest.approx(
        predictions.calibration(study, predictions.answers(study))["calibration_error"].tolist()
    )


def test_the_chapter_on_gates_names_every_run_that_fails_and_refuses(study):
    weak, other, *healthy = study.cells
    finish(weak, accuracy=0.5)
    for cell in (other, *healthy):
        finish(cell)
    prose, shown = executed("35_gates")
    assert column(shown, "tbl-gates", 4) == ["pass", "pass", "FAILED", "pass", "look"]
    assert column(shown, "tbl-gates", 3) == ["0", "0", "1", "0", "2"]
    assert column(shown, "tbl-gate_failures", 1) == [weak.name, weak.name, other.name]
    assert column(shown, "tbl-gate_failures", 3) == ["50.00", "50.00", "95.00"]
    assert "**No.** 3 of 5 gates pass" in prose
    assert "Failed: val accuracy on digits. Look at: frameworks agree on each seed." in prose


def test_one_pair_that_is_far_apart_asks_for_a_look(study, read_chapter):
    weak, *healthy = study.cells
    finish(weak, accuracy=0.91)
    for cell in healthy:
        finish(cell, accuracy=0.97)
    assert "**Look first.** 4 of 5 gates pass" in read_chapter("35_gates")


@pytest.mark.parametrize(
    ("finished", "verdict"),
    [
        (slice(None), "**Yes.** 5 of 5 gates pass"),
        (slice(0, 0), "**Not yet.** 0 of 5 gates pass"),
        (slice(0, 2), "**Not yet.** 3 of 5 gates pass"),
    ],
    ids=["all", "nothing", "one seed"],
)
def test_the_verdict_waits_for_the_runs(study, read_chapter, finished, verdict):
    for cell in study.cells[finished]:
        finish(cell)
    assert verdict in read_chapter("35_gates")


def test_a_study_of_one_framework_has_no_gate_on_the_gap_between_two(study, read_chapter):
    path = paths.STUDIES / "quickstart.yaml"
    path.write_text(path.read_text().replace("frameworks: [keras, pytorch]", "frameworks: [keras]"))
    for cell in study.cells[::2]:
        finish(cell)
    prose = read_chapter("35_gates")
    assert "**Yes.** 4 of 4 gates pass" in prose


def test_a_gate_that_the_study_cannot_judge_leaves_the_verdict_with_a_limit(study, read_chapter):
    path = paths.STUDIES / "quickstart.yaml"
    path.write_text(path.read_text().replace("seeds: [42, 123, 456]", "seeds: [42]"))
    for cell in study.cells[:2]:
        finish(cell)
    prose = read_chapter("35_gates")
    assert "**Yes, as far as can be judged.** 4 of 5 gates pass" in prose
    assert "Open, with nothing to compare: seeds differ." in prose


@pytest.mark.parametrize(
    ("finished", "sentence"),
    [
        (slice(0, 0), "Nothing has been run yet"),
        (slice(0, 1), "The excess needs two seeds in each framework"),
        (slice(0, 2), "The excess needs two seeds in each framework"),
        (slice(0, None, 2), "Calibration of Keras"),
    ],
    ids=["nothing", "one run", "one seed", "one framework"],
)
def test_the_chapter_on_predictions_can_be_read_however_few_runs_there_are(study, read_chapter, finished, sentence):
    for cell in study.cells[finished]:
        finish(cell)
    prose = read_chapter("34_predictions")
    assert sentence in prose
    assert "nan" not in prose


def test_the_results_name_how_many_gates_hold_and_where_they_stand(study, read_chapter):
    for cell in study.cells:
        finish(cell)
    assert "5 of the 5 gates pass ([Table](#tbl-gates))" in read_chapter("30_results")
