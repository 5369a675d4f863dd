"""ResNeSt-50: a ResNet with split attention in its blocks."""

from typing import Literal

from lib.study.strict import Strict


class Options(Strict):
    """`stem`: for small images, or the original one for 224 pixels, which leaves a last feature map of 1x1 at 32x32.

    There is no `drop_path`: timm's block (1.0.31) drops its shortcut's input where it should drop the residual, and
    nothing at all where the shortcut is the input itself.
    """

    stem: Literal["small", "imagenet"] = "small"
