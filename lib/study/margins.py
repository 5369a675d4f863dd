"""The equivalence margins of `params/margins.yaml`: from which size a difference matters, and since when."""

from datetime import date
from typing import Annotated

from pydantic import Field, field_validator

from lib import paths
from lib.study.datasets import DATASETS
from lib.study.strict import Strict
from lib.study.validation import parsed, read_file, validated

OTHERS = "others"
"""The entry for datasets that have none of their own."""

Above = Annotated[float, Field(gt=0, lt=100)]


class Margins(Strict):
    """When and why the margins were fixed, and their sizes.

    `accuracy` is in points, by dataset; `speed` in percent of the slower side; `dead_units` in points.
    """

    fixed: date
    reason: Annotated[str, Field(min_length=1)]
    accuracy: dict[str, Above]
    speed: Above
    dead_units: Above

    @field_validator("accuracy")
    @classmethod
    def _by_dataset(cls, value: dict[str, float]) -> dict[str, float]:
        choices = (*DATASETS, OTHERS)
        if unknown := [name for name in value if name not in choices]:
            raise ValueError(f"no dataset {unknown[0]!r}; choose from: {', '.join(choices)}")
        if OTHERS not in value:
            raise ValueError(f"{OTHERS!r} is missing, for datasets that are not named")
        return value

    def of(self, kind: str, dataset: str) -> float:
        """Return a margin as a share: of `accuracy` on a dataset, of `speed`, or of `dead_units`."""
        percent = self.accuracy.get(dataset, self.accuracy[OTHERS]) if kind == "accuracy" else getattr(self, kind)
        return percent / 100


def margins() -> Margins:
    """Read the margins.

    Raises:
        ParameterError: the file cannot be read, or something in it is wrong; the message names the key and the choices.
    """
    path = paths.PARAMS / "margins.yaml"
    return validated(Margins, parsed(read_file(path), path), path)
