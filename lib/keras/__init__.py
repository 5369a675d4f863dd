"""The Keras half, on TensorFlow: its input pipeline, networks and learner.

While it is imported, TensorFlow writes notes on its build to stderr, whatever its log level. They would appear in every
notebook, so stderr is closed during the import.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _without_stderr() -> Iterator[None]:
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with _without_stderr():
    import tensorflow as tf

# TensorFlow would otherwise take all of a GPU's memory, also PyTorch's share in the parity chapter.
for gpu in tf.config.list_physical_devices("GPU"):
    tf.config.experimental.set_memory_growth(gpu, True)
