"""The parity ladder: the two implementations side by side, one rung for each thing that should be the same.

A rung is a function that returns a tidy table, one row a comparison, whose column `passed` says whether the row held.
What a rung allows is a constant beside it, with its reason. This is the only room where both frameworks meet.
"""

import lib.keras  # noqa: F401  (before TensorFlow, whose notes it keeps from the screen)
from lib.parity.weights import transplant

__all__ = ["transplant"]
