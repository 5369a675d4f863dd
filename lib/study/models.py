"""What both frameworks' registries of models have in common."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from lib.errors import ParameterError

SIZES = (32, 64)
"""The heights and widths, in pixels, that the stems are made for."""

Model = TypeVar("Model")
Builder = Callable[..., Model]
"""Takes the image size and the number of classes; Keras' builders also take whose conventions to follow."""


def choose(models: Mapping[str, Builder[Model]], model: str, size: int) -> Builder[Model]:
    """Return the builder of a model for images of `size` x `size` pixels.

    Raises:
        ParameterError: the model or the size is unknown.
    """
    if model not in models:
        raise ParameterError(f"model {model!r} is unknown; choose one of {', '.join(models)}")
    if size not in SIZES:
        raise ParameterError(f"image size {size!r} is unknown; choose one of {', '.join(map(str, SIZES))}")
    return models[model]
