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
# A loss that jumps, a learning rate that departs from its schedule or a seed that departs from the others is visible in
# a curve only.
#
# The final means of accuracy and speed are in the appendix, with every seed and its scatter.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
from lib.analysis import environments, findings, timing
from lib.analysis.contrasts import title
from lib.analysis.results import epochs, results
from lib.figures import training, words
from lib.report.chapter import Chapter, to_figures
from lib.report.tables import percent
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %%
study = load_study(study_name)
comparison = study.main
found, logs = timing.marked(study, results(study)), epochs(study)
if found.empty:
    chapter.markdown("**Nothing has been run yet:** there is nothing to draw.")

# %% [markdown]
# ## Training curves
#
# A line is the mean over the seeds. The train loss is that of the augmented images during the epoch; accuracy and
# macro-F1 are measured on the val split after it. Learning rates of the same schedule coincide. A curve that departs
# from the others may indicate a fault. Do the two sides end at the same height? Each group of runs that are compared
# has a figure with every seed as a thin line; of more than four groups these are in the folder `figures` beside the
# report alone, and here they stand side by side.

# %%
groups = logs.groupby(comparison.group, sort=False)
few = groups.ngroups <= 4
if few and len(logs):
    shown = to_figures(*(f"curves_{'_'.join(keys)}" for keys in groups.groups))
    chapter.markdown(f"{shown}: a thin line is a seed.")
for keys, group in groups:
    drawn, name = training.curves(group, comparison), f"curves_{'_'.join(keys)}"
    if few:
        chapter.figure(drawn, name, *words.curves(group, comparison))
    else:
        chapter.save(drawn, name)

# %%
drawn = [] if few else list(training.side_by_side(logs, comparison))
if drawn:
    shown = to_figures(*(f"courses_{place + 1}" for place in range(len(drawn))))
    chapter.markdown(f"{shown}: a panel for each group.")
for place, group in enumerate(drawn):
    chapter.figure(training.draw_small(group, comparison), f"courses_{place + 1}", *words.curves(group, comparison))

# %% [markdown] tags=["detail"]
# ## Accuracy
#
# An error bar is one standard deviation of the seeds to either side; a single seed has none. Whether a difference is
# more than the seeds explain is judged in the chapter on statistics.

# %%
precisions = list(found.precision.unique())
if precisions:
    chapter.markdown(f"{to_figures(*(f'accuracy_{one}' for one in precisions))}: do they overlap?")
for precision in found.precision.unique():
    drawn = training.means(found, "test_accuracy", precision, comparison)
    texts = words.means(found, "test_accuracy", precision, comparison)
    chapter.figure(drawn, f"accuracy_{precision}", *texts)

# %% [markdown] tags=["detail"]
# ## Speed
#
# The speed is the number of training images of all epochs divided by their seconds, without validation. The first epoch
# is slower than the others because each kernel runs for the first time. Keras tracing and the start of PyTorch's
# workers are not timed. Speeds are comparable only between runs with the same hardware and libraries. A † marks the
# mean of a group whose times are not to be relied on.

# %%
chapter.markdown(environments.libraries_note(study))
if precisions:
    chapter.markdown(f"{to_figures(*(f'throughput_{one}' for one in precisions))}: is one side always faster?")
for precision in found.precision.unique():
    drawn = training.means(found, "images_per_sec_avg", precision, comparison)
    texts = words.means(found, "images_per_sec_avg", precision, comparison)
    chapter.figure(drawn, f"throughput_{precision}", *texts)

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
longer = "less" if saved > 0 else "more"
finding = f"An epoch of the last half took {abs(saved):.1f} % {longer} time than the average one (mean of all runs)"
chapter.markdown(f"{finding}{findings.not_reliable(found)}." if len(found) else "Nothing yet.")
