"""The kernels that PyTorch computes with, and its random numbers."""

import os
import random

import numpy as np
import torch

from lib.allocation import keep_freed
from lib.study.settings import DETERMINISTIC, Execution


def configure(seed: int, tf32: bool, execution: Execution = DETERMINISTIC) -> None:
    """Seed every generator, choose the kernels, by default deterministic ones only, and keep freed memory.

    Source: PyTorch's notes on reproducibility and on TensorFloat-32.
    """
    keep_freed()
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(execution.deterministic)
    # By default the mode also fills new memory with NaN, which would cost time in PyTorch only.
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.deterministic = execution.deterministic
    torch.backends.cudnn.benchmark = execution.cudnn_benchmark
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
