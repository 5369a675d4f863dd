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
# # What ran, and what came out?
#
# Every run of the study leaves a record, its last word, and a log with a line for each epoch. This chapter reads
# them, and nothing else. It shows which runs are here and which are missing, on what machines and with which versions
# they were made, and what each one reached. Whether the differences mean anything is the next chapter's question.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
from lib.analysis import environments, gates, results
from lib.analysis.contrasts import title
from lib.report.chapter import Chapter
from lib.report.tables import percent, shown
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %% [markdown]
# ## Which runs are here
#
# A run is *done* when its record is there and was made from today's settings and data. A run *by other code* has valid
# results, but the code has changed since; it is kept and named. A *stale* run was made from other settings or other
# data, and is left out, as are runs that failed, were interrupted, are still running, or are missing.

# %%
study = load_study(study_name)
found, states = results.results(study), results.states(study)
absent = int((~states.state.isin(["done", "other code"])).sum())

# %%
counts = states.groupby("state", sort=False).agg(runs=("run", "size"), example=("reason", "first")).reset_index()
chapter.table(shown(counts, counts.columns), "states", f"How the {len(states)} runs of the study stand.")

# %%
missing = f"{absent} of {len(states)} runs have no results yet" if absent else f"All {len(states)} runs have results"
chapter.markdown(f"{missing}, as [Table](#tbl-states) shows." if len(found) else "**Nothing has been run yet.**")

# %% [markdown]
# ## Where they ran
#
# Versions and hardware are written down by each run for itself, and counted here by framework. Where an item has more
# than one value, speeds can only be compared between runs that share it; accuracies should not depend on it, but may,
# in the last digits.

# %%
items = environments.environment_items(study)
if len(items):
    chapter.table(items, "environments", "What the runs were made with, and how many of each framework.")
chapter.markdown(environments.sets_note())

# %%
grown = results.accumulated(study)
if grown:
    chapter.markdown(
        f"**{len(grown)} runs ran out of memory** and took smaller micro-batches than the others, with other batch "
        f"statistics and another speed: {', '.join(grown)}."
    )

# %% [markdown]
# ## What the groups reached
#
# One line for each group of runs that differ in their seed alone: the mean over the seeds and their standard deviation
# (with n - 1). Accuracy and macro-F1 are those of the test set, on which the best epoch's weights are evaluated once.
# Speed counts training alone, without validation, over all epochs.

# %%
means = results.means(study, found)
columns = [name for name in means.columns if name != "images_per_sec_avg_sd"]
caption = "Mean over the seeds; SD is the standard deviation between them, in points."
if len(found):
    chapter.table(shown(means, columns), "group_means", caption)

# %% [markdown]
# ## Every run
#
# *Best epoch* is the one with the highest val accuracy. The speed is that of the *late* epochs,
# the last half, when the first epochs' start-up no longer counts.

# %%
columns = [*study.keys, "acc_best", "test_accuracy", "test_macro_f1", "epoch_best", "images_per_sec_avg_late"]
caption = "The runs one by one. The table saved beside the report has every column at full precision."
if len(found):
    chapter.table(shown(found, columns), f"results_{study_name}", caption)

# %% [markdown]
# ## Mixed precision
#
# On a GPU, AMP computes in float16 with a loss scale, and should be no slower than float32 and take no more memory. On
# a CPU it computes in bfloat16, which few processors are made for, and the memory is that of the whole process: there
# the ratios say that it works, and nothing about a GPU. *Skipped steps* are those whose gradient overflowed; the loss
# scale then shrinks, and the update is left out.

# %%
gains = results.mixed_precision(study)
caption = "What AMP brings against fp32: means over the seeds that finished in both; steps skipped in all of them."
if len(gains):
    chapter.table(shown(gains, gains.columns), "mixed_precision", caption)
else:
    chapter.markdown("No network has finished in both precisions.")

# %% [markdown]
# ## What was found

# %%
judged = gates.gates(study, found, results.epochs(study))
chapter.markdown(
    f"{len(states) - absent} of {len(states)} runs have results. {judged.passed.sum()} of the {len(judged)} gates that "
    f"were set beforehand hold{' ([Table](#tbl-gates))' if '35_gates' in study.chapters else ''}."
)

# %%
for level, runs in found.groupby(study.main.axis, sort=False):
    low, high = runs.test_accuracy.min(), runs.test_accuracy.max()
    speed = runs.images_per_sec_avg_late
    chapter.markdown(
        f"- **{title(level)}**, {len(runs)} runs: test accuracy from {percent(low)} % to {percent(high)} %, and "
        f"from {speed.min():,.0f} to {speed.max():,.0f} images a second in the late epochs."
    )
