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
# # How did the runs learn, and how fast?
#
# A table of final numbers hides the training. A loss that jumps, a learning rate that departs from its schedule or a
# seed that departs from the others is visible in a curve only. This chapter draws the training of every group, then
# compares accuracy and speed.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
from lib.analysis import environments
from lib.analysis.contrasts import title
from lib.analysis.results import epochs, results
from lib.figures import training
from lib.report.chapter import Chapter
from lib.report.tables import percent
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %%
study = load_study(study_name)
comparison = study.main
found, logs = results(study), epochs(study)
if found.empty:
    chapter.markdown("**Nothing has been run yet:** there is nothing to draw.")

# %% [markdown]
# ## Training curves
#
# One figure for each group of runs that are compared. A thin line is one seed and a bold line the mean over the seeds.
# The train loss is that of the augmented images during the epoch; accuracy and macro-F1 are measured on the val split
# after it. One function gives the learning rate of every run, so curves of the same schedule coincide. A curve that
# departs from the others indicates a fault.

# %%
for keys, group in logs.groupby(comparison.group, sort=False):
    seeds = group.groupby(comparison.axis, sort=False).seed.nunique()
    who = ", ".join(f"{title(name)} ({count} seed{'s' if count > 1 else ''})" for name, count in seeds.items())
    caption = f"{', '.join(keys)}: {who}; {group.epoch.max()} epochs."
    alt = f"Train loss, val accuracy, val macro-F1 and learning rate over the epochs: {', '.join(keys)}."
    chapter.figure(training.curves(group, comparison), f"curves_{'_'.join(keys)}", caption, alt)

# %% [markdown]
# ## Accuracy
#
# The bars start at zero, so their length is proportional to the value. Differences of less than a point are better read
# from the intervals of the chapter on statistics. An error bar is one standard deviation of the seeds to either side; a
# single seed has none.

# %%
for precision in found.precision.unique():
    caption = f"Test accuracy in {precision}: mean over the seeds, each seed, and ± 1 standard deviation."
    alt = f"Bars of the test accuracy in {precision}, one per {comparison.axis}, for each group."
    drawn = training.bars(found, "test_accuracy", precision, comparison)
    chapter.figure(drawn, f"accuracy_{precision}", caption, alt)

# %% [markdown]
# ## Speed
#
# The speed is the number of training images of all epochs divided by their seconds, without validation. The first epoch
# is slower than the others because each kernel runs for the first time. Keras tracing and the start of PyTorch's
# workers are not timed. Speeds are comparable only between runs with the same hardware and libraries.

# %%
chapter.markdown(environments.libraries_note(study))
for precision in found.precision.unique():
    caption = f"Training speed in {precision}, in images per second: mean, each seed, and ± 1 standard deviation."
    alt = f"Bars of the images per second in {precision}, one per {comparison.axis}, for each group."
    drawn = training.bars(found, "images_per_sec_avg", precision, comparison)
    chapter.figure(drawn, f"throughput_{precision}", caption, alt)

# %% [markdown]
# ## What was found

# %%
last = logs[logs.epoch == logs.groupby(study.keys).epoch.transform("max")] if len(logs) else logs
for level, runs in last.groupby(comparison.axis, sort=False):
    loss, accuracy = runs.train_loss, runs.val_accuracy
    chapter.markdown(
        f"- **{title(level)}**, {len(runs)} runs: in the last epoch a train loss from {loss.min():.3g} to "
        f"{loss.max():.3g} and a val accuracy from {percent(accuracy.min())} % to {percent(accuracy.max())} %."
    )

# %%
saved = 100 * (1 - found.time_per_epoch_avg_late / found.time_per_epoch_avg).mean()
finding = (
    f"An epoch of the last half took {abs(saved):.1f} % {'less' if saved > 0 else 'more'} time than the average one."
)
chapter.markdown(finding if len(found) else "Nothing yet.")
