"""The README's "Adding your own", followed to the letter in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image

PROJECT = Path(__file__).parents[1]


def diffs():
    """Every diff of the section, in its order."""
    section = (PROJECT / "README.md").read_text().split("### Adding your own")[1].split("\n### ")[0]
    return re.findall(r"```diff\n(.*?)```", section, re.DOTALL)


class Copy:
    """A copy of the project with the diffs applied, used through the command line."""

    def __init__(self, root):
        self.root = root
        for name in ("lib", "notebooks", "params"):
            shutil.copytree(PROJECT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in (PROJECT / "Snakefile", PROJECT / "CITATION.cff", *PROJECT.glob("requirements*.lock")):
            shutil.copy(path, root)
        (root / "notebooks/A31_operating_characteristics.py").unlink()  # its simulation takes minutes
        for diff in diffs():
            command = ["git", "apply", "-"]
            subprocess.run(command, input=diff, text=True, cwd=root, check=True)

    def python(self, *arguments):
        environment = os.environ | {"PAIRED_ROOT": str(self.root), "PYTHONPATH": str(self.root)}
        command = [sys.executable, "-W", "ignore", *arguments]
        answer = subprocess.run(command, env=environment, cwd=self.root, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return Copy(tmp_path_factory.mktemp("copy"))


def test_a_study_and_a_model_are_added_as_the_readme_says_and_appear_in_the_report(copy):
    copy.python("-m", "lib.data", "digits")
    planned = copy.python("-m", "lib.sweep", "plan", "my-ablation")
    runs = [f"pytorch_digits_two_layers_fp32_seed42-mine{arm}" for arm in ("", "-adamw")]
    assert all(run in planned for run in runs)
    study = copy.root / "params/studies/my-ablation.yaml"
    two_steps = "  limits: {max_steps_train: 2, test_samples: 40}\n"
    study.write_text(study.read_text().replace("settings:\n", f"settings:\n{two_steps}"))
    for run in runs:
        copy.python("-m", "lib.sweep.cell", "my-ablation", run)
    copy.python("-m", "lib.report", "my-ablation")
    page = (copy.root / "report/my-ablation.html").read_text()
    assert "two_layers" in page
    assert "adamw" in page
    assert "2 of 16 runs done" in page
    assert (copy.root / "report/my-ablation.pdf").read_bytes().startswith(b"%PDF")


def test_a_dataset_is_added_as_the_readme_says(copy, tmp_path):
    """Its images are of one channel and 28 pixels."""
    random = np.random.default_rng(0)
    features = Features({"image": Image(), "label": ClassLabel(num_classes=10)})
    for part, each in (("train", 4), ("test", 2)):
        images = [random.integers(0, 256, (28, 28), dtype=np.uint8) for _ in range(10 * each)]
        content = {"image": images, "label": [number % 10 for number in range(10 * each)]}
        (tmp_path / "data").mkdir(exist_ok=True)
        Dataset.from_dict(content, features=features).to_parquet(tmp_path / f"data/{part}-00000-of-00001.parquet")
    copy.python("-m", "lib.data", "mnist", "--source", str(tmp_path))
    assert np.load(copy.root / "data/mnist_train_images.npy").shape == (40, 28, 28, 1)


def test_an_optimizer_is_added_as_the_readme_says(copy):
    code = """
import torch
from lib.pytorch.networks import NATIVE
from lib.pytorch.optimizers import optimizer
from lib.study.kinds import Adagrad
print(type(optimizer(torch.nn.Linear(1, 1), Adagrad(name="adagrad", learning_rate=0.1), NATIVE)))
"""
    assert "adagrad.Adagrad" in copy.python("-c", code)
