"""The test logits that a run keeps: what is written and read."""

from typing import NamedTuple

import numpy as np


class Predictions(NamedTuple):
    """Logits `(n, classes)` in float32, or float64 at that precision, and labels `(n,)`, in the order of the split."""

    logits: np.ndarray
    labels: np.ndarray
