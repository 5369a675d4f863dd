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
# # What does a small ResNet owe to its parts?
#
# Fashion-MNIST has 70,000 grey images of clothes, 28 pixels wide, in ten classes. A study may compare networks,
# residual ones [@he2016; @page2019] and one of VGG's kind [@simonyan2015]; it may take one apart (shortcuts, batch
# normalisation, optimizer, learning rate, schedule, activation), one question at a time against the same base; or it
# may add augmentation and regularisation. This chapter shows what its study has.
#
# Every change is an *arm*: the base with the few settings that the study's file names. Arms share seeds, and with them
# the order of the images, their crops and flips, and the first weights where the network is the same.

# %% tags=["parameters"]
study_name = "fashion-ablations"

# %% tags=["setup"]
import numpy as np

from lib.analysis import ablations, confusion, judgements, neurons
from lib.analysis.findings import not_reliable
from lib.analysis.networks import cheapest_of_the_best, networks
from lib.analysis.predictions import answers
from lib.analysis.results import results
from lib.data.store import open_store
from lib.figures.ablations import draw_ablations
from lib.figures.confusion import captions, draw_confusions, draw_mistakes
from lib.figures.layers import draw_shares
from lib.figures.style import present
from lib.report.chapter import Chapter, to_figures, to_tables
from lib.report.tables import percent, points, shown, span
from lib.study.datasets import choose
from lib.study.loading import load_study
from lib.words import signed

chapter = Chapter(study_name)

# %%
study = load_study(study_name)
found, main = results(study), study.main
levels = present(found, main)
dataset = choose(study.datasets[0])
names = dataset.names

# %%
chapter.markdown(f"{len(found)} of {len(study.entries)} runs have results.")
smoothed = [one for one in study.entries if one.cell.settings.regularisation.label_smoothing]
if smoothed:
    chapter.markdown(
        "With label smoothing the train loss is that of the smoothed labels; accuracies use the hard ones."
    )
if found.empty:
    chapter.markdown("**Nothing has been run yet:** there is nothing to compare.")

# %% [markdown]
# ## The networks
#
# Accuracy has a price. Multiply-adds are counted for one image, and seconds are those of a late epoch, without
# validation. A network that is more accurate by less than the margin is not worth more time: of several networks near
# the best, the quickest would be chosen, and on val accuracy, since test images choose nothing. Networks with a
# `width`, the channels of their first stage, keep the shape of the whole when they are made smaller. Means are over the
# seeds, and deviations between them are in points. A † marks times that are not to be relied on, such as those of runs
# beside other work.

# %%
table = networks(study, found)
caption = "What each network reaches, means over the seeds, and what it costs; SD in points."
if len(table):
    chapter.markdown("[Table](#tbl-networks): is the best network worth its time?")
    chapter.table(shown(table, list(table.columns)), "networks", caption)

# %%
if len(table) > 1:
    best, chosen = cheapest_of_the_best(table)
    chapter.markdown(
        f"{best.model} is the most accurate on val ({percent(best.acc_best)} %). Of the networks within the margin "
        f"of it, **{chosen.model}** is the quickest: {chosen.seconds:.1f} s an epoch against {best.seconds:.1f} s, at "
        f"{percent(chosen.acc_best)} %{not_reliable(table)}. It would be chosen."
    )

# %% [markdown]
# ## The effects
#
# One row is one change, in points of test accuracy against the base and the same seeds. The intervals are simultaneous:
# with a probability of 95 % all of them contain the true differences. The verdicts are those of the chapter on
# statistics: *equivalent* if the corrected test puts a difference within the margin, the band of the figure, else
# *different* if the corrected test finds it other than zero, else *undecided*. The changes against one base are a
# family, over which Holm's correction is made.
#
# An optimizer of another kind has a learning rate of its own, since its steps are of another length. Without a momentum
# of 0.9 the same rate means steps that are ten times shorter. A change that brings another rate can be read from a
# comparison with an arm of the same effective rate, where the study has one. An arm that changes nothing is a control:
# it repeats the base under another name, its differences must be zero, and its judgement *equivalent*.

# %%
contrasts = [one for one in study.comparisons if one.axis == "arm"]
effects = {one.against: judgements.judged(study, found, one, ["test_accuracy"]) for one in contrasts}
alone = sorted({row.level for rows in effects.values() for row in rows.itertuples() if not row.n})
effects = {against: rows[rows.n > 0] for against, rows in effects.items() if rows.n.any()}
if alone:
    chapter.markdown(f"**Without a pair of finished runs**: {', '.join(alone)}.")
for one in contrasts[1:]:
    chapter.markdown(f"Also compared with {one.against}: {', '.join(one.others)}.")
if effects:
    chapter.markdown(judgements.when_fixed(study, ["accuracy", "dead_units"]))
if not contrasts:
    chapter.markdown("This study has no arms: its networks are compared in the chapter of statistics.")
if effects:
    chapter.markdown(f"{to_figures(*(f'changes_{one}' for one in effects))}: which intervals lie outside the band?")
for against, rows in effects.items():
    drawn = draw_ablations(ablations.by_question(ablations.simultaneous(rows), study))
    caption = f"Every change against {against}, with Bonferroni's intervals and the margin."
    alt = f"Differences of test accuracy to {against}, one row per arm, and the equivalence margin."
    chapter.figure(drawn, f"changes_{against}", caption, alt)

# %% [markdown]
# ## Which clothes are confused
#
# Shirts, T-shirts, pullovers and coats have much the same outline. The left map shows how the base divides the images
# of each true class among the classes that it predicts, all seeds together. The right one is the level with the lowest
# mean accuracy, and the map below is their difference: blue is less, red is more.

# %%
answered = answers(study)
main_answers = {level: answered[answered[main.axis] == level] for level in levels}
if len(levels) > 1 and main.against in levels:
    worst = confusion.worst(answered, main)
    base, other = (confusion.confusion(main_answers[level], names) for level in (main.against, worst))
    caption = f"Confusion of {main.against} and of {worst}, the least accurate, and their difference."
    alt = "Heat maps of true against predicted classes."
    chapter.markdown("[Figure](#fig-confusion): where does the worst arm err more?")
    chapter.figure(draw_confusions(base, other, (main.against, worst)), "confusion", caption, alt)

# %%
if main.against in levels:
    base = confusion.confusion(main_answers[main.against], names)
    frequent = confusion.confused(base).head(8)
    chapter.markdown("[Table](#tbl-confused_pairs): is one class behind most of these errors?")
    caption = f"The classes that {main.against} confuses most, with the share of the true class."
    chapter.table(shown(frequent, list(frequent.columns)), "confused_pairs", caption)

# %% [markdown]
# On some images the largest number of seeds make the same mistake. Are they mislabelled, or too small to tell? Each has
# its true class first, then the predicted one, and the number of seeds that err in this way.

# %%
if main.against in levels:
    chapter.markdown("[Figure](#fig-mistakes): is each of these images what its class says?")
    wrong = confusion.mistakes(main_answers[main.against], names).head(15)
    images = open_store(dataset.name).test_images[wrong.image.to_numpy()]
    caption = f"Test images that {main.against} misclassifies."
    alt = "Small grey images of clothes with their classes."
    chapter.figure(draw_mistakes(np.asarray(images), captions(wrong)), "mistakes", caption, alt)

# %% [markdown]
# ## Dead neurons
#
# A unit is *dead* if it is zero on every image of a fixed set of val images, and at every place of its map [@lu2019].
# It is *dormant* if its mean absolute activation is at most 0.025 times that of its layer [@sokar2023]. For activations
# that are never zero, *saturated* counts the units whose slope is at most 0.02 on every image. All are measured behind
# batch normalisation and activation, with the statistics of these images. A dead unit has no gradient and costs time
# for nothing; whether it returns to life is a matter of the layers before it, whose weights still change in training.

# %%
layers = neurons.measured(study)
best = layers[layers.best]
units = neurons.shares(best, study.keys)
means = units.groupby(main.axis, sort=False, as_index=False)[["dead_share", "dormant_share", "saturated_share"]].mean()
if len(layers):
    chapter.markdown("[Table](#tbl-neurons): a dormant unit is not dead, but does little.")
    caption = "Units at the best epoch, in percent of all, means over the seeds."
    chapter.table(shown(means, list(means.columns)), "neurons", caption)

# %%
regular = neurons.regular(layers, study.keys)
if len(layers):
    chapter.markdown(f"{to_figures('dead_by_depth', 'dead_by_epoch')} show where and when units die.")
for column, rows in {"depth": best, "epoch": regular}.items() if len(layers) else ():
    drawn = draw_shares(neurons.shares(rows, [main.axis, column]), column, "dead_share", main)
    where = "layer by layer at the best epoch" if column == "depth" else "over the epochs, all layers"
    alt = f"Heat map of the share of dead units {where}."
    chapter.figure(drawn, f"dead_by_{column}", f"Dead units {where}, mean over the seeds.", alt)

# %% [markdown]
# Batch normalisation and shortcuts are said to hinder dying [@rister2020]. Shares of dead units are compared pair by
# pair of the same seed. The rows of a comparison are a family of their own, beside that of test accuracy. An arm that
# changes the learning rate too is best read against one with the same rate.

# %%
dying = {one.against: judgements.judged(study, units, one, ["dead_share"]) for one in study.comparisons if len(units)}
if dying:
    chapter.markdown(f"{to_tables(*(f'dying_{one}' for one in dying))}: which changes are judged *different*?")
for against, rows in dying.items():
    columns = ["level", "n", "mean_against", "mean_level", "delta", "ci_low", "ci_high", "holm_p", "judgement"]
    caption = f"Dead units against {against}: means in percent, differences in points."
    chapter.table(shown(rows, columns), f"dying_{against}", caption)

# %% [markdown]
# ## What was found

# %%
if len(table) > 1:
    for row in table.sort_values("acc_best", ascending=False).itertuples():
        chapter.markdown(
            f"- **{row.model}**: {percent(row.acc_best)} % on val and {percent(row.test_accuracy)} % on test, "
            f"n = {row.seeds} seeds, in {signed(f'{row.seconds:.1f} s', row.timing)} an epoch; {row.parameters:,} "
            "parameters."
        )
    chapter.markdown(f"- **Chosen on val, with time in mind**: {chosen.model}{not_reliable(table)}.")

# %%
for against, rows in effects.items():
    for judgement, judged in rows.groupby("judgement"):
        changes = ", ".join(f"{row.level} ({points(row.delta)})" for row in judged.itertuples())
        chapter.markdown(
            f"- **Against {against}, {judgement}** in points of accuracy, n = {span(judged.n)}: {changes}."
        )

# %%
for against, rows in dying.items():
    for row in rows[rows.level.isin(ablations.structural(study))].itertuples():
        chapter.markdown(
            f"- **{row.level}**: {percent(row.mean_level)} % of the units are dead, with {against} "
            f"{percent(row.mean_against)} %; {points(row.delta)} points ({row.judgement}, n = {row.n} seeds)."
        )
if found.empty:
    chapter.markdown("Nothing yet.")
