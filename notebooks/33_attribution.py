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
# Both frameworks start from the same weights, as far as their conventions let them, and see the same images in the
# same order with the same crops and flips. Then one cause after another is taken away: both frameworks follow the same
# convention in it. At the end of that way stand twins, which no known convention tells apart. From there the way is
# gone back: the causes return, one after another, in the same order.

# %% tags=["parameters"]
study = "attribution-quick"

# %% tags=["setup"]
from lib import attribution, figures, records, statistics
from lib.attribution import ALIGNED, NATIVE
from lib.params import load_study
from lib.report.chapter import Chapter
from lib.tables import points, shown

chapter = Chapter(study)

# %%
experiment = load_study(study)
gaps = attribution.gaps(experiment)
seeds = int(gaps.groupby(records.GROUP).seed.nunique().min()) if len(gaps) else 0
planned, found = len(experiment.pairs), len(gaps)
chapter.markdown(
    f"{found} of {planned} pairs are finished in both frameworks. They are made of {len(experiment.cells)} runs: where "
    "a cause is the other framework's to change, a run serves several pairs."
)

# %% [markdown]
# ## The causes
#
# A cause is one switch or several that belong together. Where a cause does not concern a network, its part is zero by
# construction, and it is left out of that network's figures and tables.

# %%
caption = "The causes, in the order in which they are aligned, and the networks that each concerns."
chapter.table(attribution.causes(experiment), "causes", caption)

# %% [markdown]
# ## How a part is measured
#
# Let $g(S)$ be the gap, PyTorch minus Keras on one seed, where the causes in $S$ are aligned. On the way forth, cause
# $k$ takes off $g(\{1, ..., k-1\}) - g(\{1, ..., k\})$. On the way back it brings $g(\{k+1, ...\}) - g(\{k, ...\})$.
# The two differ where causes depend on each other: a weight decay may matter with one batch normalisation and not with
# another. Their mean is the cause's part. Along each way the parts add up to $g(\{\}) - g(\text{all})$, and so do
# the means: the native gap is the sum of the parts and of what is left between twins.
#
# Each part is computed seed by seed and then averaged, with a 95 % t interval over the seeds. What the two runs of a
# pair share, and what the steps of one seed share, drops out of it. With three seeds such an interval is wide, since
# $t$ is 4.3 with two degrees of freedom: a part whose interval holds zero is not told from chance.

# %% [markdown]
# ## The gap in accuracy

# %%
accuracy = attribution.effects(experiment, gaps, "accuracy")
if seeds:
    caption = "The native gap in test accuracy, what each cause takes off it, and what is left between twins."
    alt = "For each network a waterfall from the native gap through each cause's part down to the gap between twins."
    chapter.figure(figures.waterfall(accuracy, on_ratio=False), "waterfall_accuracy", caption, alt)

# %%
columns = ["model", "cause", "n", "forth", "back", "effect", "low", "high"]
caption = "Parts of the gap in test accuracy in points: on the way forth, back, their mean and its 95 % t interval."
if seeds:
    chapter.table(shown(accuracy, columns), "effects_accuracy", caption)

# %% [markdown]
# The first row of a network is the whole gap, the last what twins still differ by. A positive part is one that PyTorch
# owes its lead to, a negative one hides behind the others.
#
# Where *forth* and *back* are far apart, the part is not the cause's alone: it depends on which other causes are there.

# %% [markdown]
# ## The gap in speed
#
# The same, for images a second in the later half of the epochs, as a ratio PyTorch / Keras. A part is a factor here,
# and the factors multiply. Most switches change what is computed very little, so most factors should be near 1. What is
# left at the end is how fast the frameworks are at the very same arithmetic.

# %%
speed = attribution.effects(experiment, gaps, "speed")
if seeds:
    caption = "The native ratio of speeds, the factor that each cause takes off it, and the ratio between twins."
    alt = "For each network a waterfall on a log scale from the native ratio of speeds down to the ratio between twins."
    chapter.figure(figures.waterfall(speed, on_ratio=True), "waterfall_speed", caption, alt)

# %%
ratios = attribution.as_ratios(speed)
style = shown(ratios, columns).format("{:.3f}", subset=["forth", "back", "effect", "low", "high"], na_rep="n/a")
caption = "Factors of the ratio of speeds, PyTorch / Keras: forth, back, their geometric mean and 95 % t interval."
if seeds:
    chapter.table(style, "effects_speed", caption)

# %% [markdown]
# ## What pairing buys
#
# Two runs of a pair that share their weights and images have something in common beyond a seed number. How much, the
# correlation $r$ of their accuracies over the seeds tells. The variance of a difference is
# $\sigma_K^2 + \sigma_P^2 - 2 r \sigma_K \sigma_P$, so with equal variances a pair is worth $1 / (1 - r)$ pairs of
# independent runs. With few seeds $r$ is known badly; pooled over the networks it is known a little better.

# %%
pairing = attribution.pairing(experiment, gaps)
caption = "Correlation r of test accuracy within pairs, and how many seeds without pairing one seed is worth."
if seeds:
    chapter.table(shown(pairing, ["conventions", "model", *statistics.ALIKE]), "pairing", caption)

# %% [markdown]
# ## What was found

# %%
for keys, rows in accuracy.groupby(records.GROUP, sort=False) if seeds else ():
    parts = rows[~rows.cause.isin([NATIVE, ALIGNED])]
    whole, left = (rows[rows.cause == name].iloc[0] for name in (NATIVE, ALIGNED))
    largest = parts.loc[parts.effect.abs().idxmax()]
    chapter.markdown(
        f"- **{keys[1]}**, {keys[2]}, n = {whole.n} seeds: natively {points(whole.effect)} points "
        f"(95 % {points(whole.low)} to {points(whole.high)}); the largest part is *{largest.cause}* with "
        f"{points(largest.effect)} ({points(largest.low)} to {points(largest.high)}); between twins "
        f"{points(left.effect)} ({points(left.low)} to {points(left.high)}) are left."
    )

# %%
for keys, rows in ratios.groupby(records.GROUP, sort=False) if seeds else ():
    whole, left = (rows[rows.cause == name].iloc[0] for name in (NATIVE, ALIGNED))
    chapter.markdown(
        f"- **{keys[1]}**, speed PyTorch / Keras: natively {whole.effect:.3f} (95 % {whole.low:.3f} to "
        f"{whole.high:.3f}), between twins {left.effect:.3f} ({left.low:.3f} to {left.high:.3f})."
    )
if not seeds:
    chapter.markdown("Nothing yet: no pair is finished in both frameworks.")
