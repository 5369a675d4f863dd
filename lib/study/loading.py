"""Loading of studies by name: their files are read, checked strictly and resolved before anything runs."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from lib import paths
from lib.errors import ParameterError
from lib.study.cells import Cell, same_settings
from lib.study.conventions import effective
from lib.study.datasets import DATASETS
from lib.study.margins import margins
from lib.study.models import Model, find
from lib.study.resolution import Layer, resolve, train_layers
from lib.study.settings import Settings
from lib.study.study import BASE, Entry, Matrix, Study
from lib.study.validation import parsed, read_file, shown, validated


def study_names() -> list[str]:
    """Return the names of all studies: the stems of the files in `params/studies/`."""
    return sorted(path.stem for path in paths.STUDIES.glob("*.yaml"))


def load_study(name: str) -> Study:
    """Load one study and resolve its cells; every error names the file, the key and the choices.

    All study files are read, because two of them may give the same run name different settings, which is an error.
    Other files that cannot be read, such as one that is being edited, are ignored.

    Raises:
        ParameterError: there is no such study, or something in it is wrong.
    """
    if name not in study_names():
        raise ParameterError(f"no study {name!r} in params/studies; choose from: {', '.join(study_names())}")
    margins()  # what the runs will be judged by must be right before they start
    study = _read_study(name)
    _refuse_contradictions(study, (other for other in readable_studies() if other.name != name))
    return study


def every_study() -> list[Study]:
    """Load all studies, each by itself.

    Raises:
        ParameterError: one of them cannot be read.
    """
    return [_read_study(name) for name in study_names()]


def readable_studies() -> Iterator[Study]:
    """Yield every study whose file can be read, in the order of their names, without comparing them."""
    for name in study_names():
        with suppress(ParameterError):
            yield _read_study(name)


def layers(study: Study, dataset: str, model: str, arm: str) -> list[Layer]:
    """Return the layers of a study's settings, the lowest first."""
    train = paths.PARAMS / "train.yaml"
    return _layers(study, _file(study.name), parsed(read_file(train), train), dataset, find(model), arm)


def _file(name: str) -> Path:
    return paths.STUDIES / f"{name}.yaml"


def _read_study(name: str) -> Study:
    file, train = _file(name), paths.PARAMS / "train.yaml"
    return _resolved(name, file, read_file(file), train, read_file(train))


@cache
def _resolved(name: str, file: Path, content: bytes, train: Path, train_content: bytes) -> Study:
    """Resolve a study from the content of its two files; once, since every study is read to load any of them."""
    matrix = validated(Matrix, parsed(content, file), file)
    stated = {field: getattr(matrix, field) for field in Matrix.model_fields}
    return Study(name=name, entries=tuple(_entries(matrix, file, parsed(train_content, train))), **stated)


def _layers(matrix: Matrix, file: Path, train: dict[str, Any], dataset: str, model: Model, arm: str) -> list[Layer]:
    below = train_layers(train, file, dataset, model, matrix.recipe(model))
    return [*below, Layer("study", file, matrix.settings), Layer(f"arm {arm}", file, matrix.departures[arm])]


def _entries(matrix: Matrix, file: Path, train: dict[str, Any]) -> Iterator[Entry]:
    """Yield the entries: datasets, models, precisions, seeds, arms, and innermost the frameworks of a pair."""
    _refuse_impossible(matrix, file)
    resolved = {
        (dataset, name, arm): resolve(_layers(matrix, file, train, dataset, find(name), arm), find(name))
        for dataset, name, arm in product(matrix.datasets, matrix.models, matrix.departures)
    }
    for dataset, model, precision, seed, arm, framework in product(
        matrix.datasets, matrix.models, matrix.precisions, matrix.seeds, matrix.departures, matrix.frameworks
    ):
        settings = resolved[dataset, model, arm]
        named = arm if matrix.arms.get(arm) or arm != BASE else None
        if matrix.causes:
            named, settings = _shared_arm(matrix, framework, find(model), arm, settings)
        cell = Cell(
            framework=framework,
            dataset=dataset,
            model=model,
            precision=precision,
            seed=seed,
            variant=matrix.variant,
            arm=named,
            settings=settings,
        )
        _refuse_several_devices_in_keras(cell, file)
        _refuse_without_twin(cell, file)
        _refuse_to_measure(cell, file)
        yield Entry(arm=arm, cell=cell)


def _shared_arm(matrix: Matrix, framework: str, model: Model, arm: str, settings: Settings) -> tuple[str, Settings]:
    """Return the first arm with the same effect in a framework, and settings with the switches that have an effect."""
    changes = {
        one: effective(framework, model.twin.differences, switches, settings.pairing.reference)
        for one, switches in matrix.way.items()
    }
    first = next(one for one in changes if changes[one] == changes[arm])
    pairing = settings.pairing.model_copy(update={"align": changes[arm]})
    return first, settings.model_copy(update={"pairing": pairing})


def _refuse_impossible(matrix: Matrix, file: Path) -> None:
    """Refuse a model that a framework does not have or that does not take the images, before anything runs."""
    for name in matrix.models:
        model = find(name)
        if missing := [framework for framework in matrix.frameworks if framework not in model.frameworks]:
            raise ParameterError(
                f"{shown(file)}: {name} exists in {' and '.join(model.frameworks)} alone: leave {missing[0]} out of "
                "`frameworks`, or the model out of `models`"
            )
        for dataset, framework in product(matrix.datasets, matrix.frameworks):
            try:
                model.require_size(DATASETS[dataset].shape, framework)
            except ParameterError as problem:
                raise ParameterError(f"{shown(file)}, dataset {dataset}: {problem}") from None


def _refuse_without_twin(cell: Cell, file: Path) -> None:
    """Refuse a setting that Keras does not have in a Keras cell."""
    model = find(cell.model)
    if cell.framework == "keras" and (missing := [*cell.settings.without_twin(), *_network_without_twin(cell, model)]):
        arm = f", arm {cell.arm}" if cell.arm else ""
        raise ParameterError(
            f"{shown(file)}{arm}: Keras has no twin of {', '.join(missing)}: leave keras out of `frameworks`, or the "
            "setting out"
        )


def _refuse_several_devices_in_keras(cell: Cell, file: Path) -> None:
    """Refuse several devices in a Keras cell, with the reason.

    Source: Keras, `BatchNormalization`, whose `synchronized` is false unless set, and `keras.applications`, whose
    networks leave it so.
    """
    if cell.framework == "keras" and cell.settings.devices > 1:
        raise ParameterError(
            f"{shown(file)}: Keras trains on one device, not on devices: {cell.settings.devices}: under "
            "tf.distribute.MirroredStrategy its networks normalise each device's images by their own statistics, so "
            "the run would not be that of one device: leave keras out of `frameworks`, or `devices` out"
        )


def _refuse_to_measure(cell: Cell, file: Path) -> None:
    """Refuse to measure the layers of a network where that is not possible, on more images than val has, or never."""
    measured, epochs = cell.settings.measurements, cell.settings.epochs
    images, val = measured.layer_images, DATASETS[cell.dataset].val
    if images and find(cell.model).channels_last:
        raise ParameterError(f"{shown(file)}: the layers of {cell.model} cannot be measured: leave `layer_images` out")
    if images > val:
        raise ParameterError(f"{shown(file)}: layer_images {images} is above the {val} val images of {cell.dataset}")
    if "layers_every" in measured.model_fields_set and measured.layers_every > epochs:
        raise ParameterError(
            f"{shown(file)}: measurements.layers_every {measured.layers_every} is above epochs {epochs}: lower "
            "it, or leave it out"
        )


def _network_without_twin(cell: Cell, model: Model) -> list[str]:
    return [f"network.{k}: {v}" for k, v in cell.settings.network.items() if k in model.options.pytorch_only]


def _refuse_contradictions(study: Study, others: Iterable[Study]) -> None:
    cells = {cell.name: cell for cell in study.cells}
    for other in others:
        for cell in other.cells:
            if cell.name in cells and not same_settings(cells[cell.name], cell):
                raise ParameterError(
                    f"studies {study.name!r} and {other.name!r} give the run {cell.name} different settings: "
                    "name the departure of one of them with another `variant` or arm"
                )
