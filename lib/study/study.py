"""A study: a matrix of cells, its arms and its comparisons."""

import itertools
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, model_validator

from lib import paths
from lib.errors import ParameterError
from lib.study.cells import AXES, Cell, Precision
from lib.study.conventions import Framework, Switch
from lib.study.datasets import DATASETS
from lib.study.models import Model, find
from lib.study.settings import WITHOUT_EFFECT
from lib.study.strict import Name, Seed, Share, Strict

BASE = "base"
"""The only arm of a study that states none; where it departs from nothing, its runs are those of such a study."""

TIMED = "50_speed"
"""The chapter of what `make bench` measures; a study with no other is timed, and not trained."""


def _chapters() -> list[str]:
    """Return the chapters that a study can list: those in `notebooks/` but the training and those of all reports."""
    elsewhere = (*openings(), *appendices())
    return [stem for stem in _numbered("*") if not stem.startswith("20_") and stem not in elsewhere]


def openings() -> tuple[str, ...]:
    """Return the chapters at the beginning of every report: those in `notebooks/` with the number 00."""
    return _numbered("00")


def appendices() -> tuple[str, ...]:
    """Return the chapters at the end of reports: those in `notebooks/` whose number begins with the letter A.

    The number behind the letter is that of the chapter which it belongs to, and without which it is absent.
    """
    return _numbered("A*")


def _numbered(number: str) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in paths.NOTEBOOKS.glob(f"{number}_*.py")))


def _model(value: str) -> str:
    try:
        return find(value).name
    except ParameterError as problem:
        raise ValueError(str(problem)) from None


def _dataset(value: str) -> str:
    return _one_of(DATASETS, value)


def _chapter(value: str) -> str:
    return _one_of(_chapters(), value)


def _one_of(choices: Any, value: str) -> str:
    if value not in choices:
        raise ValueError(f"unknown; choose from: {', '.join(choices)}")
    return value


Axis = Literal["framework", "model", "precision", "arm"]


class Contrast(Strict):
    """A stated contrast: other levels of an axis are compared with the level `against`, all if none is named."""

    axis: Axis
    against: str
    levels: Annotated[tuple[str, ...], Field(min_length=1)] | None = None


class Comparison(NamedTuple):
    """A contrast with its `others`, and `group`: the columns, besides the seed, in which two compared runs agree."""

    axis: str
    against: str
    others: tuple[str, ...]
    group: list[str]


class Matrix(Strict):
    """A study as its YAML file states it, before its settings are resolved.

    `recipes` name another recipe of `params/train.yaml` for a model than the model itself recommends.
    `arms` are named departures from the study's settings. `causes` are groups of switches and a short way to write
    arms: one cause after another is aligned, and then made native again. `questions` group the arms for a
    figure of them all.
    """

    title: str
    description: str
    frameworks: Annotated[tuple[Framework, ...], Field(min_length=1)]
    datasets: Annotated[tuple[Annotated[str, AfterValidator(_dataset)], ...], Field(min_length=1)]
    models: Annotated[tuple[Annotated[str, AfterValidator(_model)], ...], Field(min_length=1)]
    precisions: Annotated[tuple[Precision, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    variant: Name | None = None
    settings: dict[str, Any] = Field({})
    recipes: dict[Annotated[str, AfterValidator(_model)], Name] = Field({})
    arms: dict[Name, dict[str, Any]] = Field({})
    questions: dict[Name, Annotated[tuple[Name, ...], Field(min_length=1)]] = Field({})
    causes: dict[Name, Annotated[tuple[Switch, ...], Field(min_length=1)]] = Field({})
    contrasts: tuple[Contrast, ...] = ()
    gates: dict[str, Share] = Field({})
    chapters: Annotated[tuple[Annotated[str, AfterValidator(_chapter)], ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for axis in ("frameworks", "datasets", "models", "precisions", "seeds", "chapters"):
            values = getattr(self, axis)
            if len(set(values)) < len(values):
                raise ValueError(f"{axis} names a value twice: {', '.join(map(str, values))}")
        if unknown := [model for model in self.recipes if model not in self.models]:
            raise ValueError(f"recipes: the study has no model {unknown[0]!r}; choose from: {', '.join(self.models)}")
        departs = bool(self.settings.keys() - WITHOUT_EFFECT or self.recipes)
        if departs and not self.variant:
            raise ValueError("the study departs from params/train.yaml, so it needs a `variant` to name its settings")
        if self.variant and not departs:
            raise ValueError(f"variant {self.variant!r} names no departure: no setting with an effect on the results")
        if unknown := set(self.gates) - set(self.datasets):
            names = ", ".join(sorted(unknown))
            raise ValueError(f"gates: the study has no dataset {names}; choose from: {', '.join(self.datasets)}")
        grouped = [arm for arms in self.questions.values() for arm in arms]
        if unknown := [arm for arm in grouped if arm not in self.arms]:
            raise ValueError(f"questions: the study has no arm {unknown[0]!r}; choose from: {', '.join(self.arms)}")
        if len(set(grouped)) < len(grouped):
            raise ValueError("questions name an arm twice; each belongs to one question")
        if self.causes:
            self._agree_on_causes()
        elif "33_attribution" in self.chapters:
            raise ValueError("chapters: 33_attribution needs `causes`")
        stated = [(contrast.axis, contrast.against) for contrast in self.contrasts]
        if twice := next((names for names in stated if stated.count(names) > 1), None):
            raise ValueError(f"contrasts compare with {' '.join(twice)} twice: name all its `levels` in one")
        for contrast in self.contrasts:
            self._agree_on(contrast)
        if "40_degradation" in self.chapters and not any(one.axis == "model" for one in self.contrasts):
            raise ValueError("chapters: 40_degradation needs a contrast of models")
        if "02_parity" in self.chapters and not any(find(model).twin for model in self.models):
            raise ValueError("chapters: 02_parity needs a model that both frameworks have")
        return self

    def recipe(self, model: Model) -> str | None:
        """Return the recipe of a model: that of the study, or the one that the model recommends."""
        return self.recipes.get(model.name, model.recipe)

    def _agree_on_causes(self) -> None:
        switches = [switch for cause in self.causes.values() for switch in cause]
        pairing = self.settings.get("pairing")
        if len(set(switches)) < len(switches):
            raise ValueError("causes name a switch twice; each belongs to one cause")
        if self.arms or self.contrasts:
            raise ValueError("causes are a short way to write arms: leave `arms` and `contrasts` out")
        if not isinstance(pairing, dict) or pairing.get("shared") is not True:
            raise ValueError("causes need true pairs: set `pairing: {shared: true}` in `settings`")
        if "align" in pairing:
            raise ValueError("settings.pairing.align is what `causes` vary: leave it out")
        if set(self.frameworks) != {"keras", "pytorch"}:
            raise ValueError("causes explain the gap between the frameworks: both are needed")

    def _agree_on(self, contrast: Contrast) -> None:
        levels = self.levels(contrast.axis)
        if contrast.against not in levels:
            raise ValueError(f"contrasts: no {contrast.axis} {contrast.against!r}; choose from: {', '.join(levels)}")
        if len(levels) < 2:
            raise ValueError(f"contrasts: the study has one {contrast.axis}, so there is nothing to compare")
        others, named = [level for level in levels if level != contrast.against], contrast.levels or ()
        if unknown := [level for level in named if level not in others]:
            listed = ", ".join(others)
            raise ValueError(f"contrasts: no {contrast.axis} {unknown[0]!r} among the others; choose from: {listed}")
        if len(set(named)) < len(named):
            raise ValueError(f"contrasts name a level twice: {', '.join(named)}")

    @cached_property
    def departures(self) -> dict[str, dict[str, Any]]:
        """Every arm with its departures from the study's settings, in order; a single empty one if none is stated."""
        if not self.causes:
            return self.arms or {BASE: {}}
        aligned = {arm: {"pairing": {"align": list(switches)}} for arm, switches in self.way.items()}
        return aligned

    @cached_property
    def way(self) -> dict[str, tuple[Switch, ...]]:
        """The arms that `causes` stand for, with the switches aligned in each.

        They are native, aligned up to each cause, and aligned only beyond each cause. The last "up to" has every cause
        aligned; "beyond" the last cause would be native again.
        """
        names, groups = list(self.causes), list(self.causes.values())
        forth = {f"upto-{name}": groups[: step + 1] for step, name in enumerate(names)}
        back = {f"beyond-{name}": groups[step + 1 :] for step, name in enumerate(names[:-1])}
        return {arm: tuple(itertools.chain(*part)) for arm, part in ({"native": []} | forth | back).items()}

    def levels(self, axis: str) -> tuple[str, ...]:
        """Return the study's levels of an axis, in its order."""
        return tuple(self.departures) if axis == "arm" else getattr(self, f"{axis}s")


class Entry(Strict):
    """An arm at one point of the matrix, with its cell."""

    arm: Name
    cell: Cell


class Study(Matrix):
    """An experiment: a named matrix with all its entries: datasets, models, precisions, seeds, arms, frameworks.

    Two arms of an attribution that are the same for a framework share a cell, named after the first.
    """

    name: str
    entries: tuple[Entry, ...]

    @cached_property
    def by_name(self) -> dict[str, Cell]:
        """Every cell once, by its name, in the study's order."""
        return {entry.cell.name: entry.cell for entry in self.entries}

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell once, in the study's order."""
        return tuple(self.by_name.values())

    @property
    def is_trained(self) -> bool:
        """Whether the report shows runs, and not only what `make bench` measures."""
        return self.chapters != (TIMED,)

    @property
    def body(self) -> tuple[str, ...]:
        """The chapters of the study's report before the appendices: the openings, and those that it lists."""
        return (*openings(), *self.chapters)

    @property
    def contents(self) -> tuple[str, ...]:
        """All chapters of the study's report."""
        own = {stem.split("_")[0] for stem in self.chapters} | {""}
        return (*self.body, *(stem for stem in appendices() if stem.split("_")[0][1:] in own))

    @property
    def keys(self) -> list[str]:
        """The columns that identify a row in a table of entries; `arm` is one of them if the study states arms."""
        arms = ["arm"] if self.arms or self.causes else []
        return [axis for axis in AXES if axis != "arm"] + arms + ["seed"]

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The stated contrasts, or else the two frameworks, and every arm against the first."""
        frameworks = [Contrast(axis="framework", against="keras")] if len(self.frameworks) > 1 else []
        arms = [Contrast(axis="arm", against=next(iter(self.arms)))] if len(self.arms) > 1 else []
        return tuple(self._resolved(contrast) for contrast in self.contrasts or (*frameworks, *arms))

    @property
    def main(self) -> Comparison:
        """The first comparison, with every level of its axis, for figures that leave none out.

        It has no others if nothing is compared.
        """
        alone = self._resolved(Contrast(axis="framework", against=self.frameworks[0]))
        first = next(iter(self.comparisons), alone)
        return self._resolved(Contrast(axis=first.axis, against=first.against))

    def _resolved(self, contrast: Contrast) -> Comparison:
        among = contrast.levels or self.levels(contrast.axis)
        others = tuple(level for level in self.levels(contrast.axis) if level in among and level != contrast.against)
        constant = ["framework"] if len(self.frameworks) == 1 else []
        group = [key for key in self.keys if key not in (contrast.axis, "seed", *constant)]
        return Comparison(contrast.axis, contrast.against, others, group)

    def row(self, entry: Entry) -> dict[str, str | int]:
        """Return the values of `keys` for an entry."""
        values = entry.cell.model_dump(include={*AXES, "seed"}) | {"arm": entry.arm}
        return {key: values[key] for key in self.keys}

    def matched(self, axis: str) -> list[dict[str, Cell]]:
        """Return the cells that differ only in one axis, by its level: one dictionary per point of the other axes."""
        points: dict[tuple, dict[str, Cell]] = {}
        for entry in self.entries:
            row = self.row(entry) | {"arm": entry.arm}
            level = row.pop(axis)
            points.setdefault(tuple(row.values()), {})[level] = entry.cell
        return list(points.values())

    def cell(self, name: str) -> Cell:
        """Return the cell of that run name; `ParameterError` lists the names where there is none."""
        if name not in self.by_name:
            names = "\n  ".join(self.by_name)
            raise ParameterError(f"study {self.name!r} has no run {name!r}; its runs are:\n  {names}")
        return self.by_name[name]
