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
study = "quickstart"

# %% tags=["setup"]
from lib.analysis import results as records
from lib.figures import style as figures
from lib.report.chapter import Chapter
from lib.report.tables import percent
from lib.study.params import load_study

chapter = Chapter(study)

# %%
experiment = load_study(study)
results, epochs = records.results(experiment), records.epochs(experiment)
if results.empty:
    chapter.markdown("**Nothing has been run yet:** there is nothing to draw.")

# %% [markdown]
# ## Training curves
#
# One figure for each dataset, model and precision. A thin line is one seed and a bold line the mean of a framework's
# seeds. Train loss is that of the augmented images as they passed; accuracy and macro-F1 are measured on the
# validation split after each epoch. The learning rate is planned and set by one function for both frameworks, so its
# two curves should lie on each other.

# %%
for (dataset, model, precision), group in epochs.groupby(records.GROUP, sort=False):
    seeds = group.groupby("framework", sort=False).seed.nunique()
    who = " and ".join(
        f"{figures.TITLES[name]} ({count} seed{'s' if count > 1 else ''})" for name, count in seeds.items()
    )
    caption = f"{model} on {dataset}, {precision}: {who}, {group.epoch.max()} epochs."
    alt = f"Train loss, val accuracy, val macro-F1 and learning rate of {model} on {dataset} over the epochs."
    chapter.figure(figures.curves(group), f"curves_{dataset}_{model}_{precision}", caption, alt)

# %% [markdown]
# ## Accuracy
#
# The bars start at zero, so that their length is what they show; differences of less than a point have to be read from
# the intervals of the chapter on statistics. An error bar is one standard deviation of the seeds to either side, and a
# single seed has none.

# %%
for precision in results.precision.unique():
    caption = f"Test accuracy in {precision}: mean over the seeds, each seed, and ± 1 standard deviation."
    alt = f"Bars of the test accuracy in {precision} for each dataset and model, Keras above PyTorch."
    chapter.figure(figures.bars(results, "test_accuracy", precision), f"accuracy_{precision}", caption, alt)

# %% [markdown]
# ## Speed
#
# Images of training a second: the images of all epochs over their seconds, validation not counted. The first epoch is
# slower than the others, when each kernel runs for the first time. Keras' tracing and the start of PyTorch's loading
# processes are done before the clock starts.

# %%
chapter.markdown(records.libraries_note(experiment))
for precision in results.precision.unique():
    caption = f"Training speed in {precision}, in images a second: mean, each seed, and ± 1 standard deviation."
    alt = f"Bars of the images a second in {precision} for each dataset and model, Keras above PyTorch."
    chapter.figure(figures.bars(results, "images_per_sec_avg", precision), f"throughput_{precision}", caption, alt)

# %% [markdown]
# ## What was found

# %%
last = epochs[epochs.epoch == epochs.groupby(records.KEYS).epoch.transform("max")] if len(epochs) else epochs
for framework, runs in last.groupby("framework", sort=False):
    loss, accuracy = runs.train_loss, runs.val_accuracy
    chapter.markdown(
        f"- **{figures.TITLES[framework]}**, {len(runs)} runs: in the last epoch a train loss from {loss.min():.3g} to "
        f"{loss.max():.3g} and a val accuracy from {percent(accuracy.min())} % to {percent(accuracy.max())} %."
    )

# %%
saved = 100 * (1 - results.time_per_epoch_avg_late / results.time_per_epoch_avg).mean()
finding = (
    f"An epoch of the last half took {abs(saved):.1f} % {'less' if saved > 0 else 'more'} time than the average one."
)
chapter.markdown(finding if len(results) else "Nothing yet.")
