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
# # Does it make a difference?
#
# Two means are never equal; with few seeds, chance alone separates them [@jordan2024]. This chapter makes the
# comparisons that the study states, and asks how large each difference is, how certain, and whether it matters. Runs
# are compared in pairs of the same seed number, all else equal.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
import pandas as pd

from lib import files, paths
from lib.analysis import (
    ablations,
    contrasts,
    environments,
    findings,
    headline,
    inference,
    judgements,
    noise,
    settling,
    timing,
)
from lib.analysis.contrasts import COMPARED, sides
from lib.analysis.inference import ALPHA
from lib.analysis.predictions import answers
from lib.analysis.results import results
from lib.figures import effects, words
from lib.figures.ablations import draw_ablations
from lib.figures.forest import forest
from lib.report.chapter import Chapter, to_figures, to_tables
from lib.report.tables import percent, shown
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %%
study = load_study(study_name)
found = results(study)
compared = judgements.compared(study)
tables = {suffix: judgements.judged(study, found, one) for suffix, one in compared.items()}
pairs = max((int(table.n.max()) for table in tables.values() if len(table)), default=0)
tests = max((int((table.metric == "test_accuracy").sum()) for table in tables.values()), default=0)

# %%
for comparison in compared.values():
    against, level = sides(comparison)
    chapter.markdown(f"Compared by {comparison.axis}: every difference is **{level} minus {against}**.")
if not compared:
    chapter.markdown("**This study compares nothing:** it has one framework and one arm, and states no contrast.")
elif not pairs:
    chapter.markdown("**There is nothing to compare yet:** no seed is finished on both sides.")

# %% [markdown]
# ## All groups together
#
# The few runs of one group decide little; all groups of a comparison together say more. A study with one or two groups
# has no headline beyond its rows.

# %%
levels = [(suffix, one, level) for suffix, one in compared.items() for level in one.others] if pairs else []
accuracy = {(suffix, level): headline.chosen(tables[suffix], level, "test_accuracy") for suffix, _, level in levels}
heads = {(suffix, level): headline.headline(tables[suffix], found, one, level) for suffix, one, level in levels}

# %%
if levels:
    suffix, one, level = levels[0]
    verdict = findings.accuracy(heads[suffix, level], tables[suffix][tables[suffix].metric == "test_accuracy"], one)
    chapter.finding("Accuracy", verdict)

# %%
few = [key for key, head in heads.items() if head is None]
for suffix, one, level in levels:
    if head := heads[suffix, level]:
        chapter.markdown(f"**{headline.sentence(head, one, level)}**")
    elif len(few) <= headline.LEAST:
        chapter.markdown(f"The row is the headline:\n\n{headline.rows_as_headline(accuracy[suffix, level], one)}")

# %%
for suffix, one, level in levels:
    if head := heads[suffix, level]:
        name, against = (suffix if len(one.others) == 1 else f"{suffix}_{level}"), sides(one)[0]
        caption = "Every group, the same drawn to the mean, and the mean with its interval; the band is the margin."
        alt = f"Forest of the difference of {level} and {against}, one row a group, above the mean of all."
        chapter.markdown(
            f"{to_figures(f'forest{name}')} has every group, {to_tables(f'headline{name}')} the tests of all."
        )
        chapter.figure(forest(headline.shrunken(accuracy[suffix, level]), head, one), f"forest{name}", caption, alt)
        asked = headline.answers(head)
        caption = f"What {head.groups} groups say together about test accuracy; {head.left_out} have no spread."
        chapter.table(shown(asked, asked.columns), f"headline{name}", caption)

# %%
speed = "images_per_sec_avg"
for suffix, one, level in levels:
    if head := headline.headline(tables[suffix], found, one, level, speed):
        chapter.markdown(headline.sentence(head, one, level, speed))

# %% [markdown] tags=["detail"]
# ## What so few pairs can show
#
# The Wilcoxon signed-rank test [@wilcoxon1945] uses only the signs and ranks of the differences. With *n* pairs there
# are $2^n$ patterns of signs, all equally likely if the two sides do not differ. The most extreme result, all
# differences of one sign, therefore has a two-sided p of two in $2^n$, and no data can give a smaller one.
#
# The t test has no such floor, but with few pairs it needs a large effect. [Table](#tbl-design) is of the paired t
# test. It gives the smallest difference, in standard deviations of the paired difference, that the test would detect in
# eight studies of ten (power 0.8): first at a level of 0.05, then at the level that Holm's correction requires of the
# smallest p. Rows of native runs are judged by Welch's test, which has more degrees of freedom: *detectable*, in the
# next section, is that of the judging test.

# %%
design = inference.design(range(2, 11), max(tests, 1))
corrected = f"corrected for {tests} tests" if tests > 1 else "the same, since there is one test"
caption = f"What a number of pairs can show in paired tests; the last column is {corrected}."
chapter.table(shown(design, design.columns), "design", caption)

# %%
floor = inference.smallest_wilcoxon_p(pairs) if pairs else float("nan")
needed = design.pairs[design["smallest Wilcoxon p"] < ALPHA].min()
reach = f"The Wilcoxon test needs {needed} pairs to reach p below {ALPHA} at all ([Table](#tbl-design))."
if pairs:
    can = "so it can" if floor < ALPHA else "so **no data can reach it**, and no conclusion here uses this test"
    reach += f" This study has {pairs}, with a smallest p of {floor:.4g}, {can}."
chapter.markdown(reach)

# %% [markdown]
# ## How large the differences are
#
# An interval contains the differences that are compatible with the data. These are 95 % t intervals of the judging
# test. The size from which a difference *matters* is the equivalence margin, the green band of the figures. Speeds are
# compared as a ratio, on a log scale. *Detectable* is the smallest difference that the judging test would detect in
# eight studies of ten at a level of 0.05, with the scatter observed here.

# %%
if pairs:
    chapter.markdown(judgements.when_fixed(study))

# %%
for suffix in tables if pairs else ():
    seen = to_figures(f"effects_test_accuracy{suffix}", f"effects_images_per_sec_avg{suffix}")
    chapter.markdown(f"Where is the interval in {seen}: inside the band, outside it, or across its edge?")
    for metric in ("test_accuracy", "images_per_sec_avg"):
        drawn = effects.effects(tables[suffix], found, metric, compared[suffix])
        texts = words.effects(tables[suffix], metric, compared[suffix])
        chapter.figure(drawn, f"effects_{metric}{suffix}", *texts, key=metric == "test_accuracy")

# %%
own = "41_fashion" in study.chapters  # it has the figure itself
asked = {suffix: one for suffix, one in compared.items() if study.questions and one.axis == "arm" and not own}
for suffix, comparison in asked.items() if pairs else ():
    accuracies = tables[suffix][tables[suffix].metric == "test_accuracy"]
    for keys, rows in accuracies.groupby(comparison.group, sort=False):
        name = f"ablations_{'_'.join(keys)}{suffix}"
        chapter.markdown(f"{to_figures(name)} has every arm beside those that answer the same question.")
        drawn = draw_ablations(ablations.by_question(ablations.simultaneous(rows), study))
        caption = f"{', '.join(keys)}: every arm minus {comparison.against}, question by question. The 95 % intervals "
        caption += f"are simultaneous for {rows.ci_low.notna().sum()} rows (Bonferroni); the band is the margin."
        alt = f"Differences of test accuracy of every arm to {comparison.against}, grouped by question; the margin."
        chapter.figure(drawn, name, caption, alt)

# %%
published = {suffix: contrasts.published(table, compared[suffix]) for suffix, table in tables.items()}
row = [*study.keys, "level", "n", "mean_keras", "mean_pytorch", "mean_against", "mean_level"]

# %%
for suffix, table in published.items() if pairs else ():
    rows = table[table.metric == "test_accuracy"].reset_index(drop=True)
    caption = "Means of test accuracy in percent; difference, interval and detectable in points."
    if len(rows) > 1:
        chapter.markdown(f"{to_tables(f'differences_test_accuracy{suffix}')} has the numbers and the verdicts.")
        style = shown(rows, [*row, "delta", "ci_low", "ci_high", "detectable", "judgement"])
        chapter.table(style, f"differences_test_accuracy{suffix}", caption)

# %%
chapter.markdown(environments.libraries_note(study))
for suffix, table in published.items() if pairs else ():
    rows = table[table.metric == "images_per_sec_avg"].reset_index(drop=True)
    style = shown(rows, [*row, "ratio", "ratio_low", "ratio_high", "detectable", "judgement"])
    means = [name for name in rows.columns if name.startswith("mean_")]
    style.format("{:,.0f}", subset=[*means, "detectable"], na_rep="n/a")
    caption = "Means and detectable difference in images a second; the ratio is the geometric mean over the pairs."
    if len(rows) > 1:
        chapter.markdown(f"{to_tables(f'differences_images_per_sec_avg{suffix}')} has the same for the speed.")
        chapter.table(style, f"differences_images_per_sec_avg{suffix}", caption)

# %% [markdown] tags=["detail"]
# ## Macro-F1
#
# Macro-F1 nearly repeats the accuracy. It is described, neither corrected nor judged.

# %%
for suffix in tables if pairs else ():
    chapter.markdown(f"{to_figures(f'effects_test_macro_f1{suffix}')} should look like that of the accuracy.")
    drawn = effects.effects(tables[suffix], found, "test_macro_f1", compared[suffix])
    texts = words.effects(tables[suffix], "test_macro_f1", compared[suffix])
    chapter.figure(drawn, f"effects_test_macro_f1{suffix}", *texts)

# %%
for suffix, table in published.items() if pairs else ():
    rows = table[table.metric == "test_macro_f1"].reset_index(drop=True)
    if len(rows) > 1:
        chapter.markdown(f"The numbers are in {to_tables(f'differences_test_macro_f1{suffix}')}.")
        caption = "Means of test macro-F1 in percent; difference, interval and detectable in points."
        style = shown(rows, [*row, "delta", "ci_low", "ci_high", "detectable"])
        chapter.table(style, f"differences_test_macro_f1{suffix}", caption)

# %% [markdown] tags=["detail"]
# ## The tests
#
# Each method for all groups answers a question of its own. The mean over the groups is the effect of *these* groups,
# and its interval is for new seeds. The signs of all pairs ask whether there is a difference *anywhere*: without one,
# each difference could as well have the other sign. Random effects and the signs of whole clusters ask about *other*
# networks and datasets like these; for the latter all groups of a cluster, those of a network on a dataset, change
# their signs together. In the figure of all groups, each group is drawn as measured, and again nearer to the mean, by
# as much as its own noise suggests. The drawn rows are nearer to the truth on average; no verdict uses them.
#
# The same seed number does not make two runs similar: with native initialisation and native shuffling, the runs of two
# frameworks share only their settings. Pairing them would cost half the degrees of freedom, so Welch's test judges
# them. With a shared pairing both frameworks start from the same weights, or from the same quantiles of different
# distributions, and see the same images: the paired t test judges these rows. Arms, models and precisions of one
# framework see the same images in the same order with the same seed, and are pairs too. The setting decides which test
# judges, never the correlation that was observed.
#
# Each row answers two questions. The t test asks: *is the difference other than zero?* TOST [@schuirmann1987], two
# one-sided t tests against the two ends of the margin, asks: *is it within the margin?* Only a small p of TOST is
# evidence of equality. A large p of the t test is not; it may only mean that there were few pairs. The column *test*
# names the judging one; the p values of both are shown.
#
# With many rows some p values are small by chance. Test accuracy is the family that is judged: Holm's correction
# [@holm1979] keeps the risk of any false alarm among its rows at 5 %, for each of the two questions. Speed is a family
# of its own, judged only where its times are reliable: the runs had one machine to themselves, other work took no more
# than 5 % of its time, no GPU slowed itself down, and the seeds of a side differ by no more than 5 %. A row is
# *equivalent* if the corrected TOST p is below 0.05, else *different* if the corrected p of the t test is, else
# *undecided*. A real difference that lies within the margin is therefore called equivalent: the margin defines what
# matters.
#
# The rule for adding seeds asks for $n = \lceil 2 + (z_{0.05/m} + z_{0.1})^2 s^2 / \delta^2 \rceil$ of them, with $m$
# rows, the margin $\delta$ and the standard deviation $s$ of a pair on a dataset.
#
# If the differences of at least two pairs are all zero, such as those of an arm that changes nothing, there is no
# scatter to test against. Such a row is equivalent by inspection. It has no p and does not count in the correction.

# %%
p_values = ["test", "t_p", "welch_p", "holm_p", "wilcoxon_p", "tost_p", "tost_holm_p"]
caption = "The p values of each test, and the judgement. The table saved beside the report has every statistic."
for suffix, table in published.items() if pairs else ():
    columns = [*compared[suffix].group, "level", "metric", *p_values, "judgement"]
    chapter.markdown(f"A row of {to_tables(f'statistical_results{suffix}')} is judged by its two corrected p values.")
    chapter.table(shown(table, columns), f"statistical_results{suffix}", caption)

# %%
for table in tables.values() if pairs else ():
    reasons = table.reason[table.reason != ""].value_counts()
    lines = [f"- {reason} ({count} row{'s' if count > 1 else ''})" for reason, count in reasons.items()]
    if lines:
        chapter.markdown("\n".join(["Some rows have fewer pairs or statistics than others:", "", *lines]))

# %% [markdown]
# ## What would settle it
#
# An undecided row needs more pairs: as many as decide it with a power of 0.8, if the scatter is as observed. The aim is
# to call it equivalent if there is no true difference, or, where the estimate lies beyond the margin, to call it
# different if the true difference is as observed. The hours are those of the missing runs one after another. *If
# shared* is the same with a shared pairing, for which a correlation of 0.5 is *assumed*. Seeds are added by one rule:
# after five seeds it fixes their number from the scatter alone, the missing ones are run, and then the tests are made
# once. `make plan` prints the number.

# %%
hours = {suffix: timing.pair_hours(study, one) for suffix, one in compared.items()}
open_rows = {suffix: settling.settling(tables[suffix], one.group, hours[suffix]) for suffix, one in compared.items()}
for suffix, table in open_rows.items():
    if len(table) == 1:
        chapter.markdown(settling.sentence(table.iloc[0]))
    elif len(table):
        caption = "Undecided rows: pairs so far, and those that it would take at power 0.8."
        chapter.markdown(f"{to_tables(f'settling{suffix}')} has the pairs and the hours of each row.")
        chapter.table(shown(table, table.columns), f"settling{suffix}", caption)

# %%
means = {}
for suffix, one, level in levels:
    head, used = heads[suffix, level], accuracy[suffix, level]
    if head and head.judgement == "undecided":
        keys = used[[*one.group, "level"]].itertuples(index=False, name=None)
        price = sum(hours[suffix].get(key, float("nan")) for key in keys)
        need = settling.settling_the_mean(head, int(used.n.min()), (used.test == "Welch").any(), price)
        means[suffix, level] = settling.mean_sentence(head, need)
        chapter.markdown(means[suffix, level])

# %%
if levels:
    suffix, one, level = levels[0]
    chapter.finding("Next", findings.next_step(open_rows[suffix], means.get((suffix, level), ""), tables[suffix]))

# %%
if pairs:
    chapter.markdown(settling.looks(study, found))
if any(len(table) for table in open_rows.values()):
    where = f"`params/studies/{study_name}.yaml`"
    chapter.markdown(f"Seeds that the rule asks for go into `seeds` in {where}, then `make sweep STUDY={study_name}`.")

# %% [markdown] tags=["detail"]
# ## What the intervals mean
#
# The intervals above are for *these* test images and for seeds like those seen. Part of the scatter between seeds is
# images that are now right and now wrong, independently of each other; the rest is the training's own, which other
# images would show too (Jordan 2024). One set of runs tells the two apart only roughly, so they are pooled. For *new*
# images the choice of the images adds a variance of its own, which the kept predictions show. It adds degrees of
# freedom too (Satterthwaite), so the interval is wider unless the added variance is small: then it may be a little
# narrower.

# %%
known = answers(study) if pairs > 1 else None
if known is not None:
    apart = noise.parts(known, study.main)
    caption = "Standard deviation of test accuracy between seeds, in points, and its two parts."
    chapter.markdown("[Table](#tbl-noise): where the images' part is nearly all, the training itself is stable.")
    chapter.table(shown(apart, apart.columns), "noise", caption)

# %%
right = {(suffix, level): noise.hits(known, one, level) for suffix, one, level in levels if known is not None}
for suffix, one in compared.items() if right else ():
    wider = [noise.for_new_images(accuracy[suffix, level], right[suffix, level], one.group) for level in one.others]
    table = contrasts.published(pd.concat(wider, ignore_index=True), one)
    columns = [*one.group, "level", "delta", "ci_low", "ci_high", "new_low", "new_high"]
    caption = "Differences of test accuracy in points: interval for these images, and for new ones."
    chapter.markdown(f"{to_tables(f'new_images{suffix}')} has both intervals.")
    chapter.table(shown(table, columns), f"new_images{suffix}", caption)

# %%
for suffix, one, level in levels if right else ():
    if head := heads[suffix, level]:
        wide = noise.mean_for_new_images(head, accuracy[suffix, level], right[suffix, level], one.group)
        low, high = (headline.written(end, "test_accuracy") for end in wide.interval())
        chapter.markdown(f"The mean over {head.groups} groups, for new images: {low} to {high} points (95 % interval).")

# %% [markdown] tags=["detail"]
# ## What pairing gains
#
# The variance of a difference is $\sigma_1^2 + \sigma_2^2 - 2 r \sigma_1 \sigma_2$: if the runs of a pair are
# correlated, the seed's common effect cancels. The tables here give the correlation $r$ of test accuracy within pairs,
# and what a pair is *worth*: the number of seeds on each side that give the same precision without pairing. Pairs that
# share nothing have a correlation near 0 and are worth one. With few seeds the estimate is imprecise, and no verdict
# depends on it.

# %%
for suffix, comparison in compared.items() if pairs > 1 else ():
    by = comparison.group if comparison.axis == "framework" else [*comparison.group, "level"]
    alike = contrasts.pairing(contrasts.pairs(found, comparison, "test_accuracy"), by)
    caption = f"Correlation r of test accuracy within pairs, {pairs} seeds"
    caption += ", with its 95 % interval" if alike.r_low.notna().any() else ""
    caption += "; pooled in the last row." if len(alike) > 1 else "."
    chapter.markdown(f"In {to_tables(f'pairing{suffix}')} a *worth* above 1 is a gain.")
    chapter.table(shown(alike, list(alike.columns)), f"pairing{suffix}", caption)

# %% [markdown] tags=["detail"]
# ## How large are the effects?
#
# Cohen's d is a difference in units of scatter. Two versions exist for pairs. $d_z$ divides by the standard deviation
# of the paired differences; the t test uses it. $d_{av}$ divides by the mean of the two sides' own standard deviations
# and measures the distance between the two groups of runs. The labels *small*, *medium* and *large* (from 0.2, 0.5 and
# 0.8 on) refer to $d_{av}$. Cliff's delta [@cliff1993] is the share of all combinations in which the second side's
# value is larger, minus the share in which the first side's is (small from 0.147, medium from 0.33, large from 0.474
# on). If the seeds scatter little, even a large effect can be too small to matter. Below ten pairs no size is named:
# with five, chance alone makes a quarter of the effects *large*.

# %%
caption = f"Significance at {ALPHA} after Holm's correction, sizes of the effects by d_av, and the verdict."
for suffix, table in tables.items() if pairs else ():
    summary = contrasts.published(contrasts.significance_summary(table), compared[suffix])
    columns = [name for name in summary.columns if name not in ("n", "delta", "cliffs_size", "against")]
    chapter.markdown(f"{to_tables(f'significance_summary{suffix}')}: *significant* does not mean that it matters.")
    chapter.table(shown(summary, columns), f"significance_summary{suffix}", caption)
    page = paths.REPORT / study_name / "tables" / f"significance_summary{suffix}.md"
    files.write_text(page, contrasts.summary_markdown(summary, compared[suffix]))

# %% [markdown]
# ## What was found

# %%
for suffix, one in compared.items() if pairs else ():
    for metric in COMPARED:
        chapter.markdown(findings.counted(tables[suffix][tables[suffix].metric == metric], one))

# %%
for suffix, table in tables.items() if pairs else ():
    detectable = table.detectable[table.metric == "test_accuracy"].median()
    if detectable > 0:
        which = "the median comparison" if (table.metric == "test_accuracy").sum() > 1 else "the comparison"
        chapter.markdown(
            f"With {pairs} pairs and the scatter seen here, {which} by {compared[suffix].axis} could detect a "
            f"difference in accuracy of {percent(detectable)} points at a level of {ALPHA}, before any correction. "
            "*Undecided* means that the corrected tests answer neither question."
        )
if not pairs:
    chapter.markdown("Nothing yet.")
