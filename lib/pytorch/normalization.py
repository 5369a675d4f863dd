"""Batch normalisation whose running variance is that of Keras."""

import torch
from torch import Tensor, nn


class BiasedBatchNorm2d(nn.BatchNorm2d):
    """`BatchNorm2d` whose running variance averages the biased variance of each batch, as in Keras.

    PyTorch averages n / (n - 1) times as much, where n values share a channel. The outputs in training are the same.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Normalise (N, C, H, W), and in training update the running statistics."""
        if not self.training:
            return super().forward(images)
        before = self.running_var.clone()
        normalised = super().forward(images)
        with torch.no_grad():
            fed = self.running_var - (1 - self.momentum) * before
            # A new tensor: the backward pass keeps the old one and refuses a change in place.
            self.running_var = self.running_var - fed / (images.numel() // images.shape[1])
        return normalised
