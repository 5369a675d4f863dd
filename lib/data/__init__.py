"""Datasets: what they are (`catalog`), where they come from (`sources`), and how they are kept (`store`)."""
