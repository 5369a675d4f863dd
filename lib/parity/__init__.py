"""The parity ladder: the two implementations side by side, with one rung for each property that should be equal.

A rung is a function that returns a tidy table with a row for each comparison; its column `passed` holds the verdicts.
The limits are constants beside the rungs, with their reasons. Only this room and `bench` import both frameworks.
"""

import lib.keras
import lib.pytorch  # noqa: F401  (both before TensorFlow and torchvision, whose imports they prepare)
from lib.parity.weights import transplant

__all__ = ["transplant"]
