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
# This chapter has what is needed to repeat the training: the runs, every setting, what the two runs of a comparison
# share, the rule that selects an epoch, the time that it took, and the commands.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
from lib.analysis import setup
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
    caption = "What each arm changes, against the settings below."
    chapter.table(arms, "arms", caption)

# %% [markdown]
# ## The settings
#
# A setting stands once, with the runs that have it. The learning rate is the peak of its schedule, which is applied
# step by step. Crops, flips and all other augmentation change train images only; every image is normalised with the
# mean and the standard deviation of its channel over the train split.

# %%
table = setup.settings(study)
alike = table["for"].nunique() == 1
caption = f"The settings{' of all runs' if alike else ''}. A run that was made with others has no results here."
chapter.table(shown(table, ["setting", "value"] if alike else table.columns), "settings", caption)
chapter.markdown(f"Off, or without effect where the rest is off: {', '.join(setup.off(study))}.")

# %% [markdown]
# ## The protocol
#
# Both frameworks obey one protocol, which the project writes once. The loss is the cross entropy, in the mean over the
# images of a batch. The train images are shuffled anew in each epoch, and an incomplete last batch is left out. After
# each epoch the network is evaluated on the val split. The weights of the epoch with the highest val accuracy, the
# first of several, are evaluated on the test images, once. A run's seed and the epoch's number seed every random draw.

# %%
implementation = setup.implementation(study)
if implementation:
    chapter.finding("Implementation", implementation)

# %%
conventions = setup.conventions(study)
caption = "Conventions in which the frameworks differ, and the framework whose convention each one follows here."
if len(conventions):
    chapter.table(shown(conventions, conventions.columns), "conventions", caption)

# %% [markdown]
# ## The time

# %%
taken = times(study)
caption = "Time of the finished runs, from start to end, without pauses."
if len(taken):
    chapter.table(shown(taken, taken.columns), "times", caption)
    chapter.markdown(f"All {taken.runs.sum()} finished runs took {duration(3600 * taken.hours.sum())} of computing.")
else:
    chapter.markdown("No run has finished yet.")

# %% [markdown]
# ## To repeat it
#
# In a clone of the project, these commands install the pinned versions, prepare the data, train the runs that are
# missing, and write this report.

# %%
chapter.markdown(f"```sh\n{setup.commands(study)}\n```")
