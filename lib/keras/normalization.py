"""Batch normalisation with the running variance of either framework."""

from typing import Any

import keras
from keras import layers

from lib.study.conventions import Conventions

BatchNorm = layers.BatchNormalization


class UnbiasedBatchNormalization(BatchNorm):
    """Keras' batch normalisation whose running variance averages n / (n - 1) times the batch's; n values per channel.

    A batch is still normalised by its own variance, as in both frameworks. Source: PyTorch, `torch.nn.BatchNorm2d`.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise; in training, add to the running variance the difference to the unbiased one."""
        kept = self.momentum * self.moving_variance
        outputs = super().call(inputs, training=training, mask=mask)
        if training and self.trainable:
            values = keras.ops.cast(keras.ops.size(inputs) // inputs.shape[self.axis], kept.dtype)
            self.moving_variance.assign_add((self.moving_variance - kept) / (values - 1))
        return outputs


def batch_norm_kind(conventions: Conventions) -> type[BatchNorm]:
    """Return the batch normalisation whose running variance follows the conventions."""
    return UnbiasedBatchNormalization if conventions["bn_variance"] == "pytorch" else BatchNorm
