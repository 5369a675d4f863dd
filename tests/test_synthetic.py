"""Stage 2 on generated records with known effects: its verdicts, and a report that says what its records are."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pypdf
import pytest
import yaml

from lib import files, paths
from lib.analysis import findings, headline, judgements, results
from lib.bench.invented import finish, log_of
from lib.study.loading import load_study

PROJECT = Path(__file__).parents[1]
MEAN = 0.002
"""The true difference of every group, a share; ResNet-50 on CIFAR-100 has APART more."""

APART = 0.015
SD = {"cifar10": 0.0025, "cifar100": 0.005, "tiny_imagenet": 0.005}
BASE = {"cifar10": 0.93, "cifar100": 0.72, "tiny_imagenet": 0.58}
MARK = "GENERATED RECORDS, not a result"


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Stage 2 with 180 finished runs in a folder of its own; its title says that they are generated."""
    for name, folder in {
        "PARAMS": "params",
        "STUDIES": "params/studies",
        "DATA": "data",
        "EXECUTED": "executed",
    }.items():
        monkeypatch.setattr(paths, name, tmp_path / folder)
    shutil.copytree(PROJECT / "params", tmp_path / "params")
    page = tmp_path / "params/studies/stage2.yaml"
    content = yaml.safe_load(page.read_text())
    chapters = [chapter for chapter in content["chapters"] if not chapter.startswith("0")]  # these need images
    page.write_text(yaml.safe_dump(content | {"title": MARK, "chapters": chapters}))
    study = load_study("stage2")
    paths.DATA.mkdir()
    for dataset in study.datasets:
        files.write_sealed(paths.DATA / f"{dataset}.json", {"digest": "generated"})
    for place, cell in enumerate(study.cells):
        rng = np.random.default_rng([cell.seed, place])
        accuracy = BASE[cell.dataset] + SD[cell.dataset] * rng.normal()
        if cell.framework == "pytorch":
            accuracy += MEAN + (APART if (cell.dataset, cell.model) == ("cifar100", "resnet50") else 0)
        day, hour = 1 + place // 8, 3 * (place % 8)
        times = {
            "started": f"2026-01-{day:02d}T{hour:02d}:00:00+00:00",
            "finished": f"2026-01-{day:02d}T{hour + 2:02d}:00:00+00:00",
        }
        finish(cell, epochs=log_of(cell, accuracy), test_accuracy=accuracy, **times)
    return study


def test_known_effects_are_found_and_no_others(study):
    found = results.results(study)
    rows = headline.chosen(judgements.judged(study, found, study.main), "pytorch", "test_accuracy")
    apart = (rows["dataset"] == "cifar100") & (rows["model"] == "resnet50")
    assert rows.loc[apart, "judgement"].tolist() == ["different"] * 2
    assert "different" not in rows.loc[~apart, "judgement"].tolist()
    head = headline.headline(rows, found, study.main, "pytorch")
    low, high = head.mean.interval()
    assert low < MEAN + APART / 9 < high
    assert head.judgement == "equivalent"
    assert head.unlike_p < 0.001
    text = findings.accuracy(head, rows, study.main)
    assert "equivalent, within ±0.5 points. Group by group: 2 different (cifar100 resnet50 fp32 +" in text


@pytest.mark.thorough
def test_the_report_of_stage_2_says_on_every_page_that_its_records_are_generated(study, tmp_path):
    shutil.copytree(PROJECT / "notebooks", tmp_path / "notebooks")
    command = [sys.executable, "-m", "lib.report", "stage2"]
    subprocess.run(command, cwd=PROJECT, env=os.environ | {"PAIRED_ROOT": str(tmp_path)}, check=True)
    pages = [page.extract_text() for page in pypdf.PdfReader(tmp_path / "report/stage2.pdf").pages]
    assert all(MARK in page for page in pages)
    assert "Over 18 groups PyTorch minus Keras averages" in pages[0]
    tables = {path.stem for path in (tmp_path / "report/stage2/tables").glob("*.csv")}
    assert {"results_stage2", "statistical_results", "significance_summary"} <= tables
