"""The registry of models, one row each; it can be read without a framework."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lib.errors import ParameterError
from lib.study.conventions import Framework
from lib.study.networks import cifar_resnet, convnext, csp, ghost, mixer, mobilenet, pooled, resnest, resnet
from lib.study.strict import Strict
from lib.study.twins import Twin

SMALL = (32, 64)
"""The image sizes, in pixels, for which the libraries' networks have a stem here."""


@dataclass(frozen=True)
class Published:
    """A row of the published table of the zoo: top-1 accuracy on CIFAR-100 in percent, and millions of parameters."""

    accuracy: float
    parameters: float | None = None


@dataclass(frozen=True)
class Model:
    """One network by name.

    `family` names the file of its builder in `lib/pytorch/networks/` and, for a network with a `twin`, in
    `lib/keras/networks/`. `arguments` are the builder's keywords for this member of the family; `options` validates the
    keywords that a study may add as `network`. `sizes` are the accepted heights and widths in pixels (None: any).
    `recipe` is an entry of `params/train.yaml` that the model recommends. `channels_last`: its activations have their
    channels in the last dimension, so that its layers cannot be measured. `published` is the network's row in the
    table that the study `zoo` answers; `note` says why ours has another size.
    """

    name: str
    family: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    twin: Twin | None = None
    options: type[Strict] = Strict
    sizes: tuple[int, ...] | None = None
    recipe: str | None = None
    channels_last: bool = False
    published: Published | None = None
    note: str = ""

    @property
    def frameworks(self) -> tuple[Framework, ...]:
        """The frameworks that have this network."""
        return ("keras", "pytorch") if self.twin else ("pytorch",)

    def require_size(self, shape: tuple[int, int, int], framework: Framework) -> None:
        """Refuse images (height, width, channels) of a size that a framework's network does not take.

        Raises:
            ParameterError: the message lists the sizes.
        """
        height, width, _ = shape
        sizes = (framework == "keras" and self.twin and self.twin.sizes) or self.sizes
        if sizes and (height != width or height not in sizes):
            choices = ", ".join(f"{size}x{size}" for size in sizes)
            raise ParameterError(
                f"{self.name} of {framework} takes no images of {height}x{width} pixels; choose from: {choices}"
            )


MODELS = {
    model.name: model
    for model in (
        Model("mobilenetv2", "mobilenet", twin=mobilenet.TWIN, sizes=SMALL),
        Model("resnet50", "resnet", twin=resnet.TWIN, options=resnet.Options, sizes=(28, *SMALL)),
        Model("convnext_tiny", "convnext", twin=convnext.TWIN, sizes=SMALL, channels_last=True),
        Model("resnet20", "cifar_resnet", {"depth": 20}, twin=cifar_resnet.TWIN, options=cifar_resnet.Options),
        Model("resnet56", "cifar_resnet", {"depth": 56}, options=cifar_resnet.Options),
        Model("plain20", "cifar_resnet", {"depth": 20, "skip": False}, options=cifar_resnet.Plain),
        Model("plain56", "cifar_resnet", {"depth": 56, "skip": False}, options=cifar_resnet.Plain),
        Model("resnet9", "pooled", {"plan": "resnet9"}, options=pooled.Residual),
        Model("vgg11", "pooled", {"plan": "vgg11"}, options=pooled.Options),
        Model("resnet18", "resnet", {"depth": 18}, options=resnet.Options, sizes=(28, *SMALL)),
        # The zoo, under the names of its published table: one row of `published` each.
        *(
            Model(f"resnet_{depth}", "cifar_resnet", {"depth": depth}, options=cifar_resnet.Options, published=row)
            for depth, row in {
                20: Published(66.50, 0.28),
                32: Published(69.50, 0.47),
                56: Published(72.50, 0.86),
            }.items()
        ),
        Model(
            "ghost_resnet_20",
            "ghost",
            {"depth": 20},
            options=ghost.Options,
            published=Published(35.16, 0.15),
            note="0.145 million; the published count has two digits",
        ),
        Model("ghost_resnet_32", "ghost", {"depth": 32}, options=ghost.Options, published=Published(43.69, 0.24)),
        Model("ghostnet_100", "ghost", sizes=(32,), published=Published(56.94, 4.03)),
        Model("cspresnet50", "csp", options=csp.Options, sizes=(32,), published=Published(50.22, 20.69)),
        Model("resnest50d", "resnest", options=resnest.Options, sizes=(32,), published=Published(57.20, 25.64)),
        Model(
            "mlp_mixer_tiny",
            "mixer",
            {"width": 192, "blocks": 12},
            options=mixer.Options,
            sizes=(32,),
            channels_last=True,
            published=Published(42.47, 3.64),
            note="96 hidden units mix tokens, half the channels as in the paper; the published count fits 32",
        ),
        Model(
            "mlp_mixer_b16",
            "mixer",
            {"width": 768, "blocks": 12},
            options=mixer.Options,
            sizes=(32,),
            channels_last=True,
            published=Published(60.93, 59.19),
            note="64 tokens of 4x4 pixels instead of 196 of 16x16",
        ),
    )
}
"""Every model by name, but for the other depths of the networks for CIFAR."""


def find(name: str) -> Model:
    """Return a model by its name: a row, or a `resnet` or `plain` network for CIFAR of another depth, such as plain44.

    Raises:
        ParameterError: there is no such model; the message lists the names.
    """
    if name in MODELS:
        return MODELS[name]
    choices = f"choose from: {', '.join(MODELS)}, or resnet and plain with another depth of 6n + 2"
    try:
        arguments = cifar_resnet.arguments(name)
    except ParameterError as problem:
        raise ParameterError(f"model {name!r} is unknown ({problem}); {choices}") from None
    if arguments is None:
        raise ParameterError(f"model {name!r} is unknown; {choices}")
    options = cifar_resnet.Plain if "skip" in arguments else cifar_resnet.Options
    return Model(name, "cifar_resnet", arguments, options=options)


def twins() -> dict[str, Twin]:
    """Return the `Twin` of every model that both frameworks have, by the model's name."""
    return {name: model.twin for name, model in MODELS.items() if model.twin}
