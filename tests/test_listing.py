"""`make settings` lists what a study can set, from the models that check it."""

import re
import subprocess
import sys
from pathlib import Path

from lib.study import listing
from lib.study.loading import load_study
from lib.study.nested import flat

PROJECT = Path(__file__).parents[1]


def test_every_setting_of_a_run_is_listed_with_its_choices_and_default():
    rows = {(name, where): (choices, default) for name, choices, default, where in listing.rows()}
    listed = {name for name, _ in rows}
    for cell in load_study("zoo").cells:
        assert set(flat(cell.settings.model_dump())) <= listed | {"network"}
    assert rows["epochs", ""] == ("int ≥ 1", listing.REQUIRED)
    assert rows["schedule.name", ""] == ("cosine or multistep or step or constant", listing.REQUIRED)
    assert rows["augmentation.rotation", listing.PYTORCH] == ("float ≥ 0, ≤ 180", "0.0")
    assert rows["optimizer.alpha", f"rmsprop, {listing.PYTORCH}"] == ("float ≥ 0, < 1", "0.99")
    assert rows["measurements.layers_every", ""] == ("int ≥ 1", "10")
    assert rows["optimizer.betas", f"adamw, {listing.PYTORCH}"] == ("list of float ≥ 0, < 1", "[0.9, 0.999]")
    assert rows["augmentation.policy", listing.PYTORCH] == ("none or randaugment or autoaugment", "none")
    assert rows["limits.train_samples", ""] == ("int ≥ 1 or null", "null")
    assert rows["network.drop_path", f"convnext_tiny, {listing.PYTORCH}"] == ("float ≥ 0, < 1", "0.1")


def test_the_command_prints_one_line_each(capsys):
    listing.main()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["batch_size", "int", "≥", "1", "no", "default"] in lines


def test_a_reader_that_closes_the_pipe_gets_no_traceback():
    command = f"set -o pipefail; {sys.executable} -m lib.study.listing | true"
    answer = subprocess.run(["bash", "-c", command], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_the_readme_names_every_chapter_and_what_a_study_must_have_for_it():
    rows = re.findall(r"^\| (`(?:\d\d|A\d*)_.*?) \|.*\| (.*?) ?\|$", (PROJECT / "README.md").read_text(), re.MULTILINE)
    needs = {name: need for names, need in rows for name in re.findall(r"`(\w+)`", names)}
    assert set(needs) == {path.stem for path in (PROJECT / "notebooks").glob("*.py")}
    assert (needs["33_attribution"], needs["02_parity"]) == ("`causes`", "a model that both frameworks have")
    assert needs["40_degradation"].startswith("a contrast of models")
