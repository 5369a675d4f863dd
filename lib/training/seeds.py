"""Where every random number of an epoch comes from."""

import numpy as np


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the 32-bit seed of one epoch of one run.

    An epoch is a pure function of the state it starts from and of these two numbers, so a run that was stopped goes
    on as if it had not been (NumPy, `SeedSequence`, which mixes both well).
    """
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
