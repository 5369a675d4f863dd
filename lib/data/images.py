"""Encoded images such as JPEG and PNG, decoded to the channels of their dataset."""

import io

import numpy as np
from PIL import Image

from lib.errors import DataError

_GREY = ("1", "L")
_MODES = {1: "L", 3: "RGB"}


def decode(content: bytes, channels: int, where: str) -> np.ndarray:
    """Return an encoded image as uint8 (H, W, channels); a grey image in three channels has its channel copied.

    Raises:
        DataError: the image cannot be decoded, or is in colour and should have one channel; `where` names it.
    """
    try:
        image = Image.open(io.BytesIO(content))
        if channels == 1 and image.mode not in _GREY:
            raise DataError(f"{where} is an image of mode {image.mode}; its dataset has grey images of one channel")
        pixels = np.asarray(image.convert(_MODES[channels]))
    except (OSError, TypeError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{where} is no image that can be decoded ({error})") from error
    return pixels.reshape(*pixels.shape[:2], channels)
