"""What the data chapter shows of the stores: tables of what they are, and figures of what is in them."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lib.data.store import Store

WIDTH = 16 / 2.54
"""Inches: the width of the text on paper."""

GAP = 2
"""White pixels around an image of a mosaic."""

ORIGINS = {
    "scikit-learn": "scikit-learn",
    "download": "official archive, downloaded",
    "archive": "archive on disk",
    "folder": "extracted archive",
    "parquet": "parquet files",
    "hub": "Hugging Face hub",
    "arrays": "arrays found in the store",
}


def overview(stores: Iterable[Store]) -> pd.DataFrame:
    """Return one row a dataset: its images, where they came from, and the beginning of its digest."""
    return pd.DataFrame(_overview(store) for store in stores)


def _overview(store: Store) -> dict[str, object]:
    origin = store.manifest.origin
    checksum = {True: ", official checksum", False: ", not the official checksum", None: ""}[origin.official]
    return {
        "dataset": store.dataset.title,
        "classes": store.dataset.classes,
        "pixels": f"{store.dataset.size} x {store.dataset.size}",
        "images": len(store.train_labels) + len(store.test_labels),
        "grey": store.manifest.grey_train + store.manifest.grey_test,
        "source": ORIGINS[origin.kind] + checksum,
        "whole": "yes" if store.complete else "a part",
        "digest": store.digest[:12],
    }


def balance(stores: Iterable[Store]) -> pd.DataFrame:
    """Return one row a split: its images, and those of its smallest and its largest class."""
    return pd.DataFrame(
        {
            "dataset": store.dataset.title,
            "split": name,
            "images": int(counts.sum()),
            "fewest in a class": int(counts.min()),
            "most in a class": int(counts.max()),
        }
        for store in stores
        for name, counts in class_counts(store).items()
    )


def class_counts(store: Store) -> dict[str, np.ndarray]:
    """Return how many images of each class the splits train, val and test have, int64 (classes,) each."""
    splits = {name: store.split(name) for name in ("train", "val", "test")}
    return {
        name: np.bincount(split.labels[split.indices], minlength=store.dataset.classes)
        for name, split in splits.items()
    }


def statistics(stores: Iterable[Store]) -> pd.DataFrame:
    """Return one row a dataset: mean and standard deviation of each channel of the train split, pixels in [0, 1]."""
    return pd.DataFrame(
        {"dataset": store.dataset.title}
        | dict(zip(("mean red", "mean green", "mean blue"), store.mean, strict=True))
        | dict(zip(("std red", "std green", "std blue"), store.std, strict=True))
        for store in stores
    )


def finding(store: Store, checks: pd.DataFrame) -> str:
    """Return one sentence on a dataset, in Markdown: its splits, and the checks that it passes or does not."""
    sizes = [f"{counts.sum():,} {name}" for name, counts in class_counts(store).items()]
    failed = checks[~checks["passed"]]
    details = "; ".join(f"{row.check}: {row.found}, not {row.expected}" for row in failed.itertuples())
    return (
        f"**{store.dataset.title}**: {', '.join(sizes)} images; "
        f"{len(checks) - len(failed)} of {len(checks)} checks pass" + (f" (not: {details})." if details else ".")
    )


def samples(store: Store) -> Figure:
    """Draw images of the train split: five of each class in a column, or one of each class where there are many."""
    classes = store.dataset.classes
    columns, each = (classes, 5) if classes <= 10 else (20, 1)
    labels = store.train_labels[store.train_indices]
    chosen = [store.train_indices[np.flatnonzero(labels == number)[:each]] for number in range(classes)]
    order = np.array(chosen).T.ravel()
    figure = Figure(figsize=(WIDTH, WIDTH * len(order) / columns / columns), layout="constrained")
    axis = figure.subplots()
    axis.imshow(_mosaic(store.train_images[order], columns))
    axis.set_yticks([])
    axis.tick_params(length=0, labelsize=8, labeltop=True, labelbottom=False)
    step = store.dataset.size + 2 * GAP
    axis.set_xticks(step * np.arange(columns) + step / 2 if each > 1 else [], range(columns) if each > 1 else [])
    axis.spines[:].set_visible(False)
    return figure


def _mosaic(images: np.ndarray, columns: int) -> np.ndarray:
    """Lay out images (N, H, W, 3) in rows of `columns`, white between them."""
    padded = np.pad(images, ((0, 0), (GAP, GAP), (GAP, GAP), (0, 0)), constant_values=255)
    rows = padded.reshape(-1, columns, *padded.shape[1:])
    return rows.transpose(0, 2, 1, 3, 4).reshape(rows.shape[0] * rows.shape[2], -1, 3)


def class_balance(store: Store) -> Figure:
    """Draw how many images of each class each split has, one panel a split."""
    counts = class_counts(store)
    figure = Figure(figsize=(WIDTH, 1.8), layout="constrained")
    for axis, (name, values) in zip(figure.subplots(1, len(counts)), counts.items(), strict=True):
        axis.bar(range(len(values)), values, width=0.8 if len(values) <= 10 else 1, color="#0072B2")
        axis.set_title(f"{name}: {values.sum():,} images", fontsize=8, loc="left")
        axis.set_xlabel("class", fontsize=8)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    return figure
