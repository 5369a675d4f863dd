"""The PyTorch half: its input pipeline, models and learner."""
