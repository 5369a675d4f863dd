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
# Left to themselves, Keras and PyTorch do not train the same network. Batch normalisation forgets at another pace, the
# same number means another weight decay, a stride stands on another convolution. A comparison that calls the sum of
# all this "the framework" explains nothing. Chapter 2 lists what differs. This chapter measures what each difference
# is worth, in accuracy and in speed.
#
# Both frameworks start from the same weights, or where their initialisations differ from the same quantiles, and see
# the same images in the same order with the same crops and flips. Then one cause after another is taken away: both
# frameworks follow the same convention in it. At the end of that way stand twins, which no known convention tells
# apart, unless the table of causes below says that one is not attributed. From there the way is gone back: the causes
# return, one after another, in the same order.

# %% tags=["parameters"]
study_name = "attribution-quick"

# %% tags=["setup"]
from lib.analysis import attribution, environments
from lib.analysis.attribution import ALIGNED, GROUP, NATIVE
from lib.analysis.contrasts import ALIKE
from lib.analysis.results import accumulated
from lib.figures.effects import waterfall
from lib.report.chapter import Chapter
from lib.report.tables import points, shown
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %%
study = load_study(study_name)
gaps = {gap: attribution.gaps(study, gap) for gap in attribution.GAPS}
accuracy, speed = (attribution.effects(study, gaps[gap]) for gap in ("accuracy", "speed"))
ratios = attribution.as_ratios(speed)
whole = len(accuracy) > 0

# %%
planned, found = len(study.matched("framework")), len(gaps["accuracy"])
chapter.markdown(
    f"{found} of {planned} pairs are finished in both frameworks. The {planned} pairs are made of "
    f"{len(study.cells)} runs: where a cause is the other framework's to change, a run serves several pairs."
)
if not whole:
    chapter.markdown("**There is nothing to take apart yet:** no seed is finished in every step of the way.")

# %%
items = environments.environment_items(study)
if len(items):
    chapter.table(items, "environments", "What the runs were made with, and how many of each framework.")
chapter.markdown(environments.sets_note())

# %%
grown = accumulated(study)
if grown:
    chapter.markdown(f"Out of memory, these runs took smaller micro-batches than planned: {', '.join(grown)}.")

# %% [markdown]
# ## The causes
#
# A cause is one switch or several that belong together. Where a cause does not concern a network, its part is zero by
# construction, and it is left out of that network's figures and tables.

# %%
caption = "The causes, in the order in which they are aligned, and the networks that each concerns."
chapter.table(attribution.causes(study), "causes", caption)

# %% [markdown]
# ## How a part is measured
#
# Let $g(S)$ be the gap, PyTorch minus Keras on one seed, where the causes in $S$ are aligned. On the way forth, cause
# $k$ takes off $g(\{1, ..., k-1\}) - g(\{1, ..., k\})$. On the way back it brings $g(\{k+1, ...\}) - g(\{k, ...\})$.
# The two differ where causes depend on each other: a weight decay may matter with one batch normalisation and not with
# another. Their mean is the cause's part. Along each way the parts add up to $g(\{\}) - g(\text{all})$, and so do
# the means: the native gap is the sum of the parts and of what is left.
#
# Each part is computed seed by seed and then averaged, with a 95 % t interval over the seeds. What the two runs of a
# pair share, and what the steps of one seed share, drops out of it. With three seeds such an interval is wide, since
# $t$ is 4.3 with two degrees of freedom: a part whose interval holds zero is not told from chance.

# %% [markdown]
# ## The gap in accuracy

# %%
if whole:
    caption = "The native gap in test accuracy, what each cause takes off it, and what is left with all aligned."
    alt = "For each network a waterfall from the native gap through each cause's part down to what is left."
    chapter.figure(waterfall(accuracy, on_ratio=False), "waterfall_accuracy", caption, alt)

# %%
columns = ["model", "cause", "n", "forth", "back", "effect", "low", "high"]
caption = "Parts of the gap in test accuracy in points: on the way forth, back, their mean and its 95 % t interval."
if whole:
    chapter.table(shown(accuracy, columns), "effects_accuracy", caption)

# %% [markdown]
# The first row of a network is the whole gap, the last what is left of it with all causes aligned. A positive part
# raises PyTorch against Keras natively, a negative one lowers it. Parts with the gap's own sign explain it, the others
# hide some of it.
#
# Where *forth* and *back* are far apart, the part is not the cause's alone: it depends on which other causes are there.

# %% [markdown]
# ## The gap in speed
#
# The same, for images a second in the later half of the epochs, as a ratio PyTorch / Keras. A part is a factor here,
# and the factors multiply. A factor is the cost of a switch *as it is written here*: the framework that follows the
# other one does so with layers and optimizers of this project, which have not been tuned as its own have. So what is
# left at the end is not the frameworks' speed alone, but has that extra work in it.

# %%
chapter.markdown(environments.libraries_note(study))
if whole:
    caption = "The native ratio of speeds, the factor that each cause takes off it, and the ratio with all aligned."
    alt = "For each network a waterfall on a log scale from the native ratio of speeds down to what is left."
    chapter.figure(waterfall(speed, on_ratio=True), "waterfall_speed", caption, alt)

# %%
style = shown(ratios, columns).format("{:.3f}", subset=["forth", "back", "effect", "low", "high"], na_rep="n/a")
caption = "Factors of the ratio of speeds, PyTorch / Keras: forth, back, their geometric mean and 95 % t interval."
if whole:
    chapter.table(style, "effects_speed", caption)

# %% [markdown]
# ## What pairing buys
#
# Two runs of a pair that share their weights and images have something in common beyond a seed number. How much, the
# correlation $r$ of their accuracies over the seeds tells. The variance of a difference is
# $\sigma_K^2 + \sigma_P^2 - 2 r \sigma_K \sigma_P$, so with equal variances a pair is worth $1 / (1 - r)$ pairs of
# independent runs. With few seeds $r$ is known badly; pooled over the networks it is known a little better.

# %%
pairing = attribution.pairing(study, gaps["accuracy"])
caption = "Correlation r of test accuracy within pairs, and how many seeds without pairing one seed is worth."
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
        f"({points(left.low)} to {points(left.high)}) are left."
    )

# %%
for keys, rows in ratios.groupby(GROUP, sort=False) if whole else ():
    native, left = (rows[rows.cause == name].iloc[0] for name in (NATIVE, ALIGNED))
    chapter.markdown(
        f"- **{keys[1]}**, speed PyTorch / Keras: natively {native.effect:.3f} (95 % {native.low:.3f} to "
        f"{native.high:.3f}), with all causes aligned {left.effect:.3f} ({left.low:.3f} to {left.high:.3f})."
    )
chapter.markdown(
    "The largest part was picked after the fact, and no interval is corrected for how many there are."
    if whole
    else "Nothing yet."
)
