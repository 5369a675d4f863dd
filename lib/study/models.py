"""The registry of models, one row each; it can be read without a framework."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from lib.errors import ParameterError
from lib.study.conventions import Framework
from lib.study.networks import cifar_resnet, convnext, eca, ghost, mobilenet, pooled, resnest, resnet
from lib.study.networks.stochastic_depth import StochasticDepth
from lib.study.strict import Strict
from lib.study.twins import Twin

SMALL = (32, 64)
"""The image sizes, in pixels, for which the libraries' networks have a stem here."""


class Family(NamedTuple):
    """The title of networks of one kind, and where they are from."""

    title: str
    source: str


FAMILIES = {
    "cifar_resnet": Family("ResNet for CIFAR", "He et al. 2016"),
    "eca": Family("ECA-Net", "Wang et al. 2020"),
    "ghost": Family("GhostNet", "Han et al. 2020"),
    "convnext": Family("ConvNeXt", "Liu et al. 2022"),
    "improved": Family("ConvNeXt", "Liu et al. 2022"),
    "mscan": Family("SegNeXt", "Guo et al. 2022"),
    "mixer": Family("MLP-Mixer", "Tolstikhin et al. 2021"),
    "csp": Family("CSPNet", "Wang et al. 2020"),
    "resnest": Family("ResNeSt", "Zhang et al. 2020"),
    "coatnet": Family("CoAtNet", "Dai et al. 2021"),
    "hornet": Family("HorNet", "Rao et al. 2022"),
    "mobilenet": Family("MobileNet", "Sandler et al. 2018"),
    "resnet": Family("ResNet", "He et al. 2016"),
    "pooled": Family("max-pooled", "Page 2019; Simonyan and Zisserman 2015"),
}
"""By the name of a model's `family`; the first ten titles are those of the zoo. A family without one has its name."""


@dataclass(frozen=True)
class Published:
    """A row of the published table of the zoo: top-1 accuracy on CIFAR-100 in percent, and millions of parameters."""

    accuracy: float | None = None
    parameters: float | None = None


class Note(NamedTuple):
    """Why a network has another size than the published one, and its own `parameters`, for 32x32x3 and 100 classes."""

    parameters: int
    why: str


@dataclass(frozen=True)
class Model:
    """One network by name.

    `family` names the file of its builder in `lib/pytorch/networks/` and, for a network with a `twin`, in
    `lib/keras/networks/`. `arguments` are the builder's keywords for this member of the family; `options` validates the
    keywords that a study may add as `network`. `sizes` are the accepted heights and widths in pixels (None: any).
    `recipe` is an entry of `params/train.yaml` that the model recommends. `channels_last`: its activations have their
    channels in the last dimension, so that its layers cannot be measured. `published` is the network's row in the
    table that the study `zoo` answers.
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
    note: Note | None = None

    @property
    def kind(self) -> Family:
        """The title of the model's family, and where it is from."""
        return FAMILIES.get(self.family, Family(self.family, ""))

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


BENCHMARK = (
    Model("mobilenetv2", "mobilenet", twin=mobilenet.TWIN, sizes=SMALL),
    Model("resnet50", "resnet", twin=resnet.TWIN, options=resnet.Options, sizes=(28, *SMALL)),
    Model("resnet20", "cifar_resnet", {"depth": 20}, twin=cifar_resnet.TWIN, options=cifar_resnet.Options),
)
"""The networks that both frameworks have, but for ConvNeXt-Tiny, which stands in the zoo."""

DEPTH = (
    Model("resnet56", "cifar_resnet", {"depth": 56}, options=cifar_resnet.Options),
    Model("plain20", "cifar_resnet", {"depth": 20, "skip": False}, options=cifar_resnet.Plain),
    Model("plain56", "cifar_resnet", {"depth": 56, "skip": False}, options=cifar_resnet.Plain),
)
"""The networks of the study of degradation, beside `resnet20`."""

FASHION = (
    Model("resnet9", "pooled", {"plan": "resnet9"}, options=pooled.Residual),
    Model("vgg11", "pooled", {"plan": "vgg11"}, options=pooled.Options),
    Model("resnet18", "resnet", {"depth": 18}, options=resnet.Options, sizes=(28, *SMALL)),
)
"""The networks of the studies of Fashion-MNIST, beside `resnet50`."""


def _cifar(name: str, depth: int, accuracy: float, parameters: float) -> Model:
    options, published = cifar_resnet.Options, Published(accuracy, parameters)
    return Model(name, "cifar_resnet", {"depth": depth}, options=options, recipe="residual", published=published)


def _eca(name: str, depth: int, kernel: int | str, accuracy: float, parameters: float | None = None) -> Model:
    arguments, published = {"depth": depth, "kernel": kernel}, Published(accuracy, parameters)
    return Model(name, "eca", arguments, options=eca.Options, recipe="residual", published=published)


def _ghost(name: str, depth: int, published: Published, note: Note | None = None) -> Model:
    arguments, options = {"depth": depth}, ghost.Options
    return Model(name, "ghost", arguments, options=options, recipe="residual", published=published, note=note)


def _small(
    name: str,
    family: str,
    recipe: str,
    published: Published,
    note: Note | None = None,
    channels_last: bool = False,
    **arguments: Any,
) -> Model:
    """Return the row of a network for 32x32 pixels whose blocks can be skipped at random."""
    facts = {"sizes": (32,), "channels_last": channels_last, "published": published, "note": note}
    return Model(name, family, arguments, options=StochasticDepth, recipe=recipe, **facts)


ZOO = (
    _cifar("resnet_20", 20, 66.50, 0.28),
    _cifar("resnet_32", 32, 69.50, 0.47),
    _cifar("resnet_56", 56, 72.50, 0.86),
    _eca("eca_resnet_20", 20, "adaptive", 68.00, 0.28),
    _eca("eca_resnet_32", 32, "adaptive", 71.00, 0.47),
    _eca("ecanet20_k3", 20, 3, 66.84),
    _eca("ecanet20_k5", 20, 5, 65.99),
    _eca("ecanet20_k7", 20, 7, 66.80),
    _eca("ecanet20_k9", 20, 9, 67.05),
    _eca("ecanet20_adaptive", 20, "adaptive", 68.08),
    Model("resnet20_no_eca", "eca", {"depth": 20, "place": "none"}, recipe="residual", published=Published(66.50)),
    _ghost(
        "ghost_resnet_20",
        20,
        Published(35.16, 0.15),
        Note(
            144_964,
            "the published count, in two digits, is that of 3x3 primary convolutions; with 1x1 ones it would be 0.026 "
            "million, so these are not why the published network reaches 35 %",
        ),
    ),
    _ghost("ghost_resnet_32", 32, Published(43.69, 0.24)),
    Model("ghostnet_100", "ghost", sizes=(32,), recipe="convolution", published=Published(56.94, 4.03)),
    Model(
        "convnext_tiny",
        "convnext",
        twin=convnext.TWIN,
        options=convnext.Options,
        sizes=SMALL,
        channels_last=True,
        published=Published(59.09, 27.90),
    ),
    Model(
        "improved_resnet20_convnext",
        "improved",
        options=StochasticDepth,
        recipe="small-modern",
        published=Published(72.33, 0.175),
        note=Note(178_516, "3x3 convolutions halve the map; 2x2, as in ConvNeXt, would be 0.166 million"),
    ),
    _small(
        "segnext_mscan_tiny",
        "mscan",
        "small-modern",
        Published(60.91, 0.85),
        widths=(16, 32, 80, 128),
        depths=(3, 3, 5, 1),
    ),
    _small(
        "mlp_mixer_tiny",
        "mixer",
        "mixer",
        Published(42.47, 3.64),
        Note(3_738_148, "96 hidden units mix tokens, half the channels as in the paper; the published count fits 32"),
        channels_last=True,
        width=192,
        blocks=12,
    ),
    _small(
        "mlp_mixer_b16",
        "mixer",
        "mixer",
        Published(60.93, 59.19),
        Note(57_417_316, "64 tokens of 4x4 pixels instead of 196 of 16x16"),
        channels_last=True,
        width=768,
        blocks=12,
    ),
    _small("cspresnet50", "csp", "convolution", Published(50.22, 20.69)),
    Model(
        "resnest50d",
        "resnest",
        options=resnest.Options,
        sizes=(32,),
        recipe="convolution",
        published=Published(57.20, 25.64),
    ),
    _small(
        "coatnet_0",
        "coatnet",
        "attention",
        Published(66.61, 20.04),
        Note(
            24_308_720, "timm's CoAtNet-0, with the paper's widths and depths; the published implementation is unknown"
        ),
    ),
    _small("coatnet_0_custom_enhanced", "coatnet", "attention", Published(), selective=True),
    _small("coatnet_cifar_opt", "coatnet", "attention", Published(58.68, 27.01), configuration="coatnet_0_rw"),
    _small(
        "coatnet_cifar_opt_large_stem",
        "coatnet",
        "attention",
        Published(55.96, 27.01),
        configuration="coatnet_0_rw",
        stem_kernel=7,
    ),
    _small("hornet_tiny", "hornet", "modern", Published(60.00)),
)
"""The zoo, under the names of its published table and in its order. `convnext_tiny` gets its recipe from a study."""

MODELS = {model.name: model for model in (*BENCHMARK, *DEPTH, *FASHION, *ZOO)}
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


def identity(name: str, options: Mapping[str, Any] = MappingProxyType({})) -> tuple[str, tuple[tuple[str, Any], ...]]:
    """Return the family and all keywords of a model with options, by which one network under two names is known.

    Raises:
        ParameterError: there is no such model.
    """
    model = find(name)
    keywords = model.options().model_dump() | dict(model.arguments) | dict(options)
    family, keywords = eca.simplest(keywords) if model.family == "eca" else (model.family, keywords)
    return family, tuple(sorted(keywords.items()))


def twins() -> dict[str, Twin]:
    """Return the `Twin` of every model that both frameworks have, by the model's name."""
    return {name: model.twin for name, model in MODELS.items() if model.twin}
