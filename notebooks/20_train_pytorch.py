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
# # One run in PyTorch
#
# What does one run of the study do, from its settings to its record? This chapter trains it. The sweep executes the
# chapter once for each run; the executed copy in the run's folder is the run's report. Executed by hand, the chapter
# trains the run named below. A run with a result is shown and not trained; with `rerun = "code"` it is trained again if
# other code made the result.
#
# `20_train_keras` has the same notebook cells in the same order; only the learner differs.

# %% tags=["parameters"]
study_name = "quickstart"
run = "pytorch_digits_resnet20_fp32_seed42-quick"
rerun = ""

# %% tags=["setup"]
import pandas as pd
from IPython.display import display

from lib.analysis.results import settings_table
from lib.data.store import open_store
from lib.figures.training import curves
from lib.pytorch.learner import PyTorchLearner
from lib.study.loading import load_study
from lib.training import protocol as training
from lib.training.learner import evaluation_images

# %% [markdown]
# ## The cell
#
# A run's name identifies one point of the study's matrix with every setting resolved, from `params/train.yaml` and from
# the study.

# %%
study = load_study(study_name)
cell = study.cell(run)
display(settings_table(cell))

# %% [markdown]
# ## The data
#
# The store's arrays are memory-mapped. Its splits and statistics are checked when it is opened. `limits` may leave out
# a part of a split.

# %%
store = open_store(cell.dataset)
most = dict.fromkeys(("val", "test"), evaluation_images(cell.settings))
used = {"train": cell.settings.limits.train_samples} | most
print(", ".join(f"{len(store.split(name, limit).indices):,} {name}" for name, limit in used.items()), "images used")

# %% [markdown]
# ## The learner
#
# A model with PyTorch's own initialisation (or the shared one), its optimizer and its input pipelines. The training
# protocol uses the framework through this learner only.

# %%
learner = PyTorchLearner(cell, store)
print(f"{cell.model}: {learner.parameters:,} trainable parameters, {learner.steps_per_epoch} steps an epoch")
print(f"device: {learner.describe()['device']}")

# %% [markdown]
# ## Training
#
# Both frameworks use the protocol of `lib/training/protocol.py`. An epoch is seeded from the seed and its number, timed
# without its validation, and saved: a stopped run resumes from its last whole epoch.

# %%
log = training.fit(cell, learner, store.digest, rerun)

# %%
epochs = log.frame().assign(**cell.model_dump(exclude={"settings"}))
display(curves(epochs, study.main))

# %% [markdown]
# ## The test
#
# The weights of the epoch with the best val accuracy are loaded and evaluated on the test set, which is used here for
# the first time.

# %%
result = training.test(cell, learner, log)
print(f"epoch {log.best['epoch']}: val accuracy {log.best['val_accuracy']:.2%}")
print(f"test accuracy {result['test_accuracy']:.2%}, macro-F1 {result['test_macro_f1']:.2%}")
print(f"n = {result['test_images']:,} test images")

# %% [markdown]
# ## The record
#
# The record is the last file that a run writes; it makes the run done. The analysis reads records, epoch logs and
# logits, and nothing else.

# %%
record = training.finish(cell, learner, store.digest, log, result)
display(pd.Series(record.model_dump(exclude={"cell", "environment"}) | record.environment).to_frame("value"))
