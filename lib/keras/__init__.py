"""The Keras half, on TensorFlow: its input pipeline, models and learner.

TensorFlow writes notes on its build to stderr while it is imported, before any level could be set. They would stand in
every notebook, so they are dropped; an import that fails raises, as ever.
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

# Before anything is built: TensorFlow would else take all of a GPU's memory, also PyTorch's in the parity chapter.
for gpu in tf.config.list_physical_devices("GPU"):
    tf.config.experimental.set_memory_growth(gpu, True)
