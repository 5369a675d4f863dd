"""Networks of Keras Applications, built from scratch and built again with some of their layers changed."""

from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Any

import keras
from keras import layers

from lib.keras.normalization import BatchNorm
from lib.study.conventions import Conventions
from lib.study.twins import Twin

Edits = defaultdict[str, dict[str, Any]]
"""Changed settings of layers, by the layer's name."""


def from_scratch(
    application: Callable[..., keras.Model], shape: tuple[int, int, int], classes: int, **options: Any
) -> keras.Model:
    """Build a network of Keras Applications without pretrained weights and without a softmax."""
    return application(input_shape=shape, classes=classes, weights=None, classifier_activation=None, **options)


def constants(model: keras.Model, twin: Twin, conventions: Conventions) -> Edits:
    """Return the edits for the constants of batch normalisation; there are none where these are Keras' own."""
    known = twin.batch_norm
    own = known["keras"]
    followed = own._replace(
        epsilon=known[conventions["bn_eps"]].epsilon, momentum=known[conventions["bn_momentum"]].momentum
    )
    norms = of_kind(model, BatchNorm) if followed != own else []
    return Edits(dict, {layer.name: followed._asdict() for layer in norms})


def of_kind(model: keras.Model, kind: type[layers.Layer]) -> list[layers.Layer]:
    """Return the layers of a kind."""
    return [layer for layer in model.layers if isinstance(layer, kind)]


def rebuilt(
    model: keras.Model,
    edits: Edits,
    norm_kind: type[BatchNorm],
    dropped: Collection[str] = (),
    padded: Collection[str] = (),
) -> keras.Model:
    """Build `model` again with new weights and some of its layers, by name, changed.

    Args:
        model: the network to build again.
        edits: settings of layers that replace theirs.
        norm_kind: the kind of every batch normalisation.
        dropped: layers that are left out.
        padded: 3x3 convolutions that get one pixel of padding on every side in place of their own.
    """
    for name in padded:
        edits[name] |= {"padding": "valid"}

    def again(layer: layers.Layer) -> layers.Layer:
        kind = norm_kind if isinstance(layer, BatchNorm) else type(layer)
        return edited(layer, edits, kind)

    def call(layer: layers.Layer, *args: Any, **kwargs: Any) -> keras.KerasTensor:
        if layer.name in dropped:
            return args[0]
        if layer.name in padded:
            return layer(layers.ZeroPadding2D(1, name=f"{layer.name}_pad")(args[0]))
        return layer(*args, **kwargs)

    return keras.models.clone_model(model, clone_function=again, call_function=call)


def edited(layer: layers.Layer, edits: Edits, kind: type[layers.Layer]) -> layers.Layer:
    """Return a new layer of a kind with the settings of `layer` and its edits."""
    return kind.from_config(layer.get_config() | edits.get(layer.name, {}))
