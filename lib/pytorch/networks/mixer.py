"""timm's MLP-Mixer, for small images."""

from timm.models.mlp_mixer import MlpMixer
from torch import nn


def build(shape: tuple[int, int, int], classes: int, width: int, blocks: int, drop_path: float = 0.0) -> nn.Module:
    """Build the MLP-Mixer (Tolstikhin et al. 2021, section 2) of so many channels and blocks for images of 32x32.

    A token is a patch of 4x4 pixels instead of 16x16, which leaves a map of 8x8 tokens in every block instead of 2x2.
    Hidden layers have half as many units as there are channels where they mix tokens, four times as many where they mix
    channels, as in the paper's table 1. With 3 channels and 100 classes: B/16, of 768 channels and 12 blocks, has 57.4
    million parameters and 4,079 million multiply-adds; 192 channels and 12 blocks have 3.74 and 255 million.
    """
    return MlpMixer(
        classes, shape[0], shape[-1], patch_size=4, num_blocks=blocks, embed_dim=width, drop_path_rate=drop_path
    )
