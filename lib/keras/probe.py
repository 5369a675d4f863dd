"""The doctor's questions to TensorFlow and Keras: `python -m lib.keras.probe` prints the answers as JSON."""

import ctypes
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.client import device_lib

from lib.doctor import problems
from lib.doctor.problems import ARITHMETICS, FACTORS, IMAGES, KERNEL, LABELS, Arithmetic
from lib.keras.kernels import configure


def ask() -> dict[str, Any]:
    """Return the build, the device, the errors of small problems, and whether a training repeats bit for bit."""
    gpus = tf.config.list_physical_devices("GPU")
    configure(42, tf32=False)
    if not gpus:
        _load_cudnn()
    return {
        "version": tf.__version__,
        "built_for": str(tf.sysconfig.get_build_info().get("cuda_version") or "none"),
        "gpu": _gpu(gpus[0]) if gpus else None,
        "memory_growth": all(tf.config.experimental.get_memory_growth(gpu) for gpu in gpus),
        "errors": {one.name: _errors(one) for one in ARITHMETICS},
        "repeats": {one.name: _trained(one) == _trained(one) for one in ARITHMETICS},
    }


def _load_cudnn() -> None:
    """Load the cuDNN that a wheel has installed, as TensorFlow does on a GPU."""
    package = find_spec("nvidia")
    for folder in package.submodule_search_locations if package else ():
        for library in Path(folder).glob("cudnn/lib/libcudnn.so.*"):
            with suppress(OSError):
                ctypes.CDLL(str(library))


def _gpu(gpu: tf.config.PhysicalDevice) -> dict[str, Any]:
    details = tf.config.experimental.get_device_details(gpu)
    described = next(one.physical_device_desc for one in device_lib.list_local_devices() if one.device_type == "GPU")
    parts = dict(part.split(": ", 1) for part in described.split(", ") if ": " in part)
    return {
        "name": details["device_name"],
        "pci": parts["pci bus id"],
        "capability": list(details["compute_capability"]),
    }


def _errors(way: Arithmetic) -> dict[str, float]:
    configure(42, way.tf32)
    one, other, images, kernel = (tf.constant(values, way.type) for values in (*FACTORS, IMAGES, KERNEL))
    return {
        "product": problems.product_error((one @ other).numpy()),
        "convolution": problems.convolution_error(tf.nn.conv2d(images, kernel, 1, "VALID").numpy()),
    }


def _trained(way: Arithmetic) -> list[float]:
    """Return the weights of a small network after two steps; an error if they are not finite or did not move."""
    configure(42, way.tf32)
    keras.config.set_dtype_policy("mixed_float16" if way.type == "float16" else "float32")
    model = keras.Sequential(
        [
            keras.Input(IMAGES.shape[1:]),
            keras.layers.Conv2D(8, 3),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10),
        ]
    )
    first = [weights.numpy() for weights in model.trainable_variables]
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
    images, labels = tf.constant(IMAGES, tf.float32), tf.constant(LABELS)

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            logits = tf.cast(model(images, training=True), tf.float32)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    optimizer.build(model.trainable_variables)
    for _ in range(2):
        step()
    weights = [values.numpy() for values in model.trainable_variables]
    moved = any(not np.array_equal(before, after) for before, after in zip(first, weights, strict=True))
    if not moved or not all(np.isfinite(values).all() for values in weights):
        raise ArithmeticError(f"two training steps in {way.name} gave no finite new weights")
    return np.concatenate([values.ravel() for values in weights]).tolist()


if __name__ == "__main__":
    problems.answer(ask)
