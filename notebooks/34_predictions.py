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
# Two runs with the same accuracy may be right on different images and have different confidence. Which classes are
# harder? Is a network less confident when it is wrong? Do two runs that are compared disagree on more images than two
# seeds do? The saved logits of each test image answer.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
from lib import files, paths
from lib.analysis import agreement, judgements, predictions
from lib.analysis.contrasts import published, sides, title
from lib.analysis.inference import ALPHA
from lib.analysis.results import results
from lib.figures.predictions import draw_churn, draw_classes, draw_reliability
from lib.report.chapter import Chapter, to_figures
from lib.report.tables import percent, points, shown
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %%
study = load_study(study_name)
comparison, (against, level) = study.main, sides(study.main)
answers = predictions.answers(study)
if answers.empty:
    chapter.markdown("**Nothing has been run yet:** there are no predictions.")

# %% [markdown] tags=["detail"]
# ## Rounding of the logits
#
# The logits are stored in float16, with three or four digits. Where two classes are nearly equal, rounding may change
# the prediction. So the accuracy computed from them is compared with the one that each run recorded in full precision.

# %%
calibration = predictions.calibration(study, answers)
recorded = results(study)[[*study.keys, "test_accuracy"]]
both = calibration.merge(recorded, on=study.keys, suffixes=("", "_recorded"))
departure = (both.test_accuracy - both.test_accuracy_recorded).abs().max()
if len(both):
    chapter.markdown(f"The largest deviation among {len(both)} runs is {percent(departure)} points of accuracy.")

# %% [markdown]
# ## Which classes are harder?
#
# A dot is the accuracy on the test images of a class, the mean over the seeds, and a line reaches from the lowest seed
# to the highest. Of more than ten classes those with the largest gaps are shown, of which some are large by chance. No
# gap here is tested. A gap that other seeds should confirm is wider than the lines, and stands on many images.

# %%
classes = predictions.per_class(answers, comparison)
datasets = list(classes.dataset.unique())
if datasets:
    chapter.markdown(f"{to_figures(*(f'classes_{one}' for one in datasets))}: which lines do not overlap?")
for dataset, rows in classes.groupby("dataset"):
    few, most = rows.images.min(), rows.images.max()
    size = f"test images in a class: {few}" + (f" to {most}" if most > few else "")
    caption = f"Test accuracy by class on {dataset}, the seeds' mean, lowest and highest; {size}."
    alt = f"Dots of the test accuracy on classes of {dataset}, one panel per group, one dot per {comparison.axis}."
    chapter.figure(draw_classes(rows, comparison), f"classes_{dataset}", caption, alt)

# %% [markdown] tags=["detail"]
# ## The classes in numbers
#
# Of many classes only the widest gaps are shown, of which some are wide by chance.

# %%
gaps = predictions.class_gaps(classes, comparison)
row = [*comparison.group, "level", "class", "images", "mean_keras", "mean_pytorch", "mean_against", "mean_level"]
widest = predictions.widest(gaps)
style = shown(published(gaps, comparison), [*row, "delta"])
style.hide(gaps.index.difference(widest.index), axis="index")
caption = "Accuracy on a class in percent, the difference in points."
if len(gaps) > len(widest):
    caption += f" The {len(widest)} widest gaps; the table saved beside the report has all {len(gaps)}."
if len(gaps):
    chapter.markdown("[Table](#tbl-class_gaps): on few images a class changes in large steps.")
    chapter.table(style, "class_gaps", caption)

# %% [markdown]
# ## How confident are they?
#
# A network's confidence is the largest value of its softmax. A network is *calibrated* if it is right on 80 % of the
# images with a confidence of 80 %, and so on. Below the diagonal a network is overconfident, above it underconfident. A
# dot's area is the share of the images in its bin; small dots scatter.
#
# The *expected calibration error* [@guo2017] is the mean distance between accuracy and confidence. It is never
# negative, so chance alone puts it above zero, and the fewer images, the higher: each run's error stands beside its
# *floor*, that of a perfectly calibrated network.

# %%
curves = predictions.reliability(answers, comparison)
if datasets:
    chapter.markdown(f"{to_figures(*(f'reliability_{one}' for one in datasets))}: on which side of the diagonal?")
for dataset, rows in curves.groupby("dataset"):
    caption = f"Reliability on {dataset}: accuracy in each bin of confidence; the area of a dot is its share of images."
    alt = f"Accuracy over confidence on {dataset}, one panel per group, one curve per {comparison.axis}; the diagonal."
    chapter.figure(draw_reliability(rows, comparison), f"reliability_{dataset}", caption, alt)

# %% [markdown] tags=["detail"]
# ## The calibration in numbers
#
# There are 15 bins of confidence of equal width, over all seeds; the curve leaves out bins with less than 1 % of the
# images. With the share of a bin as its weight, the error of a run is
#
# $$\mathrm{ECE} = \sum_{m=1}^{15} \frac{|B_m|}{n} \, \left|\mathrm{acc}(B_m) - \mathrm{conf}(B_m)\right|.$$
#
# Its floor is the mean error of 200 perfectly calibrated networks with the run's confidences, whose hits are drawn with
# these probabilities (consistency resampling, Broecker and Smith 2007). A run's error is *above chance* if it exceeds
# 95 % of theirs.

# %%
calibration["above_chance"] = calibration.calibration_error > calibration.floor_high
means = calibration.groupby([*comparison.group, comparison.axis], as_index=False).agg(
    seeds=("seed", "size"),
    test_accuracy=("test_accuracy", "mean"),
    confidence=("confidence", "mean"),
    calibration_error=("calibration_error", "mean"),
    lowest=("calibration_error", "min"),
    highest=("calibration_error", "max"),
    floor=("floor", "mean"),
    above_chance=("above_chance", "sum"),
)

# %%
style = shown(means, means.columns)
style.format(percent, subset=["confidence", "calibration_error", "lowest", "highest", "floor"])
caption = (
    "Calibration in percent: means over the seeds, the lowest and highest calibration error of a seed, the mean floor, "
    "and the number of seeds whose error is above chance."
)
if len(means):
    chapter.markdown("[Table](#tbl-calibration): an error near its floor is no sign of a fault.")
    chapter.table(style, "calibration", caption)
    with files.replacing(paths.REPORT / study_name / "tables" / "calibration_runs.csv") as path:
        calibration.to_csv(path, index=False)

# %% [markdown]
# ## On which images do they disagree?
#
# *Churn* is the share of the test images for which two runs predict different classes [@milanifard2016]. It depends on
# accuracy, so churn across levels is compared with the churn between seeds of the same group. Each run occurs in
# several dots, so the dots are not independent.

# %%
disagreements = agreement.disagreements(answers, comparison)
churn = agreement.churn(disagreements, comparison)
caption = "Churn of every two runs, one dot each; a stroke is the mean of its lane."
alt = "Shares of test images on which two runs differ, in one lane within each level, and in others across levels."
if len(churn):
    chapter.markdown("[Figure](#fig-churn): do the lanes across levels lie further right than those within?")
    chapter.figure(draw_churn(disagreements, comparison), "churn", caption, alt)

# %% [markdown] tags=["detail"]
# ## The churn in numbers
#
# Runs with the same seed number are shown apart from runs with different ones. They should agree more if both start
# from the same weights and see the same batches. Two runs with 30 % errors can differ on up to 60 % of the images, two
# with 1 % errors on hardly any.

# %%
style = shown(churn, churn.columns)
style.format(percent, subset=["churn", "lowest", "highest"])
caption = "Share of the test images on which two runs differ, in percent: mean, lowest and highest over the pairs."
if len(churn):
    chapter.markdown("[Table](#tbl-churn) has the means of the figure's lanes.")
    chapter.table(style, "churn", caption)

# %% [markdown]
# What does a change of level add to a change of seed? The *excess* is the mean churn across levels minus the mean churn
# within the two levels. Its expected value is never negative. It is zero if and only if, over the seeds, both levels
# predict every class of every image with the same probability. The excess is an estimate: if its expected value is
# zero, it will be a little above or below.
#
# If the level made no difference, any *split* of the runs into two levels would be as likely as the real one. The p is
# the share of all splits with an excess at least as high: an exact permutation test. Five runs of each level have 252
# splits, three have 20. Each split has a mirror image, so p is at least 2 / 252 or 2 / 20. If the runs of a seed share
# more than its number, pairs of the same seed are left out, and a split exchanges the two runs of some seeds: n seeds
# have $2^n$ splits. The setting decides, as it does for the tests of the chapter on statistics. With few seeds, one
# group alone cannot have a small p; all groups together can.

# %%
native = judgements.native(study, comparison)
splits = list(agreement.splits(disagreements, comparison, native))
excess, pooled = agreement.excess(splits, comparison), agreement.pooled_excess(splits, comparison)
apart = sum(keys in native for keys in excess[comparison.group].itertuples(index=False, name=None))
if len(excess):
    where = f" in {apart} of {len(excess)} rows" if 0 < apart < len(excess) else ""
    chapter.markdown(f"The runs of a seed share {'only its number' if apart else 'its random draws'}{where}.")

# %%
columns = excess.columns.drop("level") if comparison.axis == "framework" else excess.columns
style = shown(excess, columns)
style.format(percent, subset=["within", "across"]).format(points, subset=["excess"])
caption = (
    f"Mean churn within one {comparison.axis} and across, in percent, the excess in points, and the p of the split "
    "test, not corrected for the number of rows."
)
if len(excess):
    chapter.markdown("[Table](#tbl-churn_excess): an excess near zero adds nothing to a change of seed.")
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
        f"{percent(error.max())} %, where a perfectly calibrated network has {percent(rows.floor.min())} % to "
        f"{percent(rows.floor.max())} %; above chance in {rows.above_chance.sum()} of {len(rows)} runs, "
        f"overconfident on average in {sure}."
    )

# %%
if len(excess):
    within, across, added = excess.within.median(), excess.across.median(), excess.excess
    ends = f"from {points(added.min())} to {points(added.max())} points in {len(added)} comparisons"
    median, span = ("in the median group ", f"The excess is {ends}.") if len(added) > 1 else ("", "")
    chapter.markdown(
        f"- **Churn**: {median}two seeds of one {comparison.axis} differ on {percent(within)} % of the images, and two "
        f"runs of different {comparison.axis}s on {percent(across)} %. {span}"
    )
elif answers.empty:
    chapter.markdown("Nothing yet.")

# %%
for row in pooled.itertuples():
    several = " after Holm's correction" if len(pooled) > 1 else ""
    together = f"in the mean of {row.groups} groups" if row.groups > 1 else "in the one group"
    chapter.markdown(
        f"- **Churn of {title(row.level)} against {against}**: the excess is {points(row.excess)} points {together}, "
        f"{'' if row.p < ALPHA else 'not '}significant at {ALPHA}: p = {row.p:.4f}{several} if the {comparison.axis} "
        "changed no prediction's probability."
    )
