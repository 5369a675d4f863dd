"""Settings from layers: common, dataset, recipe of the model or the study, study, arm; each overrides those before."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lib import paths
from lib.errors import ParameterError
from lib.study.datasets import DATASETS
from lib.study.models import Model
from lib.study.nested import flat, merged
from lib.study.settings import Settings
from lib.study.validation import shown, validated

DEFAULT = "default"
"""The layer of a setting that no file names."""


class Layer(NamedTuple):
    """Nested settings with a name for messages and the file that they are from."""

    name: str
    file: Path
    settings: Mapping[str, Any]


def train_layers(train: dict[str, Any], study: Path, dataset: str, model: Model, recipe: str | None) -> list[Layer]:
    """Return the layers of `params/train.yaml`: common, the dataset's, and the recipe that the study needs.

    Raises:
        ParameterError: the file lacks a part that is needed.
    """
    file = paths.PARAMS / "train.yaml"
    parts = {key: train.get(key) for key in ("common", "datasets", "recipes")}
    if set(train) != set(parts) or not all(isinstance(part, dict) for part in parts.values()):
        raise ParameterError(f"{file.name}: needs the keys {', '.join(parts)}, with settings in each, and no others")
    if unknown := set(parts["datasets"]) - set(DATASETS):
        raise ParameterError(f"{file.name}: no dataset {min(unknown)!r}; choose from: {', '.join(DATASETS)}")
    layers = [Layer("common", file, parts["common"])]
    named = {f"dataset {dataset}": parts["datasets"].get(dataset, {})}
    if recipe and recipe not in parts["recipes"]:
        choices = ", ".join(parts["recipes"]) or "none"
        raise ParameterError(
            f"{shown(study)}: no recipe {recipe!r} in {file.name}, and {model.name} needs it; choose from: {choices}"
        )
    if recipe:
        named[f"recipe {recipe}"] = parts["recipes"][recipe]
    for name, settings in named.items():
        if not isinstance(settings, dict):
            raise ParameterError(f"{file.name}: {name} holds no settings, and {model.name} on {dataset} needs them")
        layers.append(Layer(name, file, settings))
    return layers


def resolve(layers: list[Layer], model: Model) -> Settings:
    """Merge the layers and validate the result, so that an error names the layer that caused it.

    In the result, `network` has only the departures from the model's own options.

    Raises:
        ParameterError: a key is unknown, or a value of the wrong type or contradictory.
    """
    content: dict[str, Any] = {}
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        content = merged(content, dict(layer.settings))
        if following is None or following.file != layer.file or layer.name == "study":
            settings = validated(Settings, content, layer.file, layer.name)
    return settings.model_copy(update={"network": _departures(layers, model, settings.network)})


def _departures(layers: list[Layer], model: Model, network: dict[str, Any]) -> dict[str, Any]:
    """Return what of `network` differs from the model's own options; an error names the last layer that states it."""
    own = {name: value for name, value in model.arguments.items() if name in model.options.model_fields}
    layer = next((one for one in reversed(layers) if "network" in one.settings), layers[-1])
    stated = validated(model.options, own | network, layer.file, f"{layer.name}, network of {model.name}").model_dump()
    usual = model.options(**own).model_dump()
    return {name: value for name, value in stated.items() if value != usual[name]}


def origins(layers: list[Layer], settings: Settings) -> dict[str, tuple[Any, str]]:
    """Return every setting by its dotted name, with its value and the name of its layer."""
    content: dict[str, Any] = {}
    for layer in layers:
        content = merged(content, dict(layer.settings))
    stated = [(layer.name, flat(dict(layer.settings))) for layer in reversed(layers)]
    named = flat(content)
    return {
        key: (value, next((name for name, keys in stated if key in keys), DEFAULT) if key in named else DEFAULT)
        for key, value in flat(settings.model_dump(mode="json")).items()
    }
