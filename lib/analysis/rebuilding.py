"""What one needs to build a study's networks again: layers, shortcuts, batch normalisation and first weights."""

from lib.analysis.contrasts import TITLES
from lib.study.models import Model, find
from lib.study.networks import cifar_resnet
from lib.study.study import Study
from lib.study.twins import BatchNorm, Initialisation, Law

CIFAR_BATCH_NORM = BatchNorm(epsilon=1e-5, momentum=0.9)
"""The constants of the networks for CIFAR, in both frameworks."""

_SHORTCUTS = {
    "A": "takes every second pixel and adds as many channels of zeros (A)",
    "B": "is a 1x1 convolution with stride 2 and batch normalisation (B)",
}
_LAWS = {
    "glorot uniform": "Glorot uniform",
    "he normal": "He normal on the fan-out",
    "fan-in uniform": "uniform within 1 / sqrt(fan-in), biases too",
}


def networks(study: Study) -> list[str]:
    """Return a sentence in Markdown for each network of the study's first arm, in the study's order."""
    options = {cell.model: cell.settings.network for cell in reversed(study.cells)}
    return [_network(find(model), options[model]) for model in study.models]


def _network(model: Model, options: dict) -> str:
    title = f"**{model.name}** ({model.kind.title}{f', {model.kind.source}' if model.kind.source else ''})"
    if model.family == "cifar_resnet":
        return f"{title}: {_cifar_resnet(**model.arguments | options)}"
    if model.twin is None:
        return f"{title}: as built in `lib/pytorch/networks/{model.family}.py`."
    norms, facts = model.twin.batch_norm or {}, []
    for one, name in TITLES.items():
        if norms:
            facts.append(f"batch normalisation with {_constants(norms[one])} in {name}")
        facts.append(f"first weights {_first_weights(model.twin.initialisation[one])} in {name}")
    sources = " and ".join(f"`{source}`" for source in model.twin.sources)
    return f"{title}: as built in {sources}; {'; '.join(facts)}."


def _cifar_resnet(depth: int, width: int = 16, skip: bool = True, shortcut: str = "A") -> str:
    count = cifar_resnet.blocks(depth)
    halving = f"where a stage halves the map, the shortcut {_SHORTCUTS[shortcut]}"
    shortcuts = halving if skip else "there are no shortcuts"
    return (
        f"a 3x3 convolution, three stages of {count} blocks with {width}, {2 * width} and {4 * width} channels, each "
        f"block two 3x3 convolutions, then the mean over the map and a linear layer; {shortcuts}. Convolutions have no "
        f"bias; batch normalisation with {_constants(CIFAR_BATCH_NORM)} follows each. First weights: "
        f"{_first_weights(cifar_resnet.TWIN.initialisation['pytorch'])}."
    )


def _constants(norm: BatchNorm) -> str:
    return f"epsilon {norm.epsilon:g} and momentum {norm.momentum:g} (the share of the old value)"


def _first_weights(found: Initialisation) -> str:
    return f"{_law(found.convolution)} (convolutions), {_law(found.linear)} (linear layers)"


def _law(law: Law) -> str:
    return _LAWS.get(law.kind, f"normal with standard deviation {law.std:g}")
