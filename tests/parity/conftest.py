"""The short ladder, climbed once: the chapter on parity, executed for one network at 32x32, or for two."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from lib import paths
from lib.data.store import Store
from lib.execution import execute


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(["resnet20"], id="one"),
        pytest.param(["mobilenetv2", "resnet20"], id="two", marks=pytest.mark.thorough),
    ],
)
def saved(
    request: pytest.FixtureRequest,
    digits: Store,
    tiny_study: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, pd.DataFrame]:
    """Every table that the chapter saves, by its name."""
    study = tiny_study(f"ladder-{len(request.param)}", models=request.param)
    execute(paths.NOTEBOOKS / "02_parity.py", tmp_path_factory.mktemp("chapter") / "out.ipynb", {"study_name": study})
    folder: Path = paths.REPORT / study / "tables"
    return {path.stem: pd.read_csv(path) for path in folder.glob("*.csv")}
