"""The data chapter's figures: images of each class, and their numbers in each split."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lib.figures.style import INK, WIDTH, styled

GAP = 2
"""White pixels around an image of a mosaic."""


@styled
def samples(images: np.ndarray, labels: np.ndarray, indices: np.ndarray, names: Sequence[str]) -> Figure:
    """Draw the first images of each class in a split, uint8 (N, H, W, C), C = 1 or 3.

    With up to ten classes a column is a class, under its name, with up to five images; otherwise each class has one
    image, 20 a row.
    """
    classes = len(names)
    columns, rows = (classes, 5) if classes <= 10 else (20, 1)
    members = [indices[labels[indices] == number] for number in range(classes)]
    rows = min(rows, *map(len, members))
    order = np.array([own[:rows] for own in members]).T.ravel()
    mosaic = _mosaic(images[order], columns)
    figure = Figure(figsize=(WIDTH, WIDTH * mosaic.shape[0] / mosaic.shape[1]), layout="constrained")
    axis = figure.subplots()
    axis.imshow(
        mosaic, cmap="gray", vmin=0, vmax=255, gid="photographs"
    )  # the grey map is used for images of one channel
    axis.grid(visible=False)
    axis.set_yticks([])
    axis.tick_params(length=0, labeltop=True, labelbottom=False)
    step = mosaic.shape[1] / columns
    named = names if classes <= 10 else ()
    axis.set_xticks([step * (column + 0.5) for column in range(len(named))], named)
    axis.spines[:].set_visible(False)
    return figure


def _mosaic(images: np.ndarray, columns: int) -> np.ndarray:
    """Return images (N, H, W, C) side by side in rows of `columns`, with white between them and after the last."""
    missing = -len(images) % columns
    padded = np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)), constant_values=255)
    padded = np.pad(padded, ((0, 0), (GAP, GAP), (GAP, GAP), (0, 0)), constant_values=255)
    rows = padded.reshape(-1, columns, *padded.shape[1:])
    return rows.transpose(0, 2, 1, 3, 4).reshape(rows.shape[0] * rows.shape[2], -1, images.shape[-1])


@styled
def class_balance(counts: Mapping[str, np.ndarray]) -> Figure:
    """Draw the number of images of each class, one panel per split; `counts` are integers (classes,)."""
    figure = Figure(figsize=(WIDTH, 1.8), layout="constrained")
    for axis, (name, values) in zip(figure.subplots(1, len(counts)), counts.items(), strict=True):
        axis.bar(range(len(values)), values, width=0.8 if len(values) <= 10 else 1, color=INK, alpha=0.6)
        axis.grid(visible=False, axis="x")
        axis.set_title(f"{name}: {values.sum():,} images")
        axis.set_xlabel("class")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.tick_params(labelsize=7)
    return figure
