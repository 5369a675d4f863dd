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
# # Which network for small images, and at what price?
#
# A published table has networks of ten families on CIFAR-100: ResNets [@he2016], ECA-Nets [@wang2020eca], GhostNets
# [@han2020], ConvNeXts [@liu2022], SegNeXt's MSCAN [@guo2022], MLP-Mixers [@tolstikhin2021], CSPNets [@wang2020csp],
# ResNeSts [@zhang2020], CoAtNets [@dai2021] and HorNets [@rao2022]. They go from a Ghost-ResNet of 0.15 million
# parameters to an MLP-Mixer of 59 million. The large networks do not beat the small ones. Many were made for images of
# 224 pixels: at 32 pixels their stems throw most of the image away. Here each network is built for 32 pixels: stems
# keep the image's size, Ghost modules have convolutions of 3x3 pixels like those that they replace, and Mixers take
# patches of 4x4. Each trains with a recipe that suits it. How accurate does each become, what does this cost, and do
# different networks err on different images?
#
# The studies `zoo-eca`, `zoo-ghost` and `zoo-stem` take three families apart. This chapter belongs to all of them and
# shows what its study has: a part that it has no runs for says so. *Test accuracy* is that of the epoch with the best
# val accuracy. Choices use val alone.

# %% tags=["parameters"]
study_name = "zoo-quick"

# %% tags=["setup"]
from lib.analysis import ablations, findings, judgements, zoo
from lib.analysis.predictions import answers
from lib.analysis.results import epochs, results
from lib.figures.ablations import draw_ablations
from lib.figures.zoo import draw_consistency, draw_costs, draw_courses, draw_overview
from lib.report.chapter import Chapter, to_figures
from lib.report.tables import percent, points, points_between, rounded, shown, span
from lib.study.loading import load_study
from lib.study.models import find

chapter = Chapter(study_name)

# %%
study = load_study(study_name)
found = results(study)
table = zoo.zoo(study, found)

# %%
chapter.markdown(f"{len(found)} of {len(study.entries)} runs have results.")
if found.empty:
    chapter.markdown("**Nothing has been run yet:** there is nothing to compare.")
elif table.published_accuracy.isna().all():
    chapter.markdown("None of the networks with results has a published accuracy on this dataset.")

# %% [markdown]
# ## The networks
#
# *Published* is the column of the table that this study answers, and *gap* is ours minus it, in points. The published
# table has one value for each network, without seeds or a deviation. It gives 300 epochs as its default and does not
# say which networks depart from it. Ours have the epochs of their column, and can be compared with it only if they
# train as long and on as many images. *Recipe* names the settings of `params/train.yaml` that the network trains with,
# and SD is the sample deviation over the seeds. Where ours is not the published network, a note below says why.

# %%
columns = ["family", "model", "published_accuracy", "test_accuracy", "test_accuracy_sd", "gap", "seeds", "epochs"]
caption = "What each network reaches beside the published accuracy; means over the seeds, differences in points."
if len(table):
    chapter.markdown("[Table](#tbl-zoo_accuracy): a positive gap is a network that is better here than published.")
    chapter.table(shown(table, [*columns, "recipe"]), "zoo_accuracy", caption)

# %%
caption = "What each network costs, and its points of test accuracy per million parameters."
columns = ["model", "published_parameters", "parameters", "multiply_adds", "seconds", "train_seconds", "per_million"]
if len(table):
    chapter.markdown("[Table](#tbl-zoo_costs): a network of the same size as the published one has its parameters too.")
    chapter.table(shown(table, columns), "zoo_costs", caption)
for model in map(find, table.model):
    if model.note:
        chapter.markdown(f"- {model.name}: {model.note.why}.")

# %%
caption = "Left: test accuracy, ours and published. Right: points of test accuracy per million parameters, log scale."
if len(table):
    chapter.markdown("[Figure](#fig-zoo_overview): is the most accurate family the most efficient one too?")
    chapter.figure(draw_overview(table), "zoo_overview", caption, "Accuracy and efficiency of each network, by family.")

# %% [markdown]
# ## The families
#
# Each family has one row: its best network, chosen on val. A family with many networks here has more chances. Points
# per million parameters say little about a large network, since the first million brings most of the accuracy; the
# fronts below are the fairer measure.

# %%
columns = ["family", "networks", "model", "acc_best", "test_accuracy", "parameters", "train_seconds", "per_million"]
best = zoo.families(table)
caption = "The best network of each family on val, and what it costs."
if len(best):
    chapter.markdown("[Table](#tbl-zoo_families): which family is first, and at what cost?")
    chapter.table(shown(best, columns), "zoo_families", caption)

# %% [markdown]
# ## Accuracy and its price
#
# A network is on the *Pareto front* of a cost if no other is as accurate for less, or more accurate for the same. The
# fronts describe these runs and choose nothing: a network that misses one by less than the deviation of its seeds may
# be on it in the next study. Multiply-adds are counted for one image, and training is timed without validation. Times
# can be compared only if all runs were made on one kind of machine; the chapter of results lists the machines. A † in a
# table marks times that are not to be relied on, such as those of runs beside other work.

# %%
fronts = {cost: zoo.front(table, cost) for cost in zoo.COSTS}
caption = "Test accuracy against three costs (log scales). The networks on each Pareto front are named at the right."
caption += " A hollow marker is of a time that is not to be relied on." if (table.timing != "").any() else ""
if len(table) > 1:
    chapter.markdown("[Figure](#fig-zoo_costs): a network below the stairs is beaten at its own price.")
    chapter.figure(draw_costs(table), "zoo_costs", caption, "Accuracy over cost, with the Pareto front as stairs.")
else:
    chapter.markdown("A front needs two networks with results.")

# %% [markdown]
# ## How they learn
#
# One panel is one family. All have the same axes, so that a slow start or an early end can be compared across panels.
# The curves are those of val accuracy, on whole images and hard labels. Some recipes mix two images and their labels,
# or smooth the labels. What such a run logs of its training cannot be compared with that of another recipe: its images
# are harder, and no network can bring its loss to zero.

# %%
soft = zoo.soft(study)
if soft:
    chapter.markdown(
        f"{len(soft)} networks train on mixed or smoothed labels. Their train accuracy is against the hard label (the "
        f"larger share's) and their train loss against the mixed one: {', '.join(soft)}."
    )

# %%
caption = "Val accuracy over the epochs by family: bold means over the seeds, thin single seeds."
if len(table):
    chapter.markdown("[Figure](#fig-zoo_courses): a curve that still rises at its end would gain from more epochs.")
    drawn = draw_courses(zoo.first(study, epochs(study)), table)
    chapter.figure(drawn, "zoo_courses", caption, "A panel of learning curves for each family.")

# %% [markdown]
# ## What makes the difference
#
# One row is one difference in points of test accuracy, pair by pair of the same seed. The intervals are simultaneous:
# with a probability of 95 %, all intervals of a figure contain their true differences. The verdicts are those of the
# chapter on statistics: *equivalent* if the corrected test puts a difference within the margin, the band of the figure,
# else *different* if the corrected test finds it other than zero, else *undecided*. The differences of one comparison
# are a family, over which Holm's correction is made.
#
# ECA's adaptive kernel follows from the number of channels, and with 16, 32 and 64 of them it is 3. So `adaptive` and
# `k3` are *one* network, as are ResNet-20 and ECA-Net without its attention. The difference of two names of one network
# is noise: it must not be judged different. On a device that computes the same bits twice it is zero.

# %%
for names in zoo.synonyms(table.model):
    chapter.markdown(f"- {', '.join(names)}: one network under {len(names)} names.")

# %%
compared = zoo.comparisons(study, found)
chapter.markdown(
    judgements.when_fixed(study, ["accuracy"]) if compared else "There are no two arms or networks to compare."
)
names = [f"zoo_{against}_{where.replace(', ', '_')}" for against, where, _ in compared]
if names:
    chapter.markdown(f"{to_figures(*names)}: an interval inside the band is no difference that matters.")
for name, (against, where, rows) in zip(names, compared, strict=True):
    drawn = draw_ablations(ablations.simultaneous(rows))
    caption = f"{where}: every difference to {against}, with Bonferroni's intervals and the margin."
    alt = f"Differences of test accuracy to {against}, one row each: {where}."
    chapter.figure(drawn, name, caption, alt)

# %% [markdown]
# ## Which networks err on the same images
#
# Two networks of 70 % both err on 9 % of the images by chance, and in fact on more: some images are hard for all.
# Cohen's kappa of right and wrong answers is their *error consistency* [@geirhos2020]. It is 0 if the errors are
# independent given both accuracies, and 1 if they are the same. Pairs of networks share their seed; the diagonal
# compares a network's own seeds with each other and shows what to expect of one architecture. Two names of one network
# have 1 if their runs repeat bit by bit; they are in the map, and are no pair in the table and in the means. Networks
# whose errors differ are worth combining.

# %%
answered = zoo.first(study, answers(study))
kappa = zoo.consistency(answered)
pairs = zoo.alike(kappa)
if pairs.empty:
    chapter.markdown("This needs two networks with a common seed.")

# %%
caption = "Error consistency of two networks, ordered by clusters. Dark: they err on the same images. Grey: no value."
if len(pairs):
    chapter.markdown("[Figure](#fig-zoo_consistency) has all pairs, [Table](#tbl-zoo_alike) those at the two ends.")
    drawn = draw_consistency(kappa, zoo.clusters(kappa))
    chapter.figure(drawn, "zoo_consistency", caption, "A clustered heat map of kappa, with its tree above.")
    ends = pairs.drop(pairs.index[8:-8])
    chapter.table(shown(ends, list(ends.columns)), "zoo_alike", "The pairs that err most alike, and those least alike.")

# %% [markdown]
# ## What was found
#
# Three of these sentences need a word. A front is one of these runs and of their machine. The control compares two
# names of one network. And a mended stem is ours, for 32 pixels, minus the original one, for 224: ConvNeXt's takes
# patches of 4x4 pixels, and ResNeSt's halves the image twice before its first block, so that their last maps have a
# single pixel. The stem explains a part of the gap to the published table that no recipe could close.

# %%
if len(table):
    top, cheap = zoo.best_on_val(table)
    chapter.markdown(
        f"- **{top.model}** is the most accurate on val and reaches {percent(top.test_accuracy)} % on test (n = "
        f"{top.seeds} seeds, {top.epochs} epochs). **{cheap.model}** has the most val points per million parameters. "
        f"On test it has {rounded(100 * cheap.per_million)} per million, at {percent(cheap.test_accuracy)} %."
    )

# %%
for cost, rows in fronts.items() if len(table) > 1 else ():
    if len(rows):
        doubt = findings.not_reliable(rows) if cost in zoo.TIMES else ""
        title = f"**Pareto front, {zoo.COSTS[cost].title}**{doubt}"
        chapter.markdown(f"- {title}, the cheapest first: {', '.join(rows.model)}.")

# %%
known = table.dropna(subset="gap")
if len(known):
    low, high = known.loc[known.gap.idxmin()], known.loc[known.gap.idxmax()]
    chapter.markdown(
        f"- **Against the published table**: {(known.gap > 0).sum()} of {len(known)} networks are above it. The gaps "
        f"lie between {points(low.gap)} ({low.model}) and {points(high.gap)} points ({high.model})."
    )

# %%
for against, where, rows in compared:
    for judgement, judged in rows.groupby("judgement"):
        listed = ", ".join(f"{row.level} ({points(row.delta)})" for row in judged.itertuples())
        chapter.markdown(f"- **{where}: {judgement} against {against}**, in points, n = {span(judged.n)}: {listed}.")

# %%
for row in (one for *_, rows in compared for one in rows[rows.control].itertuples()):
    holds = "does not hold" if row.judgement == "different" else "holds" if row.n > 1 else "has no spread to judge"
    chapter.markdown(
        f"- **The control {holds}**: {row.level} against {row.against} must not be different, and is "
        f"{row.judgement} ({points(row.delta)} points, n = {row.n} seeds)."
    )

# %%
for row in zoo.mends([rows for *_, rows in compared]).itertuples():
    gain = points_between(row.delta, row.ci_low, row.ci_high)
    chapter.markdown(f"- **The mended stem, {row.model}**: {gain} ({row.judgement}, n = {row.n} seeds).")

# %%
if len(pairs):
    near, far = pairs.iloc[0], pairs.iloc[-1]
    chapter.markdown(
        f"- **Errors** are most alike in {near.model} and {near.other} (kappa {near.kappa:.2f}), and least in "
        f"{far.model} and {far.other} ({far.kappa:.2f}); n = {len(pairs)} pairs of networks."
    )
for kin, rows in pairs.groupby("kin"):
    where = "within a family" if kin else "across families"
    chapter.markdown(f"- Mean kappa **{where}**: {rows.kappa.mean():.2f}, n = {len(rows)} pairs.")
if found.empty:
    chapter.markdown("Nothing yet.")
