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
# # Where does the gap come from?
#
# Natively, Keras and PyTorch do not train the same network. Batch normalisation has another momentum, the same number
# means another weight decay, a stride is on another convolution. A comparison that attributes the sum of all this to
# "the framework" explains nothing. The chapter on parity lists the differences. This chapter measures the effect of
# each one on accuracy and on speed.
#
# Both frameworks start from the same weights, or from the same quantiles where their initialisations differ, and see
# the same images in the same order with the same crops and flips. Then one cause after another is aligned: both
# frameworks follow the same convention. The last step has twins, which differ in no known convention except those that
# the table of causes below lists as not attributed. On the way back, the causes become native again, one after another,
# in the same order.

# %% tags=["parameters"]
study_name = "attribution-quick"

# %% tags=["setup"]
from lib.analysis import attribution, environments
from lib.analysis.attribution import ALIGNED, GROUP, NATIVE
from lib.analysis.contrasts import ALIKE
from lib.analysis.results import accumulated, results
from lib.figures.effects import waterfall
from lib.report.chapter import Chapter
from lib.report.tables import points, ratio_between, shown
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %%
study = load_study(study_name)
runs = results(study)
gaps = {gap: attribution.gaps(study, runs, gap) for gap in attribution.GAPS}
accuracy, speed = (attribution.effects(study, gaps[gap]) for gap in ("accuracy", "speed"))
ratios = attribution.as_ratios(speed)
whole = len(accuracy) > 0

# %%
planned, found = len(study.matched("framework")), len(gaps["accuracy"])
chapter.markdown(
    f"{found} of {planned} pairs are finished in both frameworks. The {planned} pairs use {len(study.cells)} runs: "
    "where aligning a cause changes only the other framework, a run belongs to several pairs."
)
if not whole:
    chapter.markdown("**There is nothing to attribute yet:** no seed is finished in every step.")

# %%
items = environments.environment_items(study)
if len(items):
    chapter.table(items, "environments", "Versions and hardware, and the number of runs of each framework.")
chapter.markdown(environments.sets_note())

# %%
grown = accumulated(study)
if grown:
    chapter.markdown(f"These runs ran out of memory and used smaller micro-batches: {', '.join(grown)}.")

# %% [markdown]
# ## The causes
#
# A cause is one switch, or several that belong together. If a cause does not concern a network, its part is zero by
# construction and is left out of that network's figures and tables.

# %%
caption = "The causes, in the order in which they are aligned, and the networks that each concerns."
chapter.table(attribution.causes(study), "causes", caption)

# %% [markdown]
# ## How a part is measured
#
# Let $g(S)$ be the gap, PyTorch minus Keras on one seed, with the causes in $S$ aligned. On the way forth, cause $k$
# removes $g(\{1, ..., k-1\}) - g(\{1, ..., k\})$. On the way back it adds $g(\{k+1, ...\}) - g(\{k, ...\})$. The two
# differ if causes interact: a weight decay may matter with one batch normalisation and not with another. Their mean is
# the cause's part. Along each way the parts add up to $g(\{\}) - g(\text{all})$, and so do the means: the native gap
# is the sum of the parts and of the gap that remains with all causes aligned.
#
# Each part is computed seed by seed and then averaged, with a 95 % t interval over the seeds. Effects that the two runs
# of a pair share, or the steps of one seed, cancel. With three seeds such an interval is wide, since $t$ is 4.3 with
# two degrees of freedom. A part whose interval contains zero cannot be distinguished from chance.

# %% [markdown]
# ## The gap in accuracy

# %%
if whole:
    caption = "The native gap in test accuracy, the part of each cause, and the gap that remains with all aligned."
    alt = "For each network a waterfall from the native gap through each cause's part to the remaining gap."
    chapter.figure(waterfall(accuracy, on_ratio=False), "waterfall_accuracy", caption, alt)

# %%
columns = ["model", "cause", "n", "forth", "back", "effect", "low", "high"]
caption = "Parts of the gap in test accuracy in points: way forth, way back, their mean and its 95 % t interval."
if whole:
    chapter.table(shown(accuracy, columns), "effects_accuracy", caption)

# %% [markdown]
# The first row of a network is the whole gap, the last the gap that remains with all causes aligned. A positive part
# raises PyTorch relative to Keras natively, a negative one lowers it. Parts with the sign of the gap explain it, the
# others hide some of it.
#
# If *forth* and *back* are far apart, the cause interacts with others: its part depends on which of them are aligned.

# %% [markdown]
# ## The gap in speed
#
# The same for images per second in the later half of the epochs, as a ratio PyTorch / Keras. Here a part is a factor,
# and the factors multiply. A factor is the cost of a switch *as implemented here*: the framework that follows the other
# one does so with layers and optimizers of this project, which are less tuned than its own. The ratio with all causes
# aligned therefore includes this extra work.

# %%
chapter.markdown(environments.libraries_note(study))
if whole:
    caption = "The native ratio of speeds, the factor of each cause, and the ratio with all causes aligned."
    alt = "For each network a waterfall on a log scale from the native ratio of speeds to the remaining ratio."
    chapter.figure(waterfall(speed, on_ratio=True), "waterfall_speed", caption, alt)

# %%
style = shown(ratios, columns).format("{:.3f}", subset=["forth", "back", "effect", "low", "high"], na_rep="n/a")
caption = "Factors of the ratio of speeds, PyTorch / Keras: forth, back, their geometric mean and 95 % t interval."
if whole:
    chapter.table(style, "effects_speed", caption)

# %%
if whole:
    listed = {
        cause: ", ".join(f"{one.model} {ratio_between(one.effect, one.low, one.high)}" for one in rows.itertuples())
        for cause, rows in ratios.groupby("cause")
    }
    chapter.finding("Speed", f"PyTorch / Keras natively {listed[NATIVE]}; with all causes aligned {listed[ALIGNED]}.")

# %% [markdown]
# ## What pairing gains
#
# The two runs of a pair share first weights and images, so their accuracies are correlated over the seeds. The variance
# of a difference is $\sigma_K^2 + \sigma_P^2 - 2 r \sigma_K \sigma_P$ with the correlation $r$; with equal variances a
# pair is worth $1 / (1 - r)$ pairs of independent runs. With few seeds the estimate of $r$ is imprecise; pooled over
# the networks it is a little better.

# %%
pairing = attribution.pairing(study, gaps["accuracy"])
caption = "Correlation r of test accuracy within pairs, and the number of unpaired seeds that one seed is worth."
if whole:
    chapter.table(shown(pairing, ["conventions", "model", *ALIKE]), "pairing", caption)

# %% [markdown]
# ## What was found

# %%
for keys, rows in accuracy.groupby(GROUP, sort=False) if whole else ():
    parts = rows[~rows.cause.isin([NATIVE, ALIGNED])].sort_values("effect", key=abs, ascending=False)
    native, left = (rows[rows.cause == name].iloc[0] for name in (NATIVE, ALIGNED))
    largest = "".join(
        f"the largest part is *{part.cause}* with {points(part.effect)} ({points(part.low)} to {points(part.high)}); "
        for part in parts[:1].itertuples()
    )
    chapter.markdown(
        f"- **{keys[1]}**, {keys[2]}, n = {native.n} seeds: natively {points(native.effect)} points "
        f"(95 % {points(native.low)} to {points(native.high)}); {largest}with all causes aligned {points(left.effect)} "
        f"({points(left.low)} to {points(left.high)}) remain."
    )

# %%
for keys, rows in ratios.groupby(GROUP, sort=False) if whole else ():
    native, left = (rows[rows.cause == name].iloc[0] for name in (NATIVE, ALIGNED))
    chapter.markdown(
        f"- **{keys[1]}**, speed PyTorch / Keras: natively {native.effect:.3f} (95 % {native.low:.3f} to "
        f"{native.high:.3f}), with all causes aligned {left.effect:.3f} ({left.low:.3f} to {left.high:.3f})."
    )
chapter.markdown(
    "The largest part was selected after the measurement, and the intervals are not corrected for their number."
    if whole
    else "Nothing yet."
)
