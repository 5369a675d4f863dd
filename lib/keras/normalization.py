"""Batch normalisation that keeps its running variance as PyTorch does."""

from typing import Any

import keras
from keras import layers


class UnbiasedBatchNormalization(layers.BatchNormalization):
    """Keras' batch normalisation, whose running variance is fed with n / (n - 1) times the batch's, n values a channel.

    A batch is still normalised by its own variance, as in both frameworks. Source: PyTorch, `torch.nn.BatchNorm2d`.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise; in training, add to the running variance what Keras' share of the batch's lacks."""
        kept = self.momentum * self.moving_variance
        outputs = super().call(inputs, training=training, mask=mask)
        if training and self.trainable:
            values = keras.ops.cast(keras.ops.size(inputs) // inputs.shape[self.axis], kept.dtype)
            self.moving_variance.assign_add((self.moving_variance - kept) / (values - 1))
        return outputs
