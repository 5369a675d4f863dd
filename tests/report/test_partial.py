"""A report at every stage: before the data are there, before the first run, and with some of the runs."""

import shutil

import pandas as pd
import pypdf
import pytest
import yaml

from tests.report.conftest import PROJECT, python

PREPARE = """
from lib.data.preparation import prepare
prepare("digits")
"""

RUN = """
from lib.runs import status
from lib.runs.status import Kind
from lib.study.loading import load_study
from lib.bench.invented import finish
*cells, failed, _ = load_study("quickstart").cells
for cell in cells:
    finish(cell, accuracy=0.9 + cell.seed / 10_000)
status.write(failed, Kind.FAILED, "the loss is nan at step 7")
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def pages(root):
    """The text of the report at three stages, without anything, with the data, and with four of six runs."""
    for name in ("params", "notebooks"):
        shutil.copytree(PROJECT / name, root / name)
    path = root / "params/studies/quickstart.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"chapters": ["01_data", "30_results"]}))

    def text(before):
        for arguments in (["-c", before], ["-m", "lib.report", "quickstart"]):
            answer = python(root, *arguments)
            assert answer.returncode == 0, answer.stderr
        found = pypdf.PdfReader(root / "report/quickstart.pdf").pages
        return [" ".join(page.extract_text().replace("\xa0", " ").split()) for page in found]

    return [text(before) for before in ("", PREPARE, RUN)]


def test_without_data_and_runs_the_first_page_says_so_and_names_the_chapter_that_is_missing(pages):
    first, whole = pages[0][0], " ".join(pages[0])
    assert "0 of 6 runs done" in first
    assert "6 of 6 runs have no results in this report. • missing, never run (6)" in first
    assert "not made without images: chapter 01_data (make data DATASET=digits)" in first
    assert "The data This chapter is missing, since it reads images that are not there:" in whole
    assert "Nothing has been run yet." in whole


def test_without_runs_every_chapter_is_there_and_the_first_page_says_how_the_runs_will_be(pages):
    first, whole = pages[1][0], " ".join(pages[1])
    assert "6 of 6 runs have no results" in first
    assert "without images" not in first
    assert "Samples" in whole
    assert "Implementation. The runs are native" in first
    assert "Speed." not in first


def test_the_checks_of_the_data_are_words_in_the_report_and_truth_values_in_their_file(pages, root):
    assert pd.read_csv(root / "report/quickstart/tables/checks-digits.csv").passed.dtype == bool
    assert "official image counts 1,437 train, 360 test 1,437 train, 360 test yes" in " ".join(pages[1])


def test_with_some_runs_the_first_page_names_the_failed_one_and_what_the_others_found(pages):
    first = pages[2][0]
    assert "4 of 6 runs done" in first
    assert "2 of 6 runs have no results in this report. • failed, the loss is nan at step 7 (1): keras_" in first
    assert "• missing, never run (1): pytorch_digits_resnet20_fp32_seed456-quick" in first
    assert "Measured: PyTorch trained 1.00 times as many images a second as Keras (2 pairs of runs)." in first
    assert first.index("Speed.") < first.index("Implementation.") < first.index("Contents")
