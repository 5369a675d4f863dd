"""The PyTorch half: its input pipeline, networks and learner."""

from lib.pytorch import torchvision_ops  # noqa: F401  (before anything imports torchvision)
