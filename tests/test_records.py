import re

import jupytext
import numpy as np
import pandas as pd
import pytest

from lib import files, paths
from lib.analysis import contrasts, environments, gates, judgements, results
from lib.bench.invented import STEPS, finish, log_of, states_of
from lib.errors import DataError
from lib.report.chapter import Chapter
from lib.runs import records, status
from lib.runs.log import COLUMNS
from lib.runs.status import Kind
from lib.study.loading import load_study

SPEC = (
    "framework, dataset, model, precision, seed, acc_best, f1_best, test_accuracy, test_macro_f1, epoch_best, "
    "time_per_epoch_avg, time_per_epoch_avg_late, images_per_sec_avg, images_per_sec_avg_late"
)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The quick start's study, in folders that hold nothing but its dataset's manifest."""
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    monkeypatch.setattr(paths, "EXECUTED", tmp_path / "executed")
    paths.DATA.mkdir()
    files.write_sealed(paths.DATA / "digits.json", {"digest": "the digits"})
    return load_study("quickstart")


def gate(study, name):
    table = gates.gates(study, results.results(study), results.epochs(study)).set_index("gate")
    return table.loc[name]


def test_results_have_the_benchmark_s_columns_and_one_row_a_run_in_the_study_s_order(study):
    for cell in reversed(study.cells):
        finish(cell)
    table = results.results(study)
    assert ", ".join(table.columns) == SPEC
    assert table[study.keys].to_numpy().tolist() == [
        [cell.framework, cell.dataset, cell.model, cell.precision, cell.seed] for cell in study.cells
    ]
    assert not table.isna().any(axis=None)
    assert table.loc[0, ["acc_best", "f1_best", "test_accuracy", "test_macro_f1"]].tolist() == pytest.approx(
        [0.95, 0.94, 0.93, 0.92]
    )


@pytest.mark.parametrize(("epochs", "average", "late"), [(4, 2.5, 1.5), (5, 3.0, 2.0), (1, 1.0, 1.0)])
def test_the_late_average_is_over_the_last_half_of_the_epochs(study, epochs, average, late):
    cell = study.cells[0]
    finish(cell, epochs=log_of(cell, epochs=epochs))
    row = results.results(study).loc[0]
    assert row["time_per_epoch_avg"] == average
    assert row["time_per_epoch_avg_late"] == late
    assert row["images_per_sec_avg"] == pytest.approx(STEPS * cell.settings.batch_size / average)
    assert row["images_per_sec_avg_late"] == pytest.approx(STEPS * cell.settings.batch_size / late)


def test_the_train_accuracy_of_the_last_epoch_stands_behind_the_benchmark_s_columns(study):
    for number, cell in enumerate(study.cells[:2]):
        log = log_of(cell, epochs=4 + number)
        log["train_accuracy"] = np.linspace(0.9, 0.6 + number / 10, len(log))  # the last is not the highest
        finish(cell, epochs=log)
    found = results.results(study)
    table = results.with_train_accuracy(found, results.epochs(study))
    assert table["train_accuracy_last"].tolist() == pytest.approx([0.6, 0.7])
    pd.testing.assert_frame_equal(table[found.columns], found)


def test_without_a_run_there_is_no_train_accuracy(study):
    table = results.with_train_accuracy(results.results(study), results.epochs(study))
    assert ", ".join(table.columns) == f"{SPEC}, train_accuracy_last"


def test_only_runs_that_are_done_have_results(study):
    done, other_code, stale, failed, *_ = study.cells
    finish(done)
    finish(other_code, code_digest="older code")
    finish(stale, inputs_digest="other settings")
    status.write(failed, Kind.FAILED, "the loss became nan")
    table = results.results(study)
    assert table["framework"].tolist() == [done.framework, other_code.framework]
    assert len(results.epochs(study)) == 2 * done.settings.epochs
    assert results.states(study)["state"].tolist()[:4] == ["done", "other code", "stale", "failed"]


def test_every_cell_has_a_state_with_its_reason(study):
    status.write(study.cells[1], Kind.FAILED, "the loss became nan")
    table = results.states(study)
    assert table["run"].tolist() == [cell.name for cell in study.cells]
    assert table.loc[1].tolist() == [study.cells[1].name, "failed", "the loss became nan"]


def test_a_study_that_never_ran_has_empty_tables_with_their_columns(study):
    assert ", ".join(results.results(study).columns) == SPEC
    assert list(results.epochs(study).columns) == [*study.keys, *COLUMNS]
    assert list(environments.environments(study).columns) == ["framework", "runs"]
    table = gates.gates(study, results.results(study), results.epochs(study)).set_index("gate")["passed"]
    assert not table.pop("every epoch logged")
    assert table.isna().all()


def test_the_epochs_of_all_runs_stand_under_each_other_with_their_keys(study):
    for cell in study.cells[:2]:
        finish(cell)
    table = results.epochs(study)
    second = table[table["framework"] == study.cells[1].framework].reset_index(drop=True)
    pd.testing.assert_frame_equal(second[list(COLUMNS)], log_of(study.cells[1]))
    assert table["framework"].value_counts().tolist() == [8, 8]


def test_environments_are_counted_and_an_item_that_one_lacks_is_said(study):
    first, second, third, *_ = (cell for cell in study.cells if cell.framework == "keras")
    finish(first)
    finish(second)
    finish(third, environment={"python": "3.11.9", "gpu": "H100", "cuda": "12.4"})
    table = environments.environments(study).set_index("python")
    assert table.loc["3.11.0"].to_dict() == {"framework": "keras", "runs": 2, "gpu": "none", "cuda": "not recorded"}
    assert table.loc["3.11.9"].to_dict() == {"framework": "keras", "runs": 1, "gpu": "H100", "cuda": "12.4"}


def test_pairs_on_unlike_cuda_or_cudnn_are_named_where_speeds_are_compared(study):
    def note(keras, pytorch):
        for cell in study.cells[:2]:
            cuda, cudnn = keras if cell.framework == "keras" else pytorch
            finish(cell, environment={"cuda": cuda, "cudnn": cudnn})
        return environments.libraries_note(study)

    assert note(("12.5", "9.10.2"), ("12.8", "9.20.0")) == ""
    assert note(("none", "none"), ("13.0", "9.20.0")) == "", "on a CPU neither makes a speed"
    told = note(("12.5", "9.28.0"), ("13.0", "9.20.0"))
    assert "keras CUDA 12.5 and cuDNN 9.28.0, pytorch CUDA 13.0 and cuDNN 9.20.0 (1 in all, such as `keras_" in told
    assert "different" in note(("12.5", "8.9.7"), ("12.8", "9.10.2"))


def test_means_have_a_row_a_group_and_framework_and_one_seed_has_no_deviation(study):
    for cell, accuracy in zip(study.cells[:3], (0.95, 0.90, 0.97), strict=True):
        finish(cell, accuracy)
    table = results.means(study, results.results(study)).set_index("framework")
    assert table["seeds"].to_dict() == {"keras": 2, "pytorch": 1}
    assert table.loc["keras", "test_accuracy"] == pytest.approx(0.94)
    assert table.loc["keras", "test_accuracy_sd"] == pytest.approx(0.02 / 2**0.5)
    assert np.isnan(table.loc["pytorch", "test_accuracy_sd"])


def test_mixed_precision_is_set_against_fp32_seed_by_seed(study):
    assert results.mixed_precision(study).empty
    files.write_sealed(paths.DATA / "cifar10.json", {"digest": "the digits"})
    stage2 = load_study("stage2")
    amp = {"keras": (2.0, 300.0, 3), "pytorch": (0.5, 500.0, 0)}
    for cell in stage2.cells:
        if (cell.dataset, cell.model) == ("cifar10", "resnet50") and cell.seed in (42, 123):
            slower, memory, skipped = amp[cell.framework] if cell.precision == "amp" else (1.0, 400.0, 0)
            log = log_of(cell)
            log["epoch_time_seconds"] *= slower
            finish(cell, epochs=log, peak_memory_mb=memory, skipped_steps=skipped)
    table = results.mixed_precision(stage2).set_index("framework")
    assert table.seeds.tolist() == [2, 2]
    assert table.speed_ratio.to_dict() == pytest.approx({"keras": 0.5, "pytorch": 2.0})
    assert table.memory_ratio.to_dict() == pytest.approx({"keras": 0.75, "pytorch": 1.25})
    assert table.skipped_steps.to_dict() == {"keras": 6, "pytorch": 0}


def test_a_run_that_took_smaller_micro_batches_is_named(study, read_chapter):
    first, second, *_ = study.cells
    finish(first)
    finish(second, accumulation_steps=4)
    assert results.accumulated(study) == [second.name]
    prose, _ = read_chapter("30_results")
    assert "**1 runs ran out of memory** and used smaller micro-batches" in prose
    assert second.name in prose


def test_the_settings_table_names_every_setting_of_a_cell(study):
    cell = study.cells[0]
    table = results.settings_table(cell).set_index("setting")["value"]
    named = {name.partition(".")[0] for name in table.index} | {"network"}  # which has no departure here
    assert named == (set(type(cell).model_fields) - {"settings"}) | set(type(cell.settings).model_fields)
    chosen = ["framework", "variant", "batch_size", "optimizer.momentum", "pairing.shared"]
    assert table[chosen].tolist() == ["keras", "quick", "64", "0.9", "False"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("val_macro_f1", "val_f1"), "they must be epoch"),
        (lambda text: text.replace("0.95", "very good"), "not an epoch log"),
        (lambda text: "\n".join(text.splitlines()[:2] + text.splitlines()[3:]), "without a gap"),
        (lambda text: text.splitlines()[0], "without a gap"),
        (lambda text: "", "not an epoch log"),
    ],
    ids=["wrong column", "text for a number", "missing epoch", "no epoch", "empty file"],
)
def test_a_damaged_epoch_log_is_one_error_that_names_the_file(study, damage, message):
    cell = study.cells[0]
    finish(cell)
    path = records.folder(cell) / "epochs.csv"
    path.write_text(damage(path.read_text()))
    with pytest.raises(DataError, match=message) as error:
        results.results(study)
    assert str(path) in str(error.value)


def test_a_run_without_its_epoch_log_is_one_error_that_names_the_file(study):
    finish(study.cells[0])
    (records.folder(study.cells[0]) / "epochs.csv").unlink()
    with pytest.raises(DataError, match=r"epochs\.csv is gone: put back the file that the run left"):
        results.results(study)


def test_a_good_study_passes_every_gate(study):
    for cell in study.cells:
        finish(cell)
    table = gates.gates(study, results.results(study), results.epochs(study))
    assert list(table.columns) == ["gate", "threshold", "found", "cells concerned", "passed", "verdict"]
    assert table["passed"].tolist() == [True] * 5
    assert table["verdict"].tolist() == ["pass"] * 5
    assert (table["cells concerned"] == "").all()


def test_missing_and_short_logs_fail_their_gate_by_name(study):
    short, missing, *others = study.cells
    finish(short, epochs=log_of(short, epochs=3))
    for cell in others:
        finish(cell)
    row = gate(study, "every epoch logged")
    assert not row["passed"]
    assert row["found"] == "4 of 6 runs"
    assert row["cells concerned"] == f"{short.name}, {missing.name}"


def test_a_nan_in_a_log_fails_its_gate_by_name(study):
    broken, *others = study.cells
    log = log_of(broken)
    log.loc[2, "val_loss"] = np.nan
    finish(broken, epochs=log)
    for cell in others:
        finish(cell)
    row = gate(study, "no NaN in logs and results")
    assert not row["passed"]
    assert row["cells concerned"] == broken.name


def test_an_accuracy_at_the_threshold_is_not_above_it(study):
    low, *others = study.cells
    finish(low, accuracy=0.90)
    for cell in others:
        finish(cell, accuracy=0.901)
    row = gate(study, "val accuracy on digits")
    assert not row["passed"]
    assert row["found"] == "lowest 90.0 %"
    assert row["cells concerned"] == low.name


def test_a_study_without_thresholds_keeps_the_other_gates(study):
    table = gates.gates(study.model_copy(update={"gates": {}}), results.results(study), results.epochs(study))
    assert table["gate"].tolist() == [
        "every epoch logged",
        "no NaN in logs and results",
        "seeds differ",
        "frameworks agree on each seed",
    ]


def test_two_seeds_with_one_course_of_train_loss_fail_their_gate(study):
    first, second, *others = (cell for cell in study.cells if cell.framework == "keras")
    finish(first)
    finish(second, epochs=log_of(first))
    for cell in others:
        finish(cell)
    row = gate(study, "seeds differ")
    assert not row["passed"]
    assert row["cells concerned"] == f"{first.name}, {second.name}"


@pytest.mark.parametrize(("accuracy", "passed"), [(0.90, True), (0.89, False)])
def test_the_frameworks_may_lie_five_points_apart_and_no_more(study, accuracy, passed):
    for cell in study.cells:
        finish(cell, accuracy=accuracy if cell is study.cells[1] else 0.95)
    row = gate(study, "frameworks agree on each seed")
    assert row["passed"] == passed
    assert row["cells concerned"] == ("" if passed else f"{study.cells[0].name}, {study.cells[1].name}")


@pytest.mark.parametrize(
    ("gaps", "verdict", "mean"),
    [
        ((0.04, 0.05, 0.05), "pass", "4.7"),
        ((0.06, 0.01, 0.01), "look", "2.7"),
        ((0.20, -0.01, 0.01), "look", "6.7"),
        ((0.20, 0.0, 0.01), "look", "7.0"),
        ((0.06, 0.05, 0.04), "look", "5.0"),
        ((0.07, 0.05, 0.04), "FAILED", "5.3"),
        ((-0.07, -0.05, -0.04), "FAILED", "5.3"),
    ],
    ids=["near", "one far", "both sides", "one equal", "mean at 5", "all far", "all far, Keras higher"],
)
def test_the_frameworks_fail_where_the_mean_gap_is_wide_and_all_seeds_lie_on_one_side(study, gaps, verdict, mean):
    of_seed = dict(zip(study.seeds, gaps, strict=True))
    for cell in study.cells:
        finish(cell, accuracy=0.7 + of_seed[cell.seed] * (cell.framework == "pytorch"))
    row = gate(study, "frameworks agree on each seed")
    assert row["verdict"] == verdict
    assert row["passed"] == (verdict == "pass")
    assert row["found"] == f"largest gap {100 * max(map(abs, gaps)):.1f} points, largest mean gap {mean}"
    far = [cell.name for cell in study.cells if abs(of_seed[cell.seed]) > 0.05]
    assert row["cells concerned"] == ", ".join(far)


def test_the_gap_of_every_group_is_judged_for_itself(tmp_path, monkeypatch):
    """In one network PyTorch is higher by 6 points and in the other lower: the two do not cancel out."""
    monkeypatch.setattr(paths, "DATA", tmp_path)
    monkeypatch.setattr(paths, "EXECUTED", tmp_path / "executed")
    for dataset in ("cifar10", "cifar100"):
        files.write_sealed(tmp_path / f"{dataset}.json", {"digest": dataset})
    stage1 = load_study("stage1")
    for cell in stage1.cells:
        side = 0.06 if cell.model == "resnet50" else -0.06
        finish(cell, accuracy=0.9 + side * (cell.framework == "pytorch"))
    assert gate(stage1, "frameworks agree on each seed")["verdict"] == "FAILED"


def test_a_gate_with_nothing_to_compare_is_open(study):
    finish(study.cells[0])
    assert gate(study, "frameworks agree on each seed")["passed"] is pd.NA
    assert gate(study, "frameworks agree on each seed")["verdict"] == "open"
    assert gate(study, "seeds differ")["passed"] is pd.NA
    assert gate(study, "val accuracy on digits")["passed"]


@pytest.fixture
def read_chapter(tmp_path, monkeypatch):
    """Run a chapter's cells in this process, and return its computed prose and the names of what it saved."""

    def read(stem, study="quickstart"):
        prose = []
        monkeypatch.setattr(paths, "REPORT", tmp_path / "report")
        monkeypatch.setattr(Chapter, "markdown", lambda _, text: prose.append(text))
        namespace = {}
        for cell in jupytext.read(paths.NOTEBOOKS / f"{stem}.py").cells:
            if cell.cell_type == "code":
                exec(cell.source.replace('"quickstart"', f'"{study}"'), namespace)
        saved = {path.name for path in (tmp_path / "report" / study).glob("*/*")}
        return "\n".join(prose), saved

    return read


@pytest.mark.parametrize(
    ("stem", "sentence"),
    [
        ("30_results", "Nothing has been run yet"),
        ("31_statistics", "no seed is finished on both sides"),
        ("32_figures", "Nothing has been run yet"),
    ],
)
def test_a_chapter_on_a_study_that_never_ran_says_so(study, read_chapter, stem, sentence):
    prose, _ = read_chapter(stem)
    assert sentence in prose
    assert "nan" not in prose


@pytest.mark.parametrize("finished", [1, 2])
def test_the_chapters_can_be_read_however_many_runs_are_finished(study, read_chapter, finished):
    for number, cell in enumerate(study.cells[:finished]):
        finish(cell, accuracy=0.95 + number * number / 1000)
    for stem in ("30_results", "31_statistics", "32_figures"):
        prose, saved = read_chapter(stem)
        assert "nan" not in prose
    compared = {"statistical_results.csv", "significance_summary.csv", "significance_summary.md"}
    assert compared <= saved if finished > 1 else not compared & saved


def test_the_saved_tables_are_whole_while_the_shown_ones_are_compact(study, read_chapter):
    for number, cell in enumerate(study.cells):
        finish(cell, accuracy=0.95 + number * number / 1000)
    for stem in ("30_results", "31_statistics", "32_figures"):
        _, saved = read_chapter(stem)
    assert {"curves_digits_resnet20_fp32.png", "accuracy_fp32.png", "throughput_fp32.png"} <= saved
    tables = paths.REPORT / "quickstart" / "tables"
    assert (tables / "results_quickstart.csv").read_text().splitlines()[0] == SPEC.replace(", ", ",")
    counted = (tables / "environments.csv").read_text().split()
    assert counted == ["item,value,keras,pytorch", "python,3.11.0,3,3", "gpu,none,3,3"]
    saved = pd.read_csv(tables / "statistical_results.csv")
    expected = contrasts.published(judgements.judged(study, results.results(study), study.main), study.main)
    pd.testing.assert_frame_equal(saved[saved.columns[:10]], expected.iloc[:, :10])
    assert list(saved.columns) == list(expected.columns)
    assert {"mean_keras", "mean_pytorch", "delta", "t_p", "wilcoxon_p", "cohens_d_av", "cliffs_delta"} <= {*saved}


def test_a_chapter_shows_what_runs_recorded_of_their_machines_and_the_energy_where_it_is_known(study, read_chapter):
    for cell in study.cells:
        gpu = {"gpu_energy": [np.nan, 100.0, 300.0]} if cell.framework == "keras" else {}
        finish(cell, states=states_of(others=0.2, **gpu))
    prose, saved = read_chapter("30_results")
    assert "machines.csv" in saved
    table = pd.read_csv(paths.REPORT / "quickstart/tables/machines.csv").set_index("framework")
    assert table["gpu_energy"].to_dict() == {"keras": 200.0, "pytorch": pytest.approx(np.nan, nan_ok=True)}
    assert set(table["others"]) == {0.2}
    assert "gpu_power" not in table
    assert prose.count("timing not reliable") == 2


def test_the_whole_matrix_gives_180_results_54_comparisons_and_22_figures(study, read_chapter, tmp_path):
    stage2 = load_study("stage2")
    for dataset in stage2.datasets:
        files.write_sealed(paths.DATA / f"{dataset}.json", {"digest": "the digits"})
    for cell in stage2.cells:
        finish(cell, accuracy=0.9 + cell.seed / 1e5)
    for stem in ("30_results", "31_statistics", "32_figures"):
        _, saved = read_chapter(stem, "stage2")
    tables = tmp_path / "report/stage2/tables"
    every, comparisons = (pd.read_csv(tables / f"{name}.csv") for name in ("results_stage2", "statistical_results"))
    assert len(every) == 180
    assert not every.isna().any(axis=None)
    assert len(comparisons) == 54
    bars = {f"{what}_{precision}.png" for what in ("accuracy", "throughput") for precision in ("fp32", "amp")}
    groups = {(cell.dataset, cell.model, cell.precision) for cell in stage2.cells}
    curves = {f"curves_{dataset}_{model}_{precision}.png" for dataset, model, precision in groups}
    assert (len(curves), len(bars)) == (18, 4)
    assert curves | bars <= saved


ABLATION = {
    "frameworks": ["pytorch"],
    "seeds": [42, 123],
    "arms": {"base": {}, "plain": {"network": {"skip": False}}, "long": {"epochs": 4}},
}
SHAPES = {
    "arms": ABLATION | {"questions": {"shortcut": ["plain"]}},
    "one-arm": ABLATION | {"arms": {"base": {}}},
    "one-framework": ABLATION | {"arms": {}},
    "one-seed": ABLATION | {"seeds": [42]},
    "models": ABLATION
    | {"models": ["resnet20", "mobilenetv2"], "arms": {}, "contrasts": [{"axis": "model", "against": "resnet20"}]},
    "levels": ABLATION
    | {
        "models": ["resnet20", "mobilenetv2", "resnet50"],
        "arms": {},
        "contrasts": [
            {"axis": "model", "against": "resnet20", "levels": ["resnet50"]},
            {"axis": "model", "against": "resnet50", "levels": ["mobilenetv2"]},
        ],
    },
    "both": ABLATION | {"frameworks": ["keras", "pytorch"], "arms": {"base": {}, "long": {"epochs": 4}}},
    "causes": {
        "settings": {"pairing": {"shared": True}},
        "causes": {"statistics": ["bn_variance"], "optimizer": ["weight_decay", "momentum_form"]},
        "seeds": [42, 123],
    },
}
CHAPTERS = ("30_results", "31_statistics", "32_figures", "34_predictions", "35_gates")


@pytest.mark.parametrize(
    ("shape", "finished"),
    [
        ("both", "all"),
        ("causes", "all"),
        ("arms", "all"),
        ("levels", "all"),
        ("one-arm", "nothing"),
        pytest.param("arms", "half", marks=pytest.mark.thorough),
        *(
            pytest.param(shape, "all", marks=pytest.mark.thorough)
            for shape in ("one-arm", "one-framework", "one-seed", "models")
        ),
    ],
)
def test_every_chapter_works_for_a_study_of_any_shape(study, read_chapter, tiny_study, shape, finished):
    experiment = load_study(tiny_study(f"shape-{shape}", **SHAPES[shape]))
    cells = {"nothing": (), "half": experiment.cells[: len(experiment.cells) // 2], "all": experiment.cells}[finished]
    for number, cell in enumerate(cells):
        finish(cell, accuracy=0.9 + number * number / 1000)
    stems = [*CHAPTERS, "33_attribution"] if experiment.causes else CHAPTERS
    for stem in stems:
        prose, _ = read_chapter(stem, experiment.name)
        assert not re.search(r"\bnan\b", prose), stem
    if shape == "arms" and finished == "all":
        tables = paths.REPORT / experiment.name / "tables"
        compared = pd.read_csv(tables / "statistical_results.csv")
        assert compared[["against", "level"]].drop_duplicates().to_numpy().tolist() == [
            ["base", "long"],
            ["base", "plain"],
        ]
        assert pd.read_csv(tables / f"results_{experiment.name}.csv")["arm"].nunique() == 3
        assert "ablations_digits_resnet20_fp32.png" in read_chapter("31_statistics", experiment.name)[1]
    if shape == "levels":
        tables = paths.REPORT / experiment.name / "tables"
        for suffix, compared in (("", ["resnet20", "resnet50"]), ("_model_resnet50", ["resnet50", "mobilenetv2"])):
            table = pd.read_csv(tables / f"statistical_results{suffix}.csv")
            assert table[["against", "level"]].drop_duplicates().to_numpy().tolist() == [compared]
    if shape == "both" and finished == "all":
        assert {"statistical_results.csv", "statistical_results_arm_base.csv"} <= read_chapter(
            "31_statistics", experiment.name
        )[1]
