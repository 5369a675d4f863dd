"""The metrics of predictions, computed by NumPy and scikit-learn for both frameworks."""

import numpy as np
from scipy.special import log_softmax
from sklearn.metrics import f1_score


def cross_entropy(labels: np.ndarray, logits: np.ndarray) -> float:
    """Return the mean cross entropy in nats of `logits` `(n, classes)` against integer `labels` `(n,)`, in float64."""
    log_probabilities = log_softmax(logits.astype(np.float64), axis=1)
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Return the share of `predictions` `(n,)` that equal `labels` `(n,)`, in [0, 1]."""
    return float(np.mean(labels == predictions))


def macro_f1(labels: np.ndarray, predictions: np.ndarray, classes: int) -> float:
    """Return the unweighted mean of the classes' F1 scores, in [0, 1].

    A class that is neither present nor predicted counts as 0 (scikit-learn, `f1_score`, `zero_division=0`).
    """
    return float(f1_score(labels, predictions, labels=range(classes), average="macro", zero_division=0))
