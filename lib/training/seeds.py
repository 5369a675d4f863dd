"""The seeds of a run's random numbers."""

import numpy as np


def epoch_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """Return the 32-bit seed of one epoch of one run, on one of its devices.

    Each epoch depends on the state at its start and on these numbers alone, so a resumed run repeats what an
    uninterrupted one does. The seed of rank 0 is that of a run on one device. Source: NumPy, `SeedSequence`, which
    fills its entropy up with zeros.
    """
    return int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1)[0])
