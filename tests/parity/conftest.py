"""The short ladder, climbed once: the chapter on parity, executed for two networks at 32x32."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from lib import paths
from lib.data.store import Store
from lib.execution import execute


@pytest.fixture(scope="session")
def saved(
    digits: Store, tiny_study: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, pd.DataFrame]:
    """Every table that the chapter saves, by its name."""
    study = tiny_study("several", models=["mobilenetv2", "resnet20"])
    execute(paths.NOTEBOOKS / "02_parity.py", tmp_path_factory.mktemp("chapter") / "out.ipynb", {"study_name": study})
    folder: Path = paths.REPORT / study / "tables"
    return {path.stem: pd.read_csv(path) for path in folder.glob("*.csv")}
