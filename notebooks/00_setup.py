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
# # How were the networks trained?
#
# This chapter has what is needed to repeat the training, and what limits its results.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
from lib.analysis import limits, rebuilding, setup
from lib.analysis.results import times
from lib.clock import duration
from lib.report.chapter import Chapter
from lib.report.tables import shown
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %% [markdown]
# ## The runs

# %%
study = load_study(study_name)
chapter.markdown(setup.matrix(study))

# %%
arms = setup.arms(study)
if len(arms):
    chapter.markdown("[Table](#tbl-arms) gives the change of each arm; the first arm has the settings below.")
    chapter.table(arms, "arms", "What each arm changes.")

# %% [markdown]
# ## The settings
#
# [Table](#tbl-settings) has every setting that is on. The learning rate is the peak of its schedule, which is applied
# step by step. A cosine schedule rises linearly from 0 to the peak $p$ in its $w$ steps of warm-up; at step $t$ of $T$
# it is then $p\,(1 + \cos(\pi (t - w) / (T - w))) / 2$. Weight decay covers all trainable parameters, biases and batch
# normalisation included, unless *decay norms* is off. Augmentation changes train images only: a random crop is taken
# from the image with a border of zeros, and then, like every image, normalised with the mean and the standard deviation
# of its channel over the train split.

# %%
table = setup.settings(study)
alike = table["for"].nunique() == 1
caption = f"The settings{' of all runs' if alike else ''}. A run that was made with others has no results here."
chapter.table(shown(table, ["setting", "value"] if alike else table.columns), "settings", caption)
chapter.markdown(f"Off, or without effect because another one is off: {', '.join(setup.off(study))}.")

# %%
chapter.markdown("The networks, where nothing is aligned:")
chapter.markdown("\n".join(f"- {network}" for network in rebuilding.networks(study)))
workers = study.cells[0].settings.num_workers
beside = f"at most {workers} worker processes, and none without a GPU, unless images are changed one by one"
chapter.markdown(f"PyTorch's pipeline has {beside}.")

# %% [markdown]
# ## The protocol
#
# All runs obey one protocol. The loss is the cross entropy, in the mean over the images of a batch. The train images
# are shuffled anew in each epoch, and an incomplete last batch is left out. After each epoch the network is evaluated
# on the val split. The weights of the epoch with the highest val accuracy, the first of several, are evaluated on the
# test images. A run's seed and the epoch's number seed every random draw. Unless the pairing is shared, each framework
# draws its own numbers from them, so that the same seed gives different ones in Keras and in PyTorch.

# %%
every = [cell.settings for cell in study.cells]
if any(settings.measurements.test_each_epoch for settings in every):
    chapter.markdown("The test accuracy of every epoch is measured too. Nothing is selected by it.")
if any(settings.regularisation.average for settings in every):
    chapter.markdown(
        "Where *regularisation: average* is on, the weights that are evaluated are moving averages of the trained ones."
    )

# %%
implementation = setup.implementation(study)
if implementation:
    chapter.finding("Implementation", implementation)

# %%
conventions = setup.conventions(study)
caption = "Conventions in which the frameworks differ, and the framework whose convention each one follows here."
if len(conventions):
    chapter.markdown("[Table](#tbl-conventions) says whose convention each framework follows in these runs.")
    named = conventions.rename(columns={"keras": "keras_follows", "pytorch": "pytorch_follows"})
    chapter.table(shown(named, named.columns), "conventions", caption)

# %% [markdown]
# ## The time

# %%
taken = times(study)
caption = "Time of the finished runs, from start to end, without pauses."
if len(taken):
    whole = duration(3600 * taken.hours.sum())
    chapter.markdown(f"The {taken.runs.sum()} finished runs took {whole}, as [Table](#tbl-times) divides them.")
    chapter.table(shown(taken, taken.columns), "times", caption)
else:
    chapter.markdown("No run has finished yet.")

# %% [markdown]
# ## To repeat it
#
# In a clone of the project, these commands install the pinned versions, make what is missing, and write this report.

# %%
chapter.markdown(f"```sh\n{setup.commands(study)}\n```")

# %% [markdown]
# ## Limits
#
# The results hold for these runs. What they cannot say follows from what they are.

# %%
chapter.markdown("\n".join(f"- {limit}" for limit in limits.limits(study)))

# %% [markdown] tags=["detail"]
# ## Glossary
#
# - **aligned**: both frameworks follow the same convention.
# - **arm**: a change of some settings within a study; its base changes nothing.
# - **cell**: one run as it is planned: framework, dataset, network, precision, seed and arm.
# - **cause**: a switch, or several, whose share of a gap is measured.
# - **churn**: the share of test images on which two runs predict different classes.
# - **digest**: the SHA-256 of inputs or of code; equal digests mean equal contents.
# - **gate**: a check that a small study must pass before a large one starts.
# - **group**: the runs that differ in their seed, and in what is compared, only.
# - **ladder**, **rung**: the comparison of the two implementations, and one property that it compares.
# - **margin**: the size from which a difference matters, fixed in `params/margins.yaml`.
# - **native**: each framework follows its own convention.
# - **pair**: two runs of one seed number that differ in what is compared, all else equal.
# - **record**: the file that a run writes last; a run is done if it exists and has today's inputs.
# - **run**: one training of one network, with the evaluation of its best epoch on the test images.
# - **shared pairing**: both runs of a pair have the same first weights, and the same images in the same order.
# - **switch**: a convention in which the frameworks differ, and that can be native or aligned.
# - **twins**: the two networks of a pair with every switch aligned.
# - **val**: the split on which the best epoch is chosen.
