"""The doctor's questions to PyTorch: `python -m lib.pytorch.probe` prints the answers as JSON."""

import os
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader

from lib.doctor import problems
from lib.doctor.problems import ARITHMETICS, FACTORS, IMAGES, KERNEL, LABELS, Arithmetic
from lib.environment import cores
from lib.pytorch.kernels import configure


def ask() -> dict[str, Any]:
    """Return the build, the device, the errors of small problems, and whether a training repeats bit for bit."""
    started = torch.cuda.is_initialized()
    configure(42, tf32=False)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return {
        "version": torch.__version__,
        "built_for": torch.version.cuda or "none",
        "gpu": _gpu() if device.type == "cuda" else None,
        "workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG", "") if not started else "set too late",
        "errors": {one.name: _errors(device, one) for one in ARITHMETICS},
        "repeats": {one.name: _trained(device, one) == _trained(device, one) for one in ARITHMETICS},
        "loaders": _load(),
    }


def _gpu() -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "uuid": str(properties.uuid),
        "capability": [properties.major, properties.minor],
    }


def _errors(device: torch.device, way: Arithmetic) -> dict[str, float]:
    configure(42, way.tf32)
    one, other, images, kernel = (
        torch.tensor(values, dtype=getattr(torch, way.type), device=device) for values in (*FACTORS, IMAGES, KERNEL)
    )
    maps = functional.conv2d(images.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1)).permute(0, 2, 3, 1)
    return {
        "product": problems.product_error((one @ other).cpu().numpy()),
        "convolution": problems.convolution_error(maps.cpu().numpy()),
    }


def _trained(device: torch.device, way: Arithmetic) -> list[float]:
    """Return the weights of a small network after two steps; an error if they are not finite or did not move."""
    configure(42, way.tf32)
    layers = nn.Conv2d(16, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    model = nn.Sequential(*layers).to(device)
    first = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    images = torch.tensor(IMAGES, dtype=torch.float32, device=device).permute(0, 3, 1, 2)
    labels = torch.tensor(LABELS, device=device)
    for _ in range(2):
        optimizer.zero_grad()
        with torch.autocast(device.type, dtype=getattr(torch, way.type), enabled=way.type == "float16"):
            loss = functional.cross_entropy(model(images).float(), labels)
        loss.backward()
        optimizer.step()
    weights = nn.utils.parameters_to_vector(model.parameters()).detach()
    if not torch.isfinite(weights).all() or torch.equal(weights, first):
        raise ArithmeticError(f"two training steps in {way.name} gave no finite new weights")
    return weights.cpu().tolist()


def _load() -> str:
    """Return "ok", or why workers cannot pass batches through shared memory."""
    images = np.zeros((256, 3, 64, 64), np.float32)
    workers = min(8, cores())
    try:
        batches = len(list(DataLoader(images, batch_size=64, num_workers=workers, timeout=60)))
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return "ok" if batches == 4 else f"{batches} of 4 batches arrived"


if __name__ == "__main__":
    problems.answer(ask)
