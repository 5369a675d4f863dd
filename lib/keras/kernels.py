"""The kernels that TensorFlow computes with, and its random numbers."""

import keras
import tensorflow as tf

from lib.allocation import keep_freed
from lib.study.settings import DETERMINISTIC, Execution


def configure(seed: int, tf32: bool, execution: Execution = DETERMINISTIC) -> None:
    """Seed every generator, choose the kernels, by default deterministic ones only, and keep freed memory.

    TensorFlow cannot leave that mode in the process that has chosen it.

    Source: TensorFlow's API documentation, `enable_op_determinism` and `enable_tensor_float_32_execution`.
    """
    keep_freed()
    keras.utils.set_random_seed(seed)
    if execution.deterministic:
        tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
