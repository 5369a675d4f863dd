"""What grows with the number of runs, and what one run costs: measured small, and computed by hand."""

import datetime

import nbformat
import pandas as pd
import pytest

from lib import paths
from lib.analysis import collecting
from lib.bench import fixed, invented, scale, scratch
from lib.errors import UserError
from lib.figures import growth, words
from lib.study.loading import load_study

ROWS = [
    {"what": what, "runs": runs, "seconds": seconds, "cpu_seconds": seconds}
    for what, times in {"plan": (1.0, 1.0, 10.0), "report": (2.0, 2.0)}.items()
    for runs, seconds in zip((24, 180, 1800), times, strict=False)
]


@pytest.fixture
def few(monkeypatch):
    """The measurement of scale with 24 runs of 20 test images each, and no report."""
    monkeypatch.setattr(scale, "SIZES", {24: (1, 2)})
    monkeypatch.setattr(scale, "IMAGES", 20)
    monkeypatch.setattr(scale, "TASKS", {name: task for name, task in scale.TASKS.items() if name != "report"})
    monkeypatch.setattr(scale, "MOST_REPORTED", 0)


def test_each_task_is_measured_on_generated_runs_and_leaves_the_project_as_it_was(few):
    before = sorted(paths.EXECUTED.glob("*/record.json"))
    rows = scale.measure()
    assert [(row["what"], row["runs"]) for row in rows] == [(what, 24) for what in scale.TASKS]
    assert all(row["seconds"] > 0.1 and row["cpu_seconds"] > 0.1 for row in rows)
    assert all(set(row) == set(scale.COLUMNS) for row in rows)
    assert sorted(paths.EXECUTED.glob("*/record.json")) == before


def test_growth_is_that_of_the_two_largest_sizes():
    assert scale.growth(ROWS) == {"plan": pytest.approx(1), "report": pytest.approx(0)}
    assert scale.growth(ROWS[:1]) == {}


def test_the_tasks_are_those_of_a_study_whose_runs_are_all_done():
    """A task that found nothing to do for want of runs would measure nothing."""
    with scratch.project() as root:
        scale._write_study(root, "scale-24", 1, 2)
        scratch.call(root, "lib.bench.invented", "scale-24", "--images=20")
        scratch.call(root, "lib.sweep", "status", "scale-24")
        assert "24 of 24 done" in (root / "said.log").read_text()
        scratch.call(root, "lib.analysis.collecting", "scale-24")
        said = (root / "said.log").read_text()
    assert "epochs: 4,800 rows" in said
    assert "predictions: 480 rows" in said


def test_a_command_that_fails_is_one_error_with_its_last_words():
    with scratch.project() as root, pytest.raises(UserError, match=r"lib\.sweep plan nothing failed: error: no study"):
        scratch.call(root, "lib.sweep", "plan", "nothing")


def test_invented_runs_are_refused_beside_results(digits, elsewhere, tiny_study, monkeypatch):
    study = load_study(tiny_study())
    invented.finish(study.cells[0])
    monkeypatch.setattr("sys.argv", ["invented", study.name])
    with pytest.raises(SystemExit, match="has results: invented runs need a folder of their own"):
        invented.main()
    assert [len(table) for name, table in collecting.tables(study) if name == "results"] == [1]


def executed(*cells):
    """A notebook as papermill leaves it: each cell with its source and seconds, a second after the one before."""
    at, found = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), []
    metadata = {"papermill": {"start_time": at.isoformat()}}
    for source, seconds in cells:
        at += datetime.timedelta(seconds=1)
        times = {"start_time": at.isoformat(), "duration": seconds}
        found.append(nbformat.v4.new_code_cell(source, metadata={"papermill": times}))
        at += datetime.timedelta(seconds=seconds)
    metadata["papermill"]["end_time"] = at.isoformat()
    return nbformat.v4.new_notebook(cells=found, metadata=metadata), at.timestamp()


def test_a_run_is_divided_into_its_parts_without_a_rest():
    notebook, last = executed(
        ("# title", 0), ("import pandas as pd", 5), ("log = training.fit(cell)", 7), ("show()", 2)
    )
    found = fixed.parts(notebook, begun=last - 17 - 3, ended=last + 4)
    assert found == pytest.approx(
        dict.fromkeys(fixed.PARTS, 0)
        | {"start": 2, "kernel": 1, "imports": 5, "training": 7, "papermill": 2 + 3, "end": 4}
    )


@pytest.mark.parametrize("framework", fixed.FRAMEWORKS)
def test_each_part_is_one_cell_of_the_training_notebook(framework):
    source = (paths.NOTEBOOKS / f"20_train_{framework}.py").read_text().split("# %%")
    for text in fixed.CELLS.values():
        assert sum(text in cell for cell in source) == 1, text


def test_growth_is_drawn_with_a_line_a_command_and_linear_growth():
    figure = growth.draw_growth(pd.DataFrame(ROWS))
    (axis,) = figure.axes
    assert [line.get_label() for line in axis.lines] == ["plan", "report", "linear growth"]
    assert axis.get_xscale() == axis.get_yscale() == "log"
    assert [label.get_text() for label in axis.get_xticklabels()] == ["24", "180", "1,800"]
    caption, alt = words.growth(pd.DataFrame(ROWS))
    assert "24, 180 and 1,800 generated runs" in caption
    assert "plan 1.0 s for 24, 1.0 s for 180, 10.0 s for 1,800; report 2.0 s for 24" in alt
