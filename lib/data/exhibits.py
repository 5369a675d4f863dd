"""The tables and numbers of the data chapter."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from lib.data.store import Store

ORIGINS = {
    "scikit-learn": "scikit-learn",
    "download": "official files, downloaded",
    "archive": "archive on disk",
    "folder": "extracted archive",
    "files": "files on disk",
    "parquet": "parquet files",
    "resplit": "parquet file, re-split: the test images are not the official ones",
    "hub": "Hugging Face hub",
    "arrays": "arrays found in the store",
}

CHANNELS = {1: ("grey",), 3: ("red", "green", "blue")}


def overview(stores: Iterable[Store]) -> pd.DataFrame:
    """Return one row per dataset: its images, their source, and the first digits of its digest."""
    return pd.DataFrame(_overview(store) for store in stores)


def notes(store: Store) -> list[str]:
    """Return sentences on how a store departs from its dataset as published; none where it does not."""
    title, origin = store.dataset.title, store.manifest.origin.kind
    said = {
        "digits": f"The images of {title} have 8 x 8 grey pixels from 0 to 16, scaled to 0 to 255 and rounded; each "
        f"pixel is repeated to a square, which gives {store.dataset.size} x {store.dataset.size}, with three equal "
        f"channels. The dataset has no official split: this project draws {store.dataset.test:,} test images, "
        f"stratified by class, with seed 42 (scikit-learn's `train_test_split`), and leaves {store.dataset.train:,} "
        "for train and val. Accuracies are not comparable with published ones.",
        "tiny_imagenet": f"The official test labels of {title} are not public: its official val set is the test set.",
    }
    found = [said[store.dataset.name]] if store.dataset.name in said else []
    if origin == "resplit":
        found.append(
            f"{title} has the official images, divided anew into train and test: its accuracies are not comparable "
            "with published ones to the last tenth."
        )
    return found if store.complete else [*found, f"The store of {title} is a part of the dataset."]


def _overview(store: Store) -> dict[str, object]:
    origin = store.manifest.origin
    checksum = {True: ", official checksum", False: ", not the official checksum", None: ""}[origin.official]
    return {
        "dataset": store.dataset.title,
        "classes": store.dataset.classes,
        "shape": " x ".join(map(str, store.dataset.shape)),
        "images": len(store.train_labels) + len(store.test_labels),
        "grey": store.manifest.grey_train + store.manifest.grey_test,
        "source": ORIGINS[origin.kind] + checksum,
        "whole": "yes" if store.complete else "a part",
        "digest": store.digest[:12],
    }


def balance(stores: Iterable[Store]) -> pd.DataFrame:
    """Return one row per split: its images, and those of its smallest and its largest class."""
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
    """Return one row per channel: its mean and standard deviation over the train split, pixels in [0, 1]."""
    return pd.DataFrame(
        {"dataset": store.dataset.title, "channel": channel, "mean": mean, "std": std}
        for store in stores
        for channel, mean, std in zip(CHANNELS[store.dataset.channels], store.mean, store.std, strict=True)
    )


def finding(store: Store, checks: pd.DataFrame) -> str:
    """Return one sentence on a dataset, in Markdown: its splits, how many checks pass, and which fail."""
    sizes = [f"{counts.sum():,} {name}" for name, counts in class_counts(store).items()]
    failed = checks[~checks["passed"]]
    details = "; ".join(f"{row.check}: {row.found}, not {row.expected}" for row in failed.itertuples())
    return (
        f"**{store.dataset.title}**: {', '.join(sizes)} images; "
        f"{len(checks) - len(failed)} of {len(checks)} checks pass" + (f" (not: {details})." if details else ".")
    )
