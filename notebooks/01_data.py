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
# Which images do the networks learn from, on which are they compared, and are these images what they should be?
# Both frameworks read the same bytes: each dataset is stored once, as arrays that are mapped into memory, together with
# its splits and its statistics. This chapter looks at the stores of the study's datasets, and repeats every check that
# they passed when they were prepared.

# %% tags=["parameters"]
study = "quickstart"

# %% tags=["setup"]
from lib.data import exhibits
from lib.data.store import checks, open_store
from lib.report.chapter import Chapter
from lib.study.loading import load_study

chapter = Chapter(study)

# %% [markdown]
# ## Where the images come from
#
# `make data DATASET=...` prepared each store from the dataset's official archive, from files on disk, or, for the
# digits, from scikit-learn. [Table](#tbl-data) names the source. An archive on disk is compared with the official
# checksum; images that somebody has encoded anew, as in parquet files, have none. A store with fewer images than the
# official dataset can be used, and is called a part. The digest covers all images, labels and splits, wherever they
# came from, and is part of what every run's record names as its inputs.

# %%
stores = [open_store(dataset) for dataset in load_study(study).datasets]
chapter.table(exhibits.overview(stores), "data", "The study's datasets. Grey: images with three equal channels.")

# %% [markdown]
# ## A look at them
#
# The first images of the train split, as they are stored. Where there are ten classes, a column is a class and shows
# five of its images; where there are more, each class shows one.

# %%
for store in stores:
    name, title = store.dataset.name, store.dataset.title
    caption = f"{title}: images of the train split by class, {store.dataset.size} x {store.dataset.size} pixels each."
    alt = f"A mosaic of {title} images from all {store.dataset.classes} classes."
    chapter.figure(exhibits.samples(store), f"samples-{name}", caption, alt)

# %% [markdown]
# ## Splits and classes
#
# The official train images are divided into a train and a val split, stratified by class, with seed 42. The networks
# learn from train; the best epoch is chosen on val; the official test images are looked at once, at the end
# ([Table](#tbl-balance)). Tiny-ImageNet's official test labels are not public, so that its official val set serves as
# the test set.

# %%
chapter.table(exhibits.balance(stores), "balance", "Images in each split, and in its smallest and largest class.")

# %%
for store in stores:
    caption = f"{store.dataset.title}: images of each class in the three splits."
    alt = f"Three bar charts of the images a class in {store.dataset.title}: train, val and test."
    chapter.figure(exhibits.class_balance(store), f"balance-{store.dataset.name}", caption, alt)

# %% [markdown]
# ## Statistics
#
# Every pixel that a network sees has had the channel's mean taken off and been divided by its standard deviation. Both
# come from the train split alone ([Table](#tbl-statistics)): val and test images have no say in them.

# %%
statistics = exhibits.statistics(stores)
chapter.table(statistics, "statistics", "Mean and standard deviation of the train split's channels, pixels in [0, 1].")

# %% [markdown]
# ## Checks
#
# All arrays are read once more. A check that fails here, with one exception, means that files were changed after they
# were prepared. The exception is the last: the number of official images, which a part of a dataset does not have.

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
