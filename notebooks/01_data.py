# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The data
#
# Which images do the networks learn from, which images are they compared on, and are these images correct? All runs
# read the same bytes: each dataset is stored once, as memory-mapped arrays with its splits and statistics. This chapter
# shows the stores of the study's datasets and repeats every check of their preparation.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
from lib.data import exhibits
from lib.data.checks import checks
from lib.data.store import open_store
from lib.figures import data as figures
from lib.report.chapter import Chapter
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %% [markdown]
# ## Where the images come from
#
# `make data DATASET=...` prepares a store from the dataset's official files, downloaded or on disk, from parquet files,
# or, for the digits, from scikit-learn. [Table](#tbl-data) names the source. Official files on disk are compared with
# their checksums; parquet files have none, since their images were encoded again. A store with fewer images than the
# official dataset can be used and is called a part. A re-split dataset has the official images, divided anew into train
# and test: its test set is not the official one, and its accuracies are not comparable with published ones to the last
# tenth. The digest covers all images, labels and splits, from any source. A run is stale if its dataset's digest has
# changed since.

# %%
stores = [open_store(dataset) for dataset in load_study(study_name).datasets]
chapter.table(exhibits.overview(stores), "data", "The study's datasets. Grey: images with equal channels.")

# %% [markdown]
# ## Samples
#
# The first images of the train split, as stored. With up to ten classes, a column shows five images of one class; with
# more classes, each class has one image.

# %%
for store in stores:
    size, title = store.dataset.size, store.dataset.title
    figure = figures.samples(*store.split("train"), store.dataset.names)
    caption = f"{store.dataset.cited}: images of the train split by class, {size} x {size} pixels each."
    alt = f"A mosaic of {title} images from all {store.dataset.classes} classes."
    chapter.figure(figure, f"samples-{store.dataset.name}", caption, alt)

# %% [markdown] tags=["detail"]
# ## Splits and classes
#
# The official train images are divided into a train and a val split, stratified by class, with seed 42. The networks
# learn from train, the best epoch is chosen on val, and the official test images are used once, at the end
# ([Table](#tbl-balance)). Tiny-ImageNet's official test labels are not public: its official val set is the test set
# here.

# %%
chapter.table(exhibits.balance(stores), "balance", "Images in each split, and in its smallest and largest class.")

# %%
for store in stores:
    caption = f"{store.dataset.title}: images of each class in the three splits."
    alt = f"Three bar charts of the images a class in {store.dataset.title}: train, val and test."
    chapter.figure(figures.class_balance(exhibits.class_counts(store)), f"balance-{store.dataset.name}", caption, alt)

# %% [markdown] tags=["detail"]
# ## Statistics
#
# The pipelines subtract the channel's mean from every pixel and divide by its standard deviation. Both are computed on
# the train split alone ([Table](#tbl-statistics)), without val and test images.

# %%
statistics = exhibits.statistics(stores)
chapter.table(statistics, "statistics", "Mean and standard deviation of the train split's channels, pixels in [0, 1].")

# %% [markdown] tags=["detail"]
# ## Checks
#
# All arrays are read again. A failed check means that a file has changed since the preparation, except for the last
# one, "official image counts", which fails for a part of a dataset and for a re-split one. It compares numbers of
# images only: that they are the official ones is known only where [Table](#tbl-data) says "official checksum".

# %%
tables = {store.dataset: checks(store) for store in stores}
for dataset, table in tables.items():
    shown = table.assign(passed=table["passed"].map({True: "yes", False: "no"}))
    chapter.table(shown, f"checks-{dataset.name}", f"{dataset.title}: the checks of its store.")

# %% [markdown]
# ## What was found

# %%
for store, table in zip(stores, tables.values(), strict=True):
    chapter.markdown(f"- {exhibits.finding(store, table)}")
