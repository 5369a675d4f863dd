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
# # Does depth make a network train worse?
#
# More layers should never hurt on the train set: the deeper network could copy the shallower one and let the other
# layers pass their input on. The opposite was found [@he2016]: a plain network of 56 layers had a higher *train* error
# than one of 20. This is no overfitting; it was called degradation. With shortcuts around every two layers it vanished.
# This chapter repeats the experiment and asks whether these runs show it.
#
# A comparison answers the question if its networks differ in depth alone. Runs are compared seed by seed. *Train error*
# is that of the last epoch: the mean over its steps on augmented images. *Test error* is that of the epoch with the
# best val accuracy. No choice uses a test image.

# %% tags=["parameters"]
study_name = "degradation-quick"

# %% tags=["setup"]
from lib import files, paths
from lib.analysis import degradation, judgements, neurons
from lib.analysis.results import epochs, results, with_train_accuracy
from lib.analysis.selection import selection
from lib.figures.degradation import draw_errors
from lib.figures.layers import draw_scales
from lib.report.chapter import Chapter, to_figures
from lib.report.tables import named, percent, points_between, rounded, shown
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %%
study = load_study(study_name)
logs = epochs(study)
found = with_train_accuracy(results(study), logs)
group = study.main.group
models = [one for one in study.comparisons if one.axis == "model"]

# %%
chapter.markdown(f"{len(found)} of {len(study.entries)} runs have results.")
if found.empty:
    chapter.markdown("**Nothing has been run yet:** there is nothing to compare.")

# %% [markdown]
# ## The course of the errors
#
# In the paper's figure 6 the dashed line of the deeper plain network ends above that of the shallower one, and for the
# residual networks the order is reversed. Bold lines are means over the seeds.

# %%
courses = [f"errors_{'_'.join(keys)}" for keys in logs.groupby(group, sort=False).groups if "test_accuracy" in logs]
if courses:
    chapter.markdown(f"Which network ends with the higher dashed line in {to_figures(*courses)}?")
for keys, runs in logs.groupby(group, sort=False) if "test_accuracy" in logs else ():
    caption = f"{', '.join(keys)}: train and test error, a panel for each comparison of models."
    alt = f"Train error, dashed, and test error, solid, over the epochs for each network: {', '.join(keys)}."
    chapter.figure(draw_errors(runs, models), f"errors_{'_'.join(keys)}", caption, alt)

# %% [markdown]
# ## The claim
#
# The rows are judged as in the chapter on statistics: *equivalent* if the corrected test puts the difference within the
# margin, else *different* if the corrected test finds it other than zero, else *undecided*. The rows of one comparison
# and one metric are a family, over which Holm's correction is made.
#
# Depth *degrades* a network if the deeper one's train accuracy is different and lower, and *does not degrade* it if it
# is different and higher, or equivalent. Otherwise the runs leave the claim *undecided*. A comparison of networks that
# differ in more than depth, or whose second is no deeper, has no verdict.

# %%
compared = degradation.comparisons(study, found)
chapter.markdown(judgements.when_fixed(study, ["accuracy"]))
columns = [*group, "level", "against", "metric", "n", "delta", "ci_low", "ci_high", "holm_p", "judgement", "verdict"]
caption = "A network minus the one it is compared against, points of accuracy, with the 95 % t interval over the seeds."
if len(found):
    chapter.markdown("[Table](#tbl-degradation) has the verdicts, in the rows of the train accuracy.")
    chapter.table(shown(compared, columns), "degradation", caption)

# %% [markdown]
# ## Beside the published numbers
#
# The paper trained for 64,000 iterations of 128 images and tabulates its residual networks only. The reimplementation
# has plain and residual networks of 20 and 56 layers, one run each. The numbers of these runs are beside them for
# orientation; they can be compared only if the study trains as long and on as many images.

# %%
summary = degradation.summary(study, found)
if len(found):
    chapter.markdown("[Table](#tbl-degradation_summary) has the published errors beside ours.")
    caption = "Errors in percent. Train error of the last epoch; SD is that of the test error over the seeds."
    columns = [name for name in summary.columns if name not in ("framework", "dataset", "precision")]
    chapter.table(shown(summary, columns), "degradation_summary", caption)
    page = paths.REPORT / study_name / "tables" / "degradation_summary.json"
    files.write_text(page, summary.to_json(orient="records", indent=2) + "\n")

# %% [markdown] tags=["detail"]
# ## What choosing the epoch on test would add
#
# Many published numbers are those of the epoch with the highest *test* accuracy. The highest of many noisy values is
# too high on average. Runs that record the test accuracy of every epoch show by how much.

# %%
flattered = selection(logs, found, study.main)
caption = "Test accuracy of the epoch chosen on val and of the best on test; their difference in points, 95 % interval."
if len(flattered):
    chapter.markdown("[Table](#tbl-selection): *flattery* is what a choice on test would add.")
    chapter.table(shown(flattered, list(flattered.columns)), "selection", caption)
else:
    chapter.markdown("No finished run has the test accuracy of every epoch.")

# %% [markdown]
# ## The mechanism
#
# Does the signal fade or grow on its way through the layers? For a fixed set of val images, the figure gives the root
# mean square of every activation, and of the loss's gradient with respect to it. The paper argues that batch
# normalisation [@ioffe2015] keeps both in a healthy range in plain networks too, so that vanishing gradients are not
# the cause. Later work finds the opposite of vanishing [@yang2019]: before the training, gradients grow exponentially
# with depth in networks with batch normalisation and no shortcuts.

# %%
layers = neurons.measured(study)
if layers.empty:
    chapter.markdown("No finished run has measured its layers.")
else:
    drawings = to_figures(*(f"scales_{'_'.join(keys)}" for keys in layers.groupby(group, sort=False).groups))
    chapter.markdown(f"In {drawings} a level line is a signal that passes; a slope is one that fades or grows.")
for keys, rows in layers.groupby(group, sort=False):
    caption = f"{', '.join(keys)}: scale of activations and gradients by depth, mean over the seeds, batch statistics."
    alt = f"Root mean squares of activations and gradients over depth, before, early and late: {', '.join(keys)}."
    drawn = draw_scales(neurons.scales(rows, ["model"]), study.main)
    chapter.figure(drawn, f"scales_{'_'.join(keys)}", caption, alt)

# %% [markdown]
# ## What was found

# %%
for row in compared[compared.metric == "train_accuracy_last"].itertuples():
    chapter.markdown(
        f"- **{named(row, group)}: {row.level} against {row.against}: {row.verdict or row.judgement}.** Train accuracy "
        f"{points_between(row.delta, row.ci_low, row.ci_high)}, n = {row.n} seeds."
    )

# %%
for row in degradation.fading(layers, group).itertuples():
    chapter.markdown(
        f"- **{named(row, group)}: {row.model}**: the gradient at the first activation is {rounded(row.before)} times "
        f"that at the last one before the training, and {rounded(row.after)} times after it."
    )

# %%
for row in flattered.itertuples():
    chapter.markdown(
        f"- **{named(row, group)}: {row.model}**: choosing the epoch on test would add {100 * row.flattery:.2f} points "
        f"to {percent(row.chosen)} % (n = {row.n} seeds)."
    )
if found.empty:
    chapter.markdown("Nothing yet.")
