"""A cell: one point of a study, fully resolved; its name is the name of its run."""

from typing import Literal

from lib.study.conventions import Conventions, Framework, followed
from lib.study.settings import WITHOUT_EFFECT, Settings
from lib.study.strict import Name, Seed, Strict

Precision = Literal["fp32", "amp", "fp64"]

AXES = ("framework", "dataset", "model", "precision", "arm")
"""What can vary in a study besides the seed."""


class Cell(Strict):
    """The parameters of one run; `arm` is None in a study without arms, `variant` in a study without departures."""

    framework: Framework
    dataset: str
    model: str
    precision: Precision
    seed: Seed
    variant: Name | None = None
    arm: Name | None = None
    settings: Settings

    @property
    def name(self) -> str:
        """The run's name, which is also the name of its folder."""
        name = f"{self.framework}_{self.dataset}_{self.model}_{self.precision}_seed{self.seed}"
        return "-".join(part for part in (name, self.variant, self.arm) if part)

    @property
    def conventions(self) -> Conventions:
        """The framework whose convention the run follows, for each switch."""
        return followed(self.framework, self.settings.pairing.align, self.settings.pairing.reference)

    def __hash__(self) -> int:
        return hash(self.name)  # settings hold a dictionary, which has no hash


def same_settings(one: Cell, other: Cell) -> bool:
    """Return whether two cells have the same settings, apart from those without effect on the results."""
    settings = [cell.settings.model_dump(exclude=WITHOUT_EFFECT) for cell in (one, other)]
    return settings[0] == settings[1]
