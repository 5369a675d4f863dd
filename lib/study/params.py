"""Parameters: settings, cells and studies, checked strictly before anything runs.

`params/train.yaml` holds the settings; a file in `params/studies/` spans a matrix of **cells** over them. A cell is
one point of the matrix, fully resolved, and its name is the name of its run.
"""

import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lib import paths
from lib.errors import ParameterError
from lib.study.conventions import SWITCHES, Framework, Switch, effective

DatasetName = Literal["digits", "cifar10", "cifar100", "tiny_imagenet"]
ModelName = Literal["mobilenetv2", "resnet50", "convnext_tiny", "resnet20"]
Precision = Literal["fp32", "amp", "fp64"]
ChapterName = Literal[
    "01_data",
    "02_parity",
    "30_results",
    "31_statistics",
    "32_figures",
    "33_attribution",
    "34_predictions",
    "35_gates",
]
COMPARISON: tuple[ChapterName, ...] = (
    "01_data",
    "02_parity",
    "30_results",
    "31_statistics",
    "32_figures",
    "34_predictions",
    "35_gates",
)
"""The chapters of a study that has one run a cell of the matrix."""
ATTRIBUTION: tuple[ChapterName, ...] = ("01_data", "02_parity", "33_attribution")
"""The chapters of a study that takes the causes of a gap one by one."""

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


M = TypeVar("M", bound="Strict")


class Strict(BaseModel):
    """A frozen model in which an unknown key, a wrong type, or a number that is not finite is an error."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Settings(Strict):
    """How one cell is trained.

    A field without a default must stand in `params/train.yaml`. A field with one changes a run's digest only where it
    differs from it, so that a new setting leaves the runs made before it as they are.
    """

    epochs: Count
    batch_size: Count
    accumulation_steps: Count
    learning_rate: Annotated[float, Field(gt=0)]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    nesterov: bool
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_epochs: Annotated[int, Field(ge=0)]
    crop_padding: Annotated[int, Field(ge=0)]
    flip: bool
    tf32: bool
    num_workers: Annotated[int, Field(ge=0)]
    max_steps_train: Count | None = None
    max_steps_test: Count | None = None
    train_samples: Count | None = None
    test_samples: Count | None = None
    on_oom: Literal["fail", "accumulate"] = "fail"
    align: tuple[Switch, ...] = ()
    reference: Framework = "pytorch"
    pairing: Literal["native", "shared"] = "native"

    @field_validator("align", mode="before")
    @classmethod
    def _in_order(cls, value: Any) -> Any:
        """Read `all` as every switch, and put them in their order, so that a set of switches is written in one way."""
        if value == "all":
            return SWITCHES
        if not isinstance(value, list | tuple):
            return value
        return tuple(
            sorted(dict.fromkeys(value), key=lambda switch: SWITCHES.index(switch) if switch in SWITCHES else -1)
        )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.batch_size % self.accumulation_steps:
            raise ValueError(
                f"accumulation_steps {self.accumulation_steps} does not divide batch_size {self.batch_size}"
            )
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs {self.warmup_epochs} is not below epochs {self.epochs}")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class Cell(Strict):
    """One point of a study's matrix, fully resolved: what one run trains."""

    framework: Framework
    dataset: DatasetName
    model: ModelName
    precision: Precision
    seed: Seed
    variant: Name | None = None
    settings: Settings

    @property
    def name(self) -> str:
        """The run's name, which is also its folder's."""
        name = f"{self.framework}_{self.dataset}_{self.model}_{self.precision}_seed{self.seed}"
        return f"{name}-{self.variant}" if self.variant else name


class Arm(NamedTuple):
    """One step on the way from native to aligned, or back: the switches that both frameworks have aligned there."""

    name: str
    aligned: tuple[Switch, ...]


class Matrix(Strict):
    """A study as its YAML file states it, before the settings are resolved.

    `causes` are groups of switches. A study that has them attributes the gap between the frameworks: it trains every
    pair natively, with one cause after another aligned, and back from fully aligned with one after another native.
    """

    title: str
    description: str
    frameworks: Annotated[tuple[Framework, ...], Field(min_length=1)]
    datasets: Annotated[tuple[DatasetName, ...], Field(min_length=1)]
    models: Annotated[tuple[ModelName, ...], Field(min_length=1)]
    precisions: Annotated[tuple[Precision, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    variant: Name | None = None
    settings: dict[str, Any] = {}
    gates: dict[DatasetName, Share] = {}
    causes: dict[Name, Annotated[tuple[Switch, ...], Field(min_length=1)]] = {}
    chapters: tuple[ChapterName, ...] = Field(default_factory=lambda content: _chapters(content["causes"]))

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for axis in ("frameworks", "datasets", "models", "precisions", "seeds"):
            values = getattr(self, axis)
            if len(set(values)) < len(values):
                raise ValueError(f"{axis} names a value twice: {', '.join(map(str, values))}")
        if self.settings and not self.variant:
            raise ValueError("settings depart from params/train.yaml, so the study needs a `variant` to name them")
        if self.variant and not self.settings:
            raise ValueError(f"variant {self.variant!r} names no departure: `settings` is empty")
        if unknown := set(self.gates) - set(self.datasets):
            names = ", ".join(sorted(unknown))
            raise ValueError(f"gates: the study has no dataset {names}; choose from: {', '.join(self.datasets)}")
        if self.causes:
            self._agree_on_causes()
        elif "33_attribution" in self.chapters:
            raise ValueError("chapters: 33_attribution needs `causes`")
        return self

    def _agree_on_causes(self) -> None:
        switches = [switch for cause in self.causes.values() for switch in cause]
        if len(set(switches)) < len(switches):
            raise ValueError("causes name a switch twice; each belongs to one cause")
        if self.settings.get("pairing") != "shared":
            raise ValueError("causes are told from chance by pairs that are pairs: set `pairing: shared` in `settings`")
        if self.gates:
            raise ValueError("with `causes` there is no chapter on gates: leave `gates` out")
        if "align" in self.settings:
            raise ValueError("settings.align is what `causes` vary: leave it out")
        if not self.variant:
            raise ValueError("causes depart from params/train.yaml, so the study needs a `variant` to name them")
        if set(self.frameworks) != {"keras", "pytorch"}:
            raise ValueError("causes explain the gap between the frameworks: both are needed")
        if wrong := set(self.chapters) - set(ATTRIBUTION):
            raise ValueError(f"with `causes`, chapters can only be {', '.join(ATTRIBUTION)}; not {', '.join(wrong)}")

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The steps of an attribution: native, aligned up to each cause, and then only beyond each; else there is none.

        The last cause's "up to" is fully aligned, and its "beyond" native again.
        """
        if not self.causes:
            return ()
        names, groups = zip(*self.causes.items(), strict=True)
        flat = [tuple(itertools.chain(*part)) for part in (groups[:step] for step in range(len(groups) + 1))]
        rest = [tuple(itertools.chain(*groups[step:])) for step in range(1, len(groups))]
        forth = [Arm("native", ()), *(Arm(f"upto-{name}", part) for name, part in zip(names, flat[1:], strict=True))]
        return (*forth, *(Arm(f"beyond-{name}", part) for name, part in zip(names[:-1], rest, strict=True)))


class Study(Matrix):
    """An experiment: a named matrix with its cells."""

    name: str
    defaults: dict[DatasetName, Settings]

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell of the matrix: datasets, models, precisions, seeds, arms, and innermost the frameworks of a pair.

        Where two arms are the same thing for a framework, because what they differ in is the other's to change, its
        cell is the same, and is named after the first of them.
        """
        return tuple(dict.fromkeys(cell for _, cells in self.pairs for cell in cells))

    @cached_property
    def pairs(self) -> tuple[tuple[Arm | None, tuple[Cell, ...]], ...]:
        """Every arm at every point of the matrix, with its cells, one a framework."""
        axes = itertools.product(self.datasets, self.models, self.precisions, self.seeds, self.arms or (None,))
        return tuple((arm, tuple(self._pair(*point, arm))) for *point, arm in axes)

    def _pair(
        self, dataset: DatasetName, model: ModelName, precision: Precision, seed: int, arm: Arm | None
    ) -> Iterator[Cell]:
        for framework in self.frameworks:
            parts = self._parts(framework, model, self.defaults[dataset], arm)
            yield Cell(framework=framework, dataset=dataset, model=model, precision=precision, seed=seed, **parts)

    def _parts(self, framework: Framework, model: ModelName, settings: Settings, arm: Arm | None) -> dict[str, Any]:
        """Return a cell's variant and settings, in an attribution those of its arm."""
        if arm is None:
            return {"variant": self.variant, "settings": settings}
        changes = {one: effective(framework, model, one.aligned, settings.reference) for one in self.arms}
        first = next(one for one in self.arms if changes[one] == changes[arm])
        variant = f"{self.variant}-{first.name}"
        return {"variant": variant, "settings": settings.model_copy(update={"align": changes[arm]})}

    def cell(self, name: str) -> Cell:
        """Return the cell of that run name; `ParameterError` lists the names where there is none."""
        for cell in self.cells:
            if cell.name == name:
                return cell
        names = "\n  ".join(cell.name for cell in self.cells)
        raise ParameterError(f"study {self.name!r} has no run {name!r}; its runs are:\n  {names}")


def _chapters(causes: dict[str, tuple[Switch, ...]]) -> tuple[ChapterName, ...]:
    return ATTRIBUTION if causes else COMPARISON


def study_names() -> list[str]:
    """Return the names of all studies: the stems of the files in `params/studies/`."""
    return sorted(path.stem for path in paths.STUDIES.glob("*.yaml"))


def load_study(name: str) -> Study:
    """Load one study and resolve its cells; every error names the file, the key and the choices.

    All study files are read, because two that give one run name different settings contradict each other. Another file
    that cannot be read, such as one that somebody is writing, is left out of that comparison.
    """
    if name not in study_names():
        raise ParameterError(f"no study {name!r} in params/studies; choose from: {', '.join(study_names())}")
    study = _read_study(name)
    _refuse_contradictions([study, *_others(name)])
    return study


def _others(name: str) -> Iterator[Study]:
    for other in study_names():
        if other != name:
            with suppress(ParameterError):
                yield _read_study(other)


def _read_study(name: str) -> Study:
    path = paths.STUDIES / f"{name}.yaml"
    matrix = _validated(Matrix, _read_yaml(path), path)
    resolved = {dataset: _settings(dataset, matrix.settings, path) for dataset in matrix.datasets}
    return Study(name=name, defaults=resolved, **dict(matrix))


def _settings(dataset: str, departures: dict[str, Any], departing: Path) -> Settings:
    """Resolve one dataset's settings: the common ones, the dataset's own, then the study's departures."""
    path = paths.PARAMS / "train.yaml"
    train = _read_yaml(path)
    common, every = train.get("common"), train.get("datasets")
    own = every.get(dataset) if isinstance(every, dict) else None
    if set(train) != {"common", "datasets"} or not isinstance(common, dict) or not isinstance(own, dict):
        raise ParameterError(
            f"{path.name}: needs the keys `common` and `datasets`, with settings in each, and {dataset!r} in `datasets`"
        )
    base = _validated(Settings, common | own, path)
    return _validated(Settings, base.model_dump() | departures, departing) if departures else base


def _refuse_contradictions(studies: Iterable[Study]) -> None:
    seen: dict[str, tuple[str, Cell]] = {}
    for study in studies:
        for cell in study.cells:
            other, first = seen.setdefault(cell.name, (study.name, cell))
            if first != cell:
                raise ParameterError(
                    f"studies {other!r} and {study.name!r} give the run {cell.name} different settings: "
                    "name the departure of one of them with another `variant`"
                )


class _UniqueKeys(yaml.SafeLoader):
    """A loader that refuses a key that stands twice in one mapping; PyYAML would take the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: list[Any] = []
        for name, _ in node.value:
            if name.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(name, deep=True)
            if key in keys:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", name.start_mark)
            keys.append(key)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)
    except OSError as error:
        raise ParameterError(f"{path.relative_to(paths.ROOT)} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ParameterError(f"{path.relative_to(paths.ROOT)} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise ParameterError(f"{path.relative_to(paths.ROOT)} must hold keys and values")
    return content


def _validated(model: type[M], content: dict[str, Any], path: Path) -> M:
    """Validate through JSON, where a list may become a tuple and everything else stays as strict as it is."""
    try:
        return model.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        problems = "\n  ".join(_explain(problem, model) for problem in error.errors())
        raise ParameterError(f"{path.relative_to(paths.ROOT)}:\n  {problems}") from None
    except (TypeError, ValueError) as error:  # a key that is no text, or an alias that refers to itself
        raise ParameterError(f"{path.relative_to(paths.ROOT)}: {error}") from None


def _explain(problem: Any, model: type[Strict]) -> str:
    key = ".".join(str(part) for part in problem["loc"]) or "the whole"
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key; choose from: {', '.join(model.model_fields)}"
    given = f" (given: {problem['input']!r})" if problem["loc"] and problem["type"] != "missing" else ""
    return f"{key}: {problem['msg']}{given}"
