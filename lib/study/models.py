"""The registry of models: one row each. Planning reads it without importing a framework."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lib.errors import ParameterError
from lib.study.conventions import Framework
from lib.study.networks import cifar_resnet, convnext, mobilenet, resnet
from lib.study.strict import Strict
from lib.study.twins import Twin

SMALL = (32, 64)
"""The heights and widths, in pixels, for which the stems of the library's networks are changed."""


@dataclass(frozen=True)
class Model:
    """One network by name.

    `family` names the file of its builder in `lib/pytorch/networks/`, and in `lib/keras/networks/` if it has a twin
    there. `arguments` are what the builder needs to make this member of the family, `options` what a study's `network`
    settings may change. `sizes` are the image sizes it takes, in pixels (None: any), and `recipe` the entry of
    `params/train.yaml` that it recommends.
    """

    name: str
    family: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    twin: Twin | None = None
    options: type[Strict] = Strict
    sizes: tuple[int, ...] | None = None
    recipe: str | None = None

    @property
    def frameworks(self) -> tuple[Framework, ...]:
        """The frameworks that have this network."""
        return ("keras", "pytorch") if self.twin else ("pytorch",)


MODELS = {
    model.name: model
    for model in (
        Model("mobilenetv2", "mobilenet", twin=mobilenet.TWIN, sizes=SMALL),
        Model("resnet50", "resnet", twin=resnet.TWIN, sizes=SMALL),
        Model("convnext_tiny", "convnext", twin=convnext.TWIN, sizes=SMALL),
        Model("resnet20", "cifar_resnet", {"depth": 20}, twin=cifar_resnet.TWIN, options=cifar_resnet.Options),
    )
}
"""Every model by name."""


def find(name: str) -> Model:
    """Return a model's row.

    Raises:
        ParameterError: there is none of that name.
    """
    if name not in MODELS:
        raise ParameterError(f"model {name!r} is unknown; choose from: {', '.join(MODELS)}")
    return MODELS[name]


def twins() -> dict[str, Twin]:
    """Return the twin facts of every model that both frameworks have, by the model's name."""
    return {name: model.twin for name, model in MODELS.items() if model.twin}
