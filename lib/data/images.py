"""Encoded images such as JPEG and PNG, decoded to the channels of their dataset."""

import io

import numpy as np
from PIL import Image

from lib.errors import DataError

_GREY = ("1", "L")
_MODES = {1: "L", 3: "RGB"}


def decode(content: bytes, shape: tuple[int, int, int], where: str) -> np.ndarray:
    """Return an encoded image as uint8 of this shape, (H, W, C); a grey image in three channels has its channel copied.

    Raises:
        DataError: the image cannot be decoded, has another size, or is in colour and should have one channel; `where`
            names it.
    """
    height, width, channels = shape
    try:
        image = Image.open(io.BytesIO(content))
        if channels == 1 and image.mode not in _GREY:
            raise DataError(f"{where} is an image of mode {image.mode}; its dataset has grey images of one channel")
        if image.size != (width, height):
            raise DataError(f"{where} has {image.height} x {image.width} pixels, not {height} x {width}")
        pixels = np.asarray(image.convert(_MODES[channels]))
    except (OSError, TypeError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{where} is no image that can be decoded ({error})") from error
    return pixels.reshape(shape)
