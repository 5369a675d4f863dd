"""A network made to follow Keras' conventions, switch by switch.

Each function edits a network in place, if it has such layers. The names and the order of the state do not change.
"""

from collections.abc import Callable, Mapping

from torch import nn
from torchvision import ops

from lib.pytorch.normalization import BiasedBatchNorm2d
from lib.study.conventions import Conventions, Switch
from lib.study.twins import Twin

Edit = Callable[[nn.Module], None]


def align(network: nn.Module, twin: Twin, conventions: Conventions, own: Mapping[Switch, Edit]) -> None:
    """Make a network follow Keras in every switch where the conventions say so.

    `own` are the edits of the network's family. The switches without an edit concern first weights and the optimizer.
    """
    if twin.batch_norm:
        _set_batch_norm_constants(network, twin, conventions)
    for switch, edit in {**EDITS, **own}.items():
        if conventions[switch] == "keras":
            edit(network)


def layers(network: nn.Module, kind: type[nn.Module]) -> dict[str, nn.Module]:
    """Return the layers of a kind, by their names in the network."""
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, kind)}


def _set_batch_norm_constants(network: nn.Module, twin: Twin, conventions: Conventions) -> None:
    """Set epsilon and momentum; PyTorch's momentum is the share of the new value, Keras' that of the old one."""
    constants = twin.batch_norm["keras"]
    for norm in layers(network, nn.BatchNorm2d).values():
        if conventions["bn_eps"] == "keras":
            norm.eps = constants.epsilon
        if conventions["bn_momentum"] == "keras":
            norm.momentum = 1 - constants.momentum


def _bias_running_variances(network: nn.Module) -> None:
    for name, norm in layers(network, nn.BatchNorm2d).items():
        network.set_submodule(name, BiasedBatchNorm2d(norm.num_features, norm.eps, norm.momentum))


def _drop_no_features(network: nn.Module) -> None:
    for dropout in layers(network, nn.Dropout).values():
        dropout.p = 0.0


def _drop_no_blocks(network: nn.Module) -> None:
    for depth in layers(network, ops.StochasticDepth).values():
        depth.p = 0.0


EDITS: dict[Switch, Edit] = {
    "bn_variance": _bias_running_variances,
    "dropout": _drop_no_features,
    "stochastic_depth": _drop_no_blocks,
}
"""The edits for any network; the constants of batch normalisation come from its twin."""
