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
# # On which images do they differ?
#
# Two runs with one and the same accuracy need not be right about the same images, nor equally sure of themselves. Every
# run keeps what its network answered to each test image. This chapter asks three things of the answers: which classes
# are harder, does a network know when it is wrong, and do two runs that differ in what the study compares (a framework,
# an arm) disagree about more images than two seeds do?

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
from lib import files, paths
from lib.analysis import predictions
from lib.analysis.contrasts import published, sides, title
from lib.analysis.results import results
from lib.figures.predictions import draw_churn, draw_classes, draw_reliability
from lib.report.chapter import Chapter
from lib.report.tables import percent, points, shown
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %%
study = load_study(study_name)
comparison, (against, level) = study.main, sides(study.main)
answers = predictions.answers(study)
if answers.empty:
    chapter.markdown("**Nothing has been run yet:** there are no predictions.")

# %% [markdown]
# The answers are logits in float16, three or four digits each. Where two classes all but tie, rounding may turn the
# prediction, so the accuracy that they give is set against the one that each run recorded in full precision.

# %%
calibration = predictions.calibration(study, answers)
recorded = results(study)[[*study.keys, "test_accuracy"]]
both = calibration.merge(recorded, on=study.keys, suffixes=("", "_recorded"))
departure = (both.test_accuracy - both.test_accuracy_recorded).abs().max()
if len(both):
    chapter.markdown(f"The largest departure among {len(both)} runs is {percent(departure)} points of accuracy.")

# %% [markdown]
# ## Which classes
#
# The accuracy on the test images of each class: a dot is the mean over the seeds, a line reaches from the lowest seed
# to the highest. Where a dataset has more than ten classes, the figure shows the ten in which two levels lie furthest
# apart. These are chosen for being extreme: among a hundred classes some lie far apart by chance, and a class of few
# images moves in large steps. A gap that is no wider than the lines is no finding.

# %%
classes = predictions.per_class(answers, comparison)
for dataset, rows in classes.groupby("dataset"):
    few, most = rows.images.min(), rows.images.max()
    size = f"test images in a class: {few}" + (f" to {most}" if most > few else "")
    caption = f"Test accuracy by class on {dataset}, the seeds' mean, lowest and highest; {size}."
    alt = f"Dots of the test accuracy on classes of {dataset}, a panel a group, a dot a {comparison.axis}."
    chapter.figure(draw_classes(rows, comparison), f"classes_{dataset}", caption, alt)

# %%
gaps = predictions.class_gaps(classes, comparison)
row = [*comparison.group, "level", "class", "images", "mean_keras", "mean_pytorch", "mean_against", "mean_level"]
widest = predictions.widest(gaps)
style = shown(published(gaps, comparison), [*row, "delta"])
style.hide(gaps.index.difference(widest.index), axis="index")
caption = "Accuracy on a class in percent, the difference in points."
if len(gaps) > len(widest):
    caption += f" The {len(widest)} rows that stand out most; the table saved beside the report has all {len(gaps)}."
if len(gaps):
    chapter.table(style, "class_gaps", caption)

# %% [markdown]
# ## How sure
#
# A network's confidence is the largest value of its softmax. Of the images to which it gives 80 %, it should get 80 %
# right; then it is *calibrated*. The reliability curve shows this for 15 bins of confidence of equal width, all seeds
# together. Below the diagonal a network is surer than it is right, above it more modest than it need be. A dot's area
# is the share of the images that fall in its bin. Small dots rest on few images, and jump; the curve leaves out those
# that hold less than 1 %.
#
# The *expected calibration error* (Guo et al. 2017) sums this up in one number for each run: how far accuracy and
# confidence of a bin are apart, weighted by the images in it,
#
# $$\mathrm{ECE} = \sum_{m=1}^{15} \frac{|B_m|}{n} \, \left|\mathrm{acc}(B_m) - \mathrm{conf}(B_m)\right|.$$
#
# It is never below zero, so that chance alone makes it larger the fewer images there are.

# %%
curves = predictions.reliability(answers, comparison)
for dataset, rows in curves.groupby("dataset"):
    caption = f"Reliability on {dataset}: accuracy in each bin of confidence; the area of a dot is its share of images."
    alt = f"Accuracy over confidence on {dataset}, a panel a group, a curve a {comparison.axis}, and the diagonal."
    chapter.figure(draw_reliability(rows, comparison), f"reliability_{dataset}", caption, alt)

# %%
means = calibration.groupby([*comparison.group, comparison.axis], as_index=False).agg(
    seeds=("seed", "size"),
    test_accuracy=("test_accuracy", "mean"),
    confidence=("confidence", "mean"),
    calibration_error=("calibration_error", "mean"),
    lowest=("calibration_error", "min"),
    highest=("calibration_error", "max"),
)

# %%
style = shown(means, means.columns)
style.format(percent, subset=["confidence", "calibration_error", "lowest", "highest"])
caption = "Calibration in percent: means over the seeds, and the calibration error of the best and of the worst seed."
if len(means):
    chapter.table(style, "calibration", caption)
    with files.replacing(paths.REPORT / study_name / "tables" / "calibration_runs.csv") as path:
        calibration.to_csv(path, index=False)

# %% [markdown]
# ## On which images
#
# The share of the test images to which two runs give different answers is called *churn* (Milani Fard et al. 2016). It
# is counted for every pair of runs of a group: within a level, where only the seed differs, and across, where the level
# does. Pairs with the same seed number stand apart from pairs with different ones; where both start from the same
# weights and see the same batches, the first should agree more.
#
# Churn has to be read against accuracy. Two runs that err on 30 % of the images can differ on up to 60 %, two that err
# on 1 % on hardly any. So the yardstick is the churn between seeds of the same group. A run is part of several pairs,
# the dots are not independent, and no p value is given.

# %%
disagreements = predictions.disagreements(answers, comparison)
churn = predictions.churn(disagreements, comparison)
caption = "Churn of each pair of runs, a dot; a stroke is the mean of a kind of pair."
alt = "Shares of test images on which two runs differ, a lane a kind of pair: within a level, and across."
if len(churn):
    chapter.figure(draw_churn(disagreements, comparison), "churn", caption, alt)

# %%
style = shown(churn, churn.columns)
style.format(percent, subset=["churn", "lowest", "highest"])
caption = "Share of the test images on which two runs differ, in percent: mean, lowest and highest of so many pairs."
if len(churn):
    chapter.table(style, "churn", caption)

# %% [markdown]
# What does a change of level add to a change of seed? The *excess* is the mean churn across, with different seeds,
# minus the mean churn within the two levels. Its expected value is never negative. It is zero exactly where both levels
# give every image every class with the same probability, over the chance of the seeds. It is an estimate: where it
# should be zero, it will be a little above or below.

# %%
excess = predictions.excess(disagreements, comparison)
columns = excess.columns.drop("level") if comparison.axis == "framework" else excess.columns
style = shown(excess, columns)
style.format(percent, subset=["within", "across"]).format(points, subset=["excess"])
caption = f"Mean churn within a {comparison.axis} and across, in percent, and what is added to the seed, in points."
if len(excess):
    chapter.table(style, "churn_excess", caption)
elif len(answers):
    chapter.markdown(f"The excess needs two seeds in each {comparison.axis}; no group has them yet.")

# %% [markdown]
# ## What was found

# %%
if gaps.delta.any():
    row = gaps.loc[gaps.delta.abs().idxmax()]
    chapter.markdown(
        f"- **Classes**: the widest gap is {points(row.delta)} points, {title(row.level)} minus {against}, on class "
        f"{row['class']} of {row.dataset}, which has {row.images} test images."
    )

# %%
for name, rows in calibration.groupby(comparison.axis):
    error, sure = rows.calibration_error, (rows.confidence > rows.test_accuracy).sum()
    chapter.markdown(
        f"- **Calibration of {title(name)}**: an expected calibration error from {percent(error.min())} % to "
        f"{percent(error.max())} %; on the whole surer than right: {sure} of {len(rows)} runs."
    )

# %%
if len(excess):
    within, across, added = excess.within.median(), excess.across.median(), excess.excess
    chapter.markdown(
        f"- **Churn**: in the median group two seeds of one {comparison.axis} differ on {percent(within)} % of the "
        f"images, and two runs that differ in {comparison.axis} and seed on {percent(across)} %. The excess is above "
        f"zero in {(added > 0).sum()} of {len(added)} comparisons, and lies between {points(added.min())} and "
        f"{points(added.max())} points."
    )
elif answers.empty:
    chapter.markdown("Nothing yet.")
