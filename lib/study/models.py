"""The registry of models, one row each; it can be read without a framework."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lib.errors import ParameterError
from lib.study.conventions import Framework
from lib.study.networks import cifar_resnet, convnext, mobilenet, resnet
from lib.study.strict import Strict
from lib.study.twins import Twin

SMALL = (32, 64)
"""The image sizes, in pixels, for which the libraries' networks have a stem here."""


@dataclass(frozen=True)
class Model:
    """One network by name.

    `family` names the file of its builder in `lib/pytorch/networks/` and, for a network with a `twin`, in
    `lib/keras/networks/`. `arguments` are the builder's keywords for this member of the family; `options` validates the
    keywords that a study may add as `network`. `sizes` are the accepted heights and widths in pixels (None: any).
    `recipe` is an entry of `params/train.yaml` that the model recommends.
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

    def require_size(self, shape: tuple[int, int, int]) -> None:
        """Refuse images (height, width, channels) of a size that the network does not take.

        Raises:
            ParameterError: the message lists the sizes.
        """
        height, width, _ = shape
        if self.sizes and (height != width or height not in self.sizes):
            sizes = ", ".join(f"{size}x{size}" for size in self.sizes)
            raise ParameterError(f"{self.name} takes no images of {height}x{width} pixels; choose from: {sizes}")


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
    """Return the row of a model by its name; `ParameterError` lists the names where there is none."""
    if name not in MODELS:
        raise ParameterError(f"model {name!r} is unknown; choose from: {', '.join(MODELS)}")
    return MODELS[name]


def twins() -> dict[str, Twin]:
    """Return the `Twin` of every model that both frameworks have, by the model's name."""
    return {name: model.twin for name, model in MODELS.items() if model.twin}
