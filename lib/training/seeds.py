"""The seeds of a run's random numbers."""

import numpy as np


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the 32-bit seed of one epoch of one run.

    Each epoch depends on the state at its start and on these two numbers alone, so a resumed run repeats what an
    uninterrupted one does. Source: NumPy, `SeedSequence`.
    """
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
