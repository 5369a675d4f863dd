"""Batch normalisation whose running variance is Keras'."""

import torch
from torch import Tensor, nn


class BiasedBatchNorm2d(nn.BatchNorm2d):
    """`BatchNorm2d`, but its running variance follows the batch's variance itself, as in Keras.

    PyTorch feeds it with n / (n - 1) times as much, where n values share a channel. The output is the same in training.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Normalise (N, C, H, W), and in training follow the batch's statistics."""
        if not self.training:
            return super().forward(images)
        before = self.running_var.clone()
        normalised = super().forward(images)
        with torch.no_grad():
            fed = self.running_var - (1 - self.momentum) * before
            # A new tensor: the backward pass holds the old one, and refuses it if it was changed in place.
            self.running_var = self.running_var - fed / (images.numel() // images.shape[1])
        return normalised
