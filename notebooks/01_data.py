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
# read the same bytes: each dataset is stored once, with its splits and statistics.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
from lib.data import exhibits
from lib.data.checks import checks
from lib.data.store import open_store
from lib.figures import data as figures
from lib.report.chapter import Chapter, to_figures, to_tables
from lib.report.tables import checked
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %% [markdown]
# ## Where the images come from
#
# [Table](#tbl-data) names the source of each dataset. The digest covers all images, labels and splits; a run is stale
# if its dataset's digest has changed since.

# %%
stores = [open_store(dataset) for dataset in load_study(study_name).datasets]
chapter.table(exhibits.overview(stores), "data", "The study's datasets. Grey: images with equal channels.")

# %%
for note in dict.fromkeys(note for store in stores for note in exhibits.notes(store)):
    chapter.markdown(note)

# %% [markdown] tags=["detail"]
# ## Samples
#
# The first images of the train split, as stored. With up to ten classes, a column shows five images of one class; with
# more classes, each class has one image.

# %%
samples = to_figures(*(f"samples-{store.dataset.name}" for store in stores))
chapter.markdown(f"{samples}: is each image what its class says?")
for store in stores:
    size, title = store.dataset.size, store.dataset.title
    figure = figures.samples(*store.split("train"), store.dataset.names)
    caption = f"{store.dataset.cited}: images of the train split by class, stored with {size} x {size} pixels."
    alt = f"A mosaic of {title} images from all {store.dataset.classes} classes."
    chapter.figure(figure, f"samples-{store.dataset.name}", caption, alt)

# %% [markdown] tags=["detail"]
# ## Splits and classes
#
# The train images are divided into a train and a val split, stratified by class, with seed 42. The networks learn from
# train, and the best epoch is chosen on val alone; no choice is made on test ([Table](#tbl-balance)).

# %%
drawn = to_figures(*(f"balance-{store.dataset.name}" for store in stores))
chapter.markdown(f"{drawn}: bars of equal height are classes of equal size.")
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
# one, "official image counts", which fails for a part of a dataset and for one that was read from a re-split folder. It
# compares numbers of images only: that they are the official ones is known only where [Table](#tbl-data) says "official
# checksum". A dataset without an official split passes if it has the numbers of images that this project divides it in.
# Official files on disk are compared with their checksums; parquet files have none, since their images were encoded
# again.

# %%
links = to_tables(*(f"checks-{store.dataset.name}" for store in stores))
chapter.markdown(f"{links}: what was expected, and what was found.")
tables = {store.dataset: checks(store) for store in stores}
for dataset, table in tables.items():
    chapter.table(checked(table), f"checks-{dataset.name}", f"{dataset.title}: the checks of its store.")

# %% [markdown]
# ## What was found

# %%
for store, table in zip(stores, tables.values(), strict=True):
    chapter.markdown(f"- {exhibits.finding(store, table)}")
