"""The metrics of predictions, computed by NumPy for both frameworks."""

import numpy as np
from scipy.special import log_softmax


def cross_entropy(labels: np.ndarray, logits: np.ndarray) -> float:
    """Return the mean cross entropy in nats of `logits` `(n, classes)` against integer `labels` `(n,)`, in float64."""
    log_probabilities = log_softmax(logits.astype(np.float64), axis=1)
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Return the share of `predictions` `(n,)` that equal `labels` `(n,)`, in [0, 1]."""
    return float(np.mean(labels == predictions))


def macro_f1(labels: np.ndarray, predictions: np.ndarray, classes: int) -> float:
    """Return the unweighted mean of the classes' F1 scores, in [0, 1].

    A class that is neither present nor predicted counts as 0. These are the bits of scikit-learn's `f1_score` with
    `zero_division=0`, whose import would cost each run a second.
    """
    hits = np.bincount(labels[labels == predictions], minlength=classes)
    either = np.bincount(labels, minlength=classes) + np.bincount(predictions, minlength=classes)
    return float(np.mean(2 * hits / np.maximum(either, 1)))
