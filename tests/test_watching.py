"""What a sweep says about itself: states with progress, the time left, JSON, and a choice of runs."""

import itertools
import json
import platform
import subprocess

import pytest
from bs4 import BeautifulSoup

from lib import files, paths
from lib.bench.invented import finish, log_of
from lib.errors import ParameterError
from lib.runs import acceptance, digests, live, records, state, status
from lib.runs.live import Live
from lib.runs.status import Kind
from lib.study.loading import load_study
from lib.study.selection import selected
from lib.sweep import __main__ as command
from lib.sweep import pruning, showing, telling
from lib.sweep.page import Page
from lib.sweep.telling import Teller
from lib.sweep.watching import Watch


@pytest.fixture
def study(monkeypatch, tmp_path):
    """The quick start: three runs in each framework, in a folder of its own."""
    monkeypatch.setattr(paths, "EXECUTED", tmp_path / "executed")
    monkeypatch.setattr(paths, "DATA", tmp_path)
    files.write_sealed(tmp_path / "digits.json", {"digest": "content"})
    return load_study("quickstart")


@pytest.fixture
def view(study):
    """One run is done, one at work, one failed, three wait."""
    done, failed, running = study.cells[:3]
    finish(done, working_seconds=100.0)
    status.write(failed, Kind.RUNNING)
    status.console(failed).write_text("the last line\n")
    status.write(failed, Kind.OUT_OF_MEMORY, "too large")
    with state.claimed(running):
        status.write(running, Kind.RUNNING)
        now = Live(epoch=2, epochs=8, step=3, steps=9, images_per_second=1234.5, seconds_left=80.0)
        files.write_text(live.path(running), now.model_dump_json())
        yield Watch(study, list(study.cells)).look()


def test_the_status_says_how_far_a_run_is_why_one_failed_and_where_the_rest_is(study, view):
    lines = showing.text(view).splitlines()
    done, failed = study.cells[:2]
    assert lines[0].split()[:2] == [done.name, "done"]
    assert lines[1].endswith(f"out of memory  too large (executed/{failed.name}/console.log)")
    assert lines[2].endswith("running        epoch 2 of 8 done, step 3 of 9, 1,234 images/s, 1 min 20 s left")
    assert lines[-2] == "1 done, 1 out of memory, 1 running, 3 missing"
    keras = [cell for cell in study.cells if cell.framework == done.framework]
    waiting = [row.cell for row in view.rows if row.state.kind in (Kind.MISSING, Kind.OUT_OF_MEMORY)]
    seconds = 80 + 100 * len([cell for cell in waiting if cell in keras])
    assert view.seconds == pytest.approx(seconds)
    assert lines[-1].startswith("1 of 6 done, 1 running, 1 failed, about ")
    assert lines[-1].endswith(f"{len([cell for cell in waiting if cell not in keras])} runs of unknown length")


def test_the_status_for_scripts_is_json(study, view):
    content = json.loads(showing.as_json(view))
    assert content["counts"] == {"done": 1, "out of memory": 1, "running": 1, "missing": 3}
    assert content["runs"][1]["last_lines"] == ["the last line"]
    assert content["runs"][1]["log"].endswith(f"{study.cells[1].name}/console.log")
    assert content["runs"][2]["live"]["epoch"] == 2
    assert content["runs"][3]["log"] is None


def test_a_small_terminal_shows_what_runs_and_what_failed_first(view):
    from rich.console import Console

    console = Console(width=100, height=6, force_terminal=False, record=True)
    console.print(showing._screen(view, console.height))
    lines = console.export_text().splitlines()
    assert "running" in lines[0]
    assert "out of memory" in lines[1]
    assert lines[2].startswith("and 4 more, missing and so on")
    assert lines[3].startswith("1 of 6 done")


def test_a_run_with_a_result_is_read_again_only_when_its_folder_changes(study, view, monkeypatch):
    done, other = study.cells[0], study.cells[3]
    finish(other, code_digest="other")
    watch = Watch(study, study.cells)
    watch.look()
    read = []
    monkeypatch.setattr("lib.sweep.watching.state", lambda cell: read.append(cell) or state.state(cell))
    watch.look()
    assert set(read) == set(study.cells) - {done, other}
    acceptance.write(other, records.read_record(other), "A. Person", "today", "only a message changed")
    assert watch.look().rows[3].state.kind == Kind.ACCEPTED
    read.clear()
    watch.look()
    assert other not in read
    with state.claimed(other):
        status.write(other, Kind.RUNNING)
        assert watch.look().rows[3].state.kind == Kind.RUNNING


def test_what_a_sweep_makes_again_is_not_done_and_takes_time(study, view):
    for cell in study.cells[3:5]:
        finish(cell, code_digest="other", working_seconds=100.0)
    kept, again = (Watch(study, study.cells, choice).look() for choice in (state.Choice(), state.Choice("code")))
    assert kept.line.startswith("3 of 6 done, 1 running")
    assert again.line.startswith("1 of 6 done, 1 running")
    assert again.seconds - kept.seconds == pytest.approx(200)


@pytest.mark.parametrize(
    ("only", "number"), [("", 6), ("framework=keras", 3), ("framework=keras seed=42", 1), ("seed=42,123", 4)]
)
def test_a_part_of_a_study_is_chosen_by_its_axes(study, only, number):
    cells = selected(study, only)
    assert len(cells) == number
    assert [cell for cell in study.cells if cell in cells] == cells


def test_an_arm_is_chosen_by_its_name_in_the_study_also_where_its_runs_are_shared():
    study = load_study("attribution-quick")
    assert {entry.arm for entry in study.entries} > {"native"}
    for arm in study.levels("arm"):
        assert set(selected(study, f"arm={arm}")) == {entry.cell for entry in study.entries if entry.arm == arm}


@pytest.mark.parametrize(
    ("only", "problem"),
    [
        ("framwork=keras", "no axis in 'framwork=keras'; write axis=level with one of: framework, dataset, "),
        ("keras", "no axis in 'keras'"),
        ("seed=1", "quickstart has no seed '1'; choose from: 42, "),
        ("framework=keras,jax", "quickstart has no framework 'jax'; choose from: keras, pytorch"),
    ],
)
def test_a_wrong_choice_is_answered_with_the_choices(study, only, problem):
    with pytest.raises(ParameterError, match=f"^ONLY: {problem}"):
        selected(study, only)


def test_an_unknown_option_is_refused(study, monkeypatch):
    monkeypatch.setattr("sys.argv", ["sweep", "status", "quickstart", "--jsn"])
    with pytest.raises(SystemExit, match="status has no option --jsn"):
        command.main()


@pytest.mark.parametrize("action", ["run", "plan"])
def test_a_study_that_is_timed_is_not_trained(action, monkeypatch):
    monkeypatch.setattr("sys.argv", ["sweep", action, "bench"])
    with pytest.raises(SystemExit, match="bench is not trained but timed: make bench STUDY=bench"):
        command.main()


def test_the_plan_of_a_part_counts_that_part(study, view, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["sweep", "plan", "quickstart", "--only", "framework=pytorch"])
    command.main()
    assert capsys.readouterr().out.startswith("quickstart: 3 runs (")


class Ending:
    """A Snakemake that waits so often, and then ends; something may happen before a look."""

    def __init__(self, looks, happens):
        self.looks, self.happens = looks, happens

    def wait(self, seconds):
        self.looks -= 1
        if self.looks < 0:
            return 1
        self.happens.pop(self.looks, lambda: None)()
        raise subprocess.TimeoutExpired("snakemake", seconds)


def test_a_sweep_says_what_changed_and_calls_a_command_where_nothing_goes_on(study, view, monkeypatch, capfd):
    clock = itertools.count(0, 1000)
    monkeypatch.setattr(telling.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(telling, "_SPEAK_SECONDS", 1e9)
    monkeypatch.setenv("ON_END", 'echo "$SWEEP_STUDY $SWEEP_OUTCOME: $SWEEP_LINE"; exit 3')
    teller = Teller("quickstart", Watch(study, study.cells), Page(study))
    happens = {17: lambda: status.write(study.cells[3], Kind.FAILED, "no"), 15: lambda: finish(study.cells[4])}
    assert teller.follow(Ending(20, happens)) == 1
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("quickstart: 1 of 6 done, 1 running, 1 failed, about ")
    assert lines[1].startswith("quickstart: 1 of 6 done, 1 running, 2 failed, about ")
    assert lines[2].startswith(line := "quickstart: 2 of 6 done, 1 running, 2 failed, about ")
    assert lines[3] == "quickstart: no run has gone on for 1 h 0 min"
    assert sorted(lines[4:])[0].startswith("ON_END: exit code 3: echo ")
    assert sorted(lines[4:])[1].startswith(line.replace(":", " stalled:", 1))
    assert len(lines) == 6


def test_pruning_lists_and_removes_what_no_run_needs_and_no_more(study, view, monkeypatch, capsys):
    done, failed, at_work = study.cells[:3]
    unnamed, other = paths.EXECUTED / "of_no_study", paths.EXECUTED / ".parity"
    for path in (live.path(done), live.path(failed), unnamed / "record.json", other / "result.json"):
        files.write_text(path, "content")
    for cell in (done, at_work):
        (records.folder(cell) / ".best.pt").touch()
    monkeypatch.setattr("lib.paths.ROOT", paths.EXECUTED.parent)
    monkeypatch.setattr("sys.argv", ["pruning"])
    pruning.main()
    found = {line.split()[0].removeprefix("executed/") for line in capsys.readouterr().out.splitlines()[:-1]}
    assert found == {"of_no_study", f"{done.name}/last", f"{done.name}/.best.pt"}
    monkeypatch.setattr("sys.argv", ["pruning", "--yes"])
    pruning.main()
    assert not unnamed.exists()
    assert not live.path(done).parent.exists()
    assert live.path(failed).exists()
    assert other.exists()
    assert (records.folder(at_work) / ".best.pt").exists()
    assert state.state(done).kind == Kind.DONE
    pruning.main()
    assert capsys.readouterr().out.endswith("0 items, 0.0 MiB removed\n")


def prune(monkeypatch):
    monkeypatch.setattr("lib.paths.ROOT", paths.EXECUTED.parent)
    monkeypatch.setattr("sys.argv", ["pruning", "--yes"])
    pruning.main()


def test_a_result_that_a_killed_process_staged_is_put_in_place_and_not_pruned(study, monkeypatch):
    (cell, *_) = study.cells
    status.write(cell, Kind.RUNNING)
    with monkeypatch.context() as patch:
        patch.setattr(records, "_put_in_place", lambda record: None)
        finish(cell)
    assert (records.unfinished(cell) / "record.json").exists()
    prune(monkeypatch)
    assert state.state(cell).kind == Kind.DONE
    assert (records.folder(cell) / "record.json").exists()
    assert not records.unfinished(cell).exists()


def test_a_training_that_a_rerun_can_go_on_from_is_not_pruned(study, monkeypatch):
    (cell, *_) = study.cells
    finish(cell, code_digest="other")
    progress = records.unfinished(cell) / "progress.json"
    files.write_sealed(progress, {"made_from": digests.made_from(cell, "content"), "log": {}})
    status.write(cell, Kind.INTERRUPTED)
    prune(monkeypatch)
    assert progress.exists()
    files.write_sealed(progress, {"made_from": {"inputs": "", "code": "other"}, "log": {}})
    prune(monkeypatch)
    assert not progress.exists()


@pytest.mark.parametrize("name", ["named", "of_no_study"])
def test_a_run_that_another_machine_trains_is_not_pruned(study, monkeypatch, name):
    (cell, *_) = study.cells
    status.write(cell, Kind.RUNNING)
    told = status.path(cell).read_text().replace(platform.node(), "elsewhere")
    folder = records.folder(cell) if name == "named" else paths.EXECUTED / name
    files.write_text(folder / "status.json", told)
    (folder / ".best.pt").touch()
    prune(monkeypatch)
    assert (folder / ".best.pt").exists()


def test_nothing_is_pruned_while_a_study_cannot_be_read(study, monkeypatch):
    monkeypatch.setattr("lib.study.loading.study_names", lambda: ["quickstart", "of-tomorrow"])
    with pytest.raises(ParameterError, match="of-tomorrow"):
        next(pruning.leftovers())


def test_the_page_shows_each_run_its_curve_so_far_and_links_that_are_there(study, view):
    done, failed, at_work = study.cells[:3]
    log_of(at_work, epochs=2).to_csv(records.unfinished(at_work) / "epochs.csv", index=False)
    (records.folder(failed) / "notebook.ipynb").touch()
    status.write(failed, Kind.OUT_OF_MEMORY, "6 < 7 & more")
    view = Watch(study, list(study.cells)).look()
    page = Page(study)
    page.write()
    parsed = BeautifulSoup((paths.EXECUTED / "index.html").read_text(), "html.parser")
    assert parsed.find("meta", {"http-equiv": "refresh"})["content"] == "10"
    rows = parsed.find_all("tr")[1:]
    assert [row["class"][0] for row in rows[:2]] == ["running", "failed"]
    assert len(rows) == len(study.cells)
    assert view.line in parsed.text
    texts = {row.find("td").contents[0]: row for row in rows}
    assert "6 < 7 & more" in texts[failed.name].text
    assert texts[failed.name].find("pre").contents[0] == "the last line"
    assert texts[at_work.name].svg.title.text == "epoch 2: val 0.950, train 1.000"
    width, height = (float(texts[at_work.name].svg[side]) for side in ("width", "height"))
    points = texts[at_work.name].find("polyline", class_="val")["points"].split()
    last = (width * 2 / at_work.settings.epochs, height * (1 - 0.95))
    assert [float(number) for number in points[1].split(",")] == pytest.approx(last, abs=0.05)
    assert texts[at_work.name].find("polyline", class_="train")
    assert len(texts[done.name].find("polyline")["points"].split()) == done.settings.epochs + 1
    missing = next(row for row in view.rows if row.state.kind == Kind.MISSING)
    assert texts[missing.cell.name].svg is None
    links = [link["href"] for link in parsed.find_all("a")]
    assert links == [f"{failed.name}/notebook.ipynb", f"{failed.name}/console.log"]
    assert all((paths.EXECUTED / link).exists() for link in links)
    assert not parsed.find_all(["script", "link", "img"])


def test_the_page_holds_all_studies_and_reads_a_done_run_once(study, view):
    other, page = load_study("arms-quick"), Page(study)
    Page(other).write()
    page.write()
    (records.folder(study.cells[0]) / "epochs.csv").unlink()
    page.write()
    parsed = BeautifulSoup((paths.EXECUTED / "index.html").read_text(), "html.parser")
    assert [title.text.split(":")[0] for title in parsed.find_all("h1")] == ["quickstart", "arms-quick"]
    done = next(row for row in parsed.find_all("tr") if study.cells[0].name in row.text)
    assert done.svg


def test_the_page_of_a_sweep_of_some_runs_shows_all_of_the_study(study, view):
    seen = Teller("quickstart", Watch(study, study.cells[:1]), Page(study))._look()
    assert len(seen.rows) == 1
    parsed = BeautifulSoup((paths.EXECUTED / "index.html").read_text(), "html.parser")
    assert len(parsed.find_all("tr")[1:]) == len(study.cells)


def test_a_page_that_cannot_be_written_ends_no_sweep(study, view):
    paths.EXECUTED.mkdir(exist_ok=True)
    (paths.EXECUTED / ".page").write_text("no folder")
    Page(study).write()
    assert not (paths.EXECUTED / "index.html").exists()
