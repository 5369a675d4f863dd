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
# comparisons that the study states: two frameworks, or an arm, a model or a precision with the level that it is
# compared against. For test accuracy, test macro-F1 and speed, it asks how large the difference is, how certain, and
# whether it matters. Runs are compared in pairs of the same seed number, all else equal.
#
# The same seed number does not make two runs similar: with native initialisation and native shuffling, the runs of two
# frameworks share only their settings. The tests remain valid, but pairing gains nothing. With a shared pairing both
# frameworks start from the same weights, or from the same quantiles of different distributions, and see the same
# images. Arms of one framework share whatever their difference does not change. The gain of pairing is measured below.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
from lib import files, paths
from lib.analysis import ablations, contrasts, environments, inference
from lib.analysis.contrasts import COMPARED, METRICS, sides
from lib.analysis.inference import ALPHA
from lib.analysis.results import results
from lib.figures import effects
from lib.figures.ablations import draw_ablations
from lib.report.chapter import Chapter
from lib.report.tables import percent, points, shown
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %%
study = load_study(study_name)
found = results(study)
compared = {f"_{one.axis}_{one.against}" if place else "": one for place, one in enumerate(study.comparisons)}
tables = {suffix: contrasts.compare(found, one) for suffix, one in compared.items()}
pairs = max((int(table.n.max()) for table in tables.values() if len(table)), default=0)
tests = max((int(table.t_p.notna().sum()) for table in tables.values()), default=0)

# %%
for comparison in compared.values():
    against, level = sides(comparison)
    chapter.markdown(f"Compared by {comparison.axis}: every difference is **{level} minus {against}**.")
if not compared:
    chapter.markdown("**This study compares nothing:** it has one framework and one arm, and states no contrast.")
elif not pairs:
    chapter.markdown("**There is nothing to compare yet:** no seed is finished on both sides.")

# %% [markdown]
# ## What so few pairs can show
#
# The Wilcoxon signed-rank test [@wilcoxon1945] uses only the signs and ranks of the differences. With *n* pairs there
# are $2^n$ patterns of signs, all equally likely if the two sides do not differ. The most extreme result, all
# differences of one sign, therefore has a two-sided p of two in $2^n$, and no data can give a smaller one.
#
# The t test has no such floor, but with few pairs it needs a large effect. The right half of the table gives the
# smallest difference, in standard deviations of the paired difference, that the test would detect in eight studies of
# ten (power 0.8): first at a level of 0.05, then at the level that Holm's correction requires of the smallest p.

# %%
design = inference.design(range(2, 11), max(tests, 1))
caption = f"What a number of pairs can show; the last column is corrected for {max(tests, 1)} tests."
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
# An interval is more informative than a p: it contains the differences that are compatible with the data. These are
# 95 % t intervals of the mean paired difference. A bootstrap interval would be too narrow with so few pairs.
#
# The size from which a difference *matters* was fixed before any run: half a point of accuracy or of macro-F1, and 5 %
# of speed. This is the equivalence margin, the green band of the figures. Speeds are compared as a ratio, on a log
# scale and between 1/1.05 and 1.05, so that the order of the two sides does not change the result.
#
# *Detectable* is the smallest difference that a paired t test would detect in eight studies of ten at a level of 0.05,
# with the scatter observed here.

# %%
for suffix, metric in [(suffix, metric) for suffix in tables for metric in COMPARED if pairs]:
    against, level = sides(compared[suffix])
    what = f"{METRICS[metric].title}, {level} {'/' if METRICS[metric].on_ratio else 'minus'} {against}"
    alt = f"Paired comparison of {what}, and the margin; one row per group."
    caption = f"Comparison of {what}: mean and 95 % t interval for each group; the band is the margin."
    drawn = effects.effects(tables[suffix], metric, compared[suffix])
    chapter.figure(drawn, f"effects_{metric}{suffix}", caption, alt)

# %%
own = "41_fashion" in study.chapters  # it has the figure itself
asked = {suffix: one for suffix, one in compared.items() if study.questions and one.axis == "arm" and not own}
for suffix, comparison in asked.items() if pairs else ():
    accuracies = tables[suffix][tables[suffix].metric == "test_accuracy"]
    for keys, rows in accuracies.groupby(comparison.group, sort=False):
        drawn = draw_ablations(ablations.by_question(ablations.simultaneous(rows), study))
        caption = f"{', '.join(keys)}: every arm minus {comparison.against}, question by question. The 95 % intervals "
        caption += f"are simultaneous for {rows.ci_low.notna().sum()} rows (Bonferroni); the band is the margin."
        alt = f"Differences of test accuracy of every arm to {comparison.against}, grouped by question; the margin."
        chapter.figure(drawn, f"ablations_{'_'.join(keys)}{suffix}", caption, alt)

# %%
published = {suffix: contrasts.published(table, compared[suffix]) for suffix, table in tables.items()}
row = [*study.keys, "level", "n", "mean_keras", "mean_pytorch", "mean_against", "mean_level"]

# %%
for suffix, metric in [(suffix, metric) for suffix in tables for metric in ("test_accuracy", "test_macro_f1") if pairs]:
    rows = published[suffix][published[suffix].metric == metric].reset_index(drop=True)
    caption = f"Means of {METRICS[metric].title} in percent; difference, interval and detectable in points."
    style = shown(rows, [*row, "delta", "ci_low", "ci_high", "detectable"])
    chapter.table(style, f"differences_{metric}{suffix}", caption)

# %%
chapter.markdown(environments.libraries_note(study))
for suffix, table in published.items() if pairs else ():
    rows = table[table.metric == "images_per_sec_avg"].reset_index(drop=True)
    style = shown(rows, [*row, "ratio", "ratio_low", "ratio_high", "detectable"])
    means = [name for name in rows.columns if name.startswith("mean_")]
    style.format("{:,.0f}", subset=[*means, "detectable"], na_rep="n/a")
    caption = "Means and detectable difference in images a second; the ratio is the geometric mean over the pairs."
    chapter.table(style, f"differences_images_per_sec_avg{suffix}", caption)

# %% [markdown]
# ## The tests
#
# Each row answers two questions. The paired t test asks: *is the difference other than zero?* TOST [@schuirmann1987],
# two one-sided t tests against the two ends of the margin, asks: *is it within the margin?* Only a small p of TOST is
# evidence of equality. A large p of the t test is not; it may only mean that there were few pairs.
#
# With many rows some p values are small by chance. Holm's correction [@holm1979] keeps the risk of any false alarm in
# the whole table at 5 %, for each of the two questions. A row is *equivalent* if the corrected TOST p is below 0.05,
# else *different* if the corrected p of the t test is, else *undecided*. A real difference that lies within the margin
# is therefore called equivalent: the margin defines what matters.
#
# If the differences of at least two pairs are all zero, such as those of an arm that changes nothing, there is no
# scatter to test against. Such a row is equivalent by inspection. It has no p and does not count in the correction.

# %%
p_values = ["t_p", "holm_p", "wilcoxon_p", "tost_p", "tost_holm_p"]
caption = "The p values of each test, and the judgement. The table saved beside the report has every statistic."
for suffix, table in published.items() if pairs else ():
    columns = [*compared[suffix].group, "level", "metric", *p_values, "judgement"]
    chapter.table(shown(table, columns), f"statistical_results{suffix}", caption)

# %%
for table in tables.values() if pairs else ():
    reasons = table.reason[table.reason != ""].value_counts()
    lines = [f"- {reason} ({count} rows)" for reason, count in reasons.items()]
    if lines:
        chapter.markdown("\n".join(["Some rows have fewer pairs or statistics than others:", "", *lines]))

# %% [markdown]
# ## What pairing gains
#
# The variance of a difference is $\sigma_1^2 + \sigma_2^2 - 2 r \sigma_1 \sigma_2$: if the runs of a pair are
# correlated, the seed's common effect cancels. The table gives the correlation $r$ of test accuracy within pairs, and
# what a pair is *worth*: the number of seeds on each side that give the same precision without pairing. Pairs that
# share nothing have a correlation near 0 and are worth one. With few seeds the estimate is imprecise.

# %%
caption = f"Correlation r of test accuracy within pairs, with its 95 % interval, {pairs} seeds; pooled in the last row."
for suffix, comparison in compared.items() if pairs > 1 else ():
    by = comparison.group if comparison.axis == "framework" else [*comparison.group, "level"]
    alike = contrasts.pairing(contrasts.pairs(found, comparison, "test_accuracy"), by)
    chapter.table(shown(alike, list(alike.columns)), f"pairing{suffix}", caption)

# %% [markdown]
# ## How large are the effects?
#
# Cohen's d is a difference in units of scatter. Two versions exist for pairs. $d_z$ divides by the standard deviation
# of the paired differences; the t test uses it. $d_{av}$ divides by the mean of the two sides' own standard deviations
# and measures the distance between the two groups of runs. The labels *small*, *medium* and *large* (from 0.2, 0.5 and
# 0.8 on) refer to $d_{av}$. Cliff's delta [@cliff1993] is the share of all combinations in which the second side's
# value is larger, minus the share in which the first side's is (small from 0.147, medium from 0.33, large from 0.474
# on). If the seeds scatter little, even a large effect can be too small to matter.

# %%
caption = f"Significance at {ALPHA} after Holm's correction, sizes of the effects by d_av, and the verdict."
for suffix, table in tables.items() if pairs else ():
    summary = contrasts.published(contrasts.significance_summary(table), compared[suffix])
    columns = [name for name in summary.columns if name not in ("n", "delta", "cliffs_size", "against")]
    chapter.table(shown(summary, columns), f"significance_summary{suffix}", caption)
    page = paths.REPORT / study_name / "tables" / f"significance_summary{suffix}.md"
    files.write_text(page, contrasts.summary_markdown(summary, compared[suffix]))

# %% [markdown]
# ## What was found

# %%
for suffix, metric in [(suffix, metric) for suffix in tables for metric in COMPARED if pairs]:
    rows, (against, level) = tables[suffix][tables[suffix].metric == metric], sides(compared[suffix])
    counts = ", ".join(f"{count} {judgement}" for judgement, count in rows.judgement.value_counts().items())
    if METRICS[metric].on_ratio:
        span = f"{level} / {against} from {rows.ratio.min():.3f} to {rows.ratio.max():.3f}"
    else:
        span = f"{level} minus {against} from {points(rows.delta.min())} to {points(rows.delta.max())} points"
    chapter.markdown(f"- **{METRICS[metric].title}**: {counts}; {span}.")

# %%
for suffix, table in tables.items() if pairs else ():
    detectable = table.detectable[table.metric == "test_accuracy"].median()
    if detectable > 0:
        chapter.markdown(
            f"With {pairs} pairs and the scatter seen here, the median comparison by {compared[suffix].axis} could "
            f"detect a difference in accuracy of {percent(detectable)} points at a level of {ALPHA}, before any "
            f"correction; the margin is {percent(METRICS['test_accuracy'].margin)} points. *Undecided* means that the "
            "corrected tests answer neither question."
        )
if not pairs:
    chapter.markdown("Nothing yet.")
