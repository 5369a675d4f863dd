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
# Natively, Keras and PyTorch do not train the same network: they differ in conventions, which the causes below name. A
# comparison that attributes the sum of all this to "the framework" explains nothing. This chapter measures the effect
# of each cause on accuracy and on speed.
#
# Both frameworks start from the same weights, or from the same quantiles where their initialisations differ, and see
# the same images in the same order with the same crops and flips. Then one cause after another is aligned: both
# frameworks follow the same convention. The last step has twins, which differ in no known convention except those that
# the table of causes below lists as not attributed. On the way back, the causes become native again, one after another,
# in the same order.

# %% tags=["parameters"]
study_name = "attribution-quick"

# %% tags=["setup"]
from lib.analysis import attribution, environments, timing
from lib.analysis.attribution import ALIGNED, GROUP, NATIVE, chance_of, floor_of
from lib.analysis.contrasts import ALIKE
from lib.analysis.inference import ALPHA
from lib.analysis.results import accumulated, results
from lib.figures.effects import waterfall
from lib.report.chapter import Chapter
from lib.report.tables import percent, points, points_between, ratio_between, shown
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %%
study = load_study(study_name)
runs = results(study)
gaps = {scale: attribution.gaps(study, runs, scale) for scale in attribution.SCALES}
accuracy, odds, speed = (attribution.effects(study, found) for found in gaps.values())
ratios = attribution.as_ratios(speed)
causes = accuracy[~accuracy.cause.isin([NATIVE, ALIGNED])]
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
    chapter.markdown("[Table](#tbl-environments): an item with one value is the same in all runs.")
    chapter.table(items, "environments", "Versions and hardware, and the number of runs of each framework.")
chapter.markdown(environments.sets_note())

# %%
grown = accumulated(study)
if grown:
    chapter.markdown(f"These runs ran out of memory and used smaller micro-batches: {', '.join(grown)}.")

# %% [markdown]
# ## The causes
#
# A cause in [Table](#tbl-causes) is one switch, or several that belong together. If a cause does not concern a network,
# its part is zero by construction and is left out of that network's figures and tables.

# %%
caption = "The causes, in the order in which they are aligned, and the networks that each concerns."
chapter.table(attribution.causes(study), "causes", caption)

# %% [markdown] tags=["detail"]
# ## How a part is measured
#
# Let $g(S)$ be the gap, PyTorch minus Keras on one seed, with the causes in $S$ aligned. On the way forth, cause $k$
# removes $g(\{1, ..., k-1\}) - g(\{1, ..., k\})$. On the way back it adds $g(\{k+1, ...\}) - g(\{k, ...\})$. The two
# differ by chance, and also if causes interact. Their mean is the cause's part. Along each way the parts add up to
# $g(\{\}) - g(\text{all})$, and so do the means: the native gap is the sum of the parts and of the gap that remains
# with all causes aligned.
#
# Each part is a mean over the seeds of weighted sums of runs. What the runs of a seed share cancels. The variance of a
# run is estimated from all runs of a network, after the means of each run and of each seed in each framework are
# removed; it is taken to be the same in all. So a part's interval has many degrees of freedom even with three seeds.
# The native gap and the gap with all causes aligned have ordinary 95 % t intervals over the seeds. With three seeds
# these are wide, since $t$ is 4.3 with two degrees of freedom.
#
# Of eight parts that are all zero, one or another would lie outside its own 95 % interval in about a third of all
# studies. So the intervals of the parts are *simultaneous*: with $m$ parts in a table each has the level $1 - 0.05 / m$
# (Bonferroni), and all contain the true parts with a probability of at least 95 %.

# %%
if len(causes):
    level, freedom = 100 * (1 - ALPHA / len(causes)), causes.freedom
    several = f" to {freedom.max()}" if freedom.nunique() > 1 else ""
    chapter.markdown(
        f"Here {len(causes)} parts of accuracy have intervals of {level:.2f} % each, with {freedom.min()}{several} "
        f"degrees of freedom from n = {accuracy.n.min()} seeds."
    )

# %% [markdown]
# ## Runs near chance
#
# A run is *near chance* below 15 % of the way from chance to 1. On a logistic curve from chance to 1 an effect of the
# same cause is half as large there as in the middle. Such a run also scatters less than the others, or is one that
# failed, so no variance is pooled over a network that has one.

# %%
near = attribution.near_chance(gaps["accuracy"])
for keys, rows in near.groupby(GROUP, sort=False):
    chapter.markdown(
        f"**{keys[1]}, {keys[2]}, is near chance** in {len(rows)} of {len(study.way)} steps ({', '.join(rows.arm)}). "
        f"Its lowest run reaches {percent(rows.lowest.min())} %; chance is {percent(chance_of(keys[0]))} %, and near "
        f"chance ends at {percent(floor_of(keys[0]))} %. Its parts in points are too small in these steps, so the "
        "order of the causes decides in part which one seems important. Each interval rests on its own cause alone."
    )
if whole and near.empty:
    chapter.markdown("No run is near chance.")

# %% [markdown]
# ## The gap in accuracy

# %%
if whole:
    caption = "The native gap in test accuracy, the part of each cause, and the gap that remains with all aligned."
    alt = "For each network a waterfall from the native gap through each cause's part to the remaining gap."
    chapter.markdown("[Figure](#fig-waterfall_accuracy): which steps are larger than their intervals?")
    chapter.figure(waterfall(accuracy, on_ratio=False), "waterfall_accuracy", caption, alt)

# %%
renamed = {"effect": "log_odds", "low": "log_odds_low", "high": "log_odds_high"}
beside = odds.rename(columns=renamed)[[*GROUP, "cause", *renamed.values()]]
both = accuracy.merge(beside, on=[*GROUP, "cause"])
caption = "Parts of the gap in test accuracy, in points and as a difference of log odds, with their intervals."
if whole:
    columns = ["model", "cause", "n", "effect", "low", "high", *renamed.values()]
    chapter.markdown("[Table](#tbl-effects_accuracy) has each part in points, and on the scale of log odds.")
    chapter.table(shown(both, columns), "effects_accuracy", caption)

# %% [markdown]
# The first row of a network is the whole gap, the last the gap that remains with all causes aligned. A positive part
# raises PyTorch relative to Keras natively, a negative one lowers it. Parts with the sign of the gap explain it, the
# others hide some of it. A part whose interval contains zero cannot be distinguished from chance.
#
# *Log odds* are $\log((a - c) / (1 - a))$ of an accuracy $a$ with chance $c$, the scale of the three-parameter logistic
# model (Birnbaum 1968). Near chance and near 100 %, where a cause has little room, its part shrinks in points but not
# on this scale. A network with a run at or below chance, or with no error, has parts without a value there.

# %% [markdown] tags=["detail"]
# ## The two ways

# %%
order = causes[["model", "cause", "forth", "back", "apart", "apart_low", "apart_high"]]
style = shown(order, order.columns).format(points, subset=["apart"], na_rep="one number")
caption = "The part of each cause in points on the way forth and back, and the difference with its interval."
if whole:
    chapter.markdown("[Table](#tbl-order_accuracy) has both ways.")
    chapter.table(style, "order_accuracy", caption)

# %% [markdown]
# If the interval of *forth* minus *back* excludes zero, the cause interacts with others: its part depends on which of
# them are aligned. If it contains zero, the difference may be chance. *One number* stands where both ways compare the
# same runs, so that they agree by construction and say nothing about interactions.

# %% [markdown]
# ## The gap in speed
#
# The same for images per second in the later half of the epochs, as a ratio PyTorch / Keras. Here a part is a factor,
# and the factors multiply. A factor is the cost of a switch *as implemented here*: the framework that follows the other
# one does so with layers and optimizers of this project, which are less tuned than its own. The ratio with all causes
# aligned therefore includes this extra work.

# %%
chapter.markdown(environments.libraries_note(study))
doubts = list(timing.unreliable(study, runs, study.main).values())
doubt = f" Timing not reliable: {doubts[0]}." if doubts else ""
if doubts:
    chapter.markdown(f"**Speeds are not to be relied on** in {len(doubts)} steps of a network; the first: {doubts[0]}.")
if whole:
    caption = f"The native ratio of speeds, the factor of each cause, and the ratio with all causes aligned.{doubt}"
    chapter.markdown("[Figure](#fig-waterfall_speed): each step multiplies the ratio.")
    alt = "For each network a waterfall on a log scale from the native ratio of speeds to the remaining ratio."
    chapter.figure(waterfall(speed, on_ratio=True), "waterfall_speed", caption, alt)

# %%
values = ["forth", "back", "effect", "low", "high"]
style = shown(ratios, ["model", "cause", "n", *values]).format("{:.3f}", subset=values, na_rep="n/a")
caption = f"Factors of the ratio of speeds, PyTorch / Keras: forth, back, their geometric mean and its interval.{doubt}"
if whole:
    chapter.markdown("[Table](#tbl-effects_speed): a factor whose interval contains 1 cannot be told from chance.")
    chapter.table(style, "effects_speed", caption)

# %%
if whole:
    opening = f"Not decided, since the times cannot be relied on: {doubts[0]}. Measured: " if doubts else ""
    chapter.finding("Speed", f"{opening}PyTorch / Keras {attribution.ends(ratios, ratio_between)}.")

# %% [markdown] tags=["detail"]
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
    chapter.markdown("[Table](#tbl-pairing): a *worth* above 1 is a gain.")
    chapter.table(shown(pairing, ["conventions", "model", *ALIKE]), "pairing", caption)

# %% [markdown]
# ## What was found

# %%
if whole:
    chapter.finding("Accuracy", f"PyTorch minus Keras {attribution.ends(accuracy, points_between)}.")

# %%
for keys, rows in accuracy.groupby(GROUP, sort=False) if whole else ():
    parts = rows[~rows.cause.isin([NATIVE, ALIGNED])].sort_values("effect", key=abs, ascending=False)
    native, left = (rows[rows.cause == name].iloc[0] for name in (NATIVE, ALIGNED))
    largest = "".join(
        f"the largest part is *{part.cause}* with {points_between(part.effect, part.low, part.high)}; "
        for part in parts[:1].itertuples()
    )
    chapter.markdown(
        f"- **{keys[1]}**, {keys[2]}, n = {native.n} seeds: natively "
        f"{points_between(native.effect, native.low, native.high)}; {largest}with all causes aligned "
        f"{points_between(left.effect, left.low, left.high)} remain."
    )

# %%
for keys, rows in ratios.groupby(GROUP, sort=False) if whole else ():
    native, left = (rows[rows.cause == name].iloc[0] for name in (NATIVE, ALIGNED))
    chapter.markdown(
        f"- **{keys[1]}**, speed PyTorch / Keras: natively {ratio_between(native.effect, native.low, native.high)}, "
        f"with all causes aligned {ratio_between(left.effect, left.low, left.high)}.{doubt}"
    )
chapter.markdown(
    "The largest part was selected after the measurement. Its interval allows for this; its value is more likely too "
    "far from zero than too near."
    if whole
    else "Nothing yet."
)
