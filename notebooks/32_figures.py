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
# A table of final numbers hides how they were reached. A loss that jumps, a learning rate that does not follow its
# plan, one seed that falls out of line: all of that can be seen in a curve and in nothing else. This chapter draws the
# training of every group, then sets accuracy and speed side by side.

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
# Train loss is that of the augmented images during the epoch; accuracy and macro-F1 are measured on the validation
# split after it. One function plans the learning rate for every run, so curves of one schedule lie on each other. A
# curve that leaves the others points to a fault.

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
# The bars start at zero, so that their length is what they show; differences of less than a point have to be read from
# the intervals of the chapter on statistics. An error bar is one standard deviation of the seeds to either side, and a
# single seed has none.

# %%
for precision in found.precision.unique():
    caption = f"Test accuracy in {precision}: mean over the seeds, each seed, and ± 1 standard deviation."
    alt = f"Bars of the test accuracy in {precision}, a bar a {comparison.axis}, for each group."
    drawn = training.bars(found, "test_accuracy", precision, comparison)
    chapter.figure(drawn, f"accuracy_{precision}", caption, alt)

# %% [markdown]
# ## Speed
#
# Images of training a second: the images of all epochs over their seconds, validation not counted. The first epoch is
# slower than the others, because each kernel runs for the first time. Keras' tracing and the start of PyTorch's loading
# processes are not timed.

# %%
chapter.markdown(environments.libraries_note(study))
for precision in found.precision.unique():
    caption = f"Training speed in {precision}, in images a second: mean, each seed, and ± 1 standard deviation."
    alt = f"Bars of the images a second in {precision}, a bar a {comparison.axis}, for each group."
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
