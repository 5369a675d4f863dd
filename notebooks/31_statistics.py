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
# Two means are never equal, and with a handful of seeds chance alone moves them apart. This chapter compares what the
# study set out to compare: two frameworks, or an arm or a model with the one it departs from. For test accuracy, test
# macro-F1 and speed, it asks how large the difference is, how sure, and whether it would matter. Runs are compared
# within pairs of the same seed number, all else equal.
#
# A shared seed number alone does not make a pair: between frameworks with native initialisation and native shuffling,
# the two runs have only their settings in common. The tests remain valid then, but pairing gains nothing. With a shared
# pairing both frameworks start from the same weights, or from the same quantiles of different distributions, and see
# the same images. Arms of one framework share what their difference leaves alone. What that is worth is measured below.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
from lib import files, paths
from lib.analysis import contrasts, environments, inference
from lib.analysis.contrasts import METRICS, sides
from lib.analysis.inference import ALPHA
from lib.analysis.results import results
from lib.figures import effects
from lib.report.chapter import Chapter
from lib.report.tables import percent, points, shown
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %%
study = load_study(study_name)
found = results(study)
compared = {f"_{one.axis}" if place else "": one for place, one in enumerate(study.comparisons)}
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
# The Wilcoxon signed-rank test looks only at the signs and ranks of the differences. With *n* pairs there are $2^n$
# patterns of signs, each as likely as any other if the two sides are alike. The most extreme result, all differences
# on one side, therefore has a two-sided p of two in $2^n$, and no data can give a smaller one.
#
# The t test has no such floor, but it needs a large effect when pairs are few. The right half of the table says how
# large: the smallest difference, in standard deviations of the paired difference, that the test would find in eight
# studies of ten (power 0.8), first at a level of 0.05, then at the level that Holm's correction requires of the
# smallest p.

# %%
design = inference.design(range(2, 11), max(tests, 1))
caption = f"What a design can show, by its number of pairs; corrected for {max(tests, 1)} tests in the last column."
chapter.table(shown(design, design.columns), "design", caption)

# %%
floor = inference.smallest_wilcoxon_p(pairs) if pairs else float("nan")
needed = design.pairs[design["smallest Wilcoxon p"] < ALPHA].min()
reach = f"The Wilcoxon test needs {needed} pairs to reach p below {ALPHA} at all ([Table](#tbl-design))."
if pairs:
    can = "so it can" if floor < ALPHA else "so **it cannot, whatever the data**, and nothing here rests on it"
    reach += f" This study has {pairs}, with a smallest p of {floor:.4g}, {can}."
chapter.markdown(reach)

# %% [markdown]
# ## How large the differences are
#
# An interval says more than a p: it holds the differences that are compatible with the data. These are 95 % t
# intervals of the mean paired difference. A bootstrap interval would be too narrow with so few pairs.
#
# Whether a difference *matters* was fixed before any run: half a point of accuracy or of macro-F1, and 5 % of speed.
# This is the equivalence margin, the green band of the figures. A speed is compared as a ratio, on a log scale and
# between 1/1.05 and 1.05, so the result does not depend on which side is named first.
#
# *Detectable* is the smallest difference that a paired t test would find in eight studies of ten at a level of 0.05,
# given the scatter seen here.

# %%
for suffix, metric in [(suffix, metric) for suffix in tables for metric in METRICS if pairs]:
    against, level = sides(compared[suffix])
    alt = f"Paired difference in {METRICS[metric].title}, {level} minus {against}, beside the margin, a row a group."
    what = f"Differences in {METRICS[metric].title}, {level} minus {against}"
    caption = f"{what}: mean and 95 % t interval for each group; the band is the margin."
    drawn = effects.effects(tables[suffix], metric, compared[suffix])
    chapter.figure(drawn, f"effects_{metric}{suffix}", caption, alt)

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
# Two questions are put to each row. *Is the difference other than zero?* is the paired t test's. *Is it within the
# margin?* is the question of TOST, two one-sided t tests against the two ends of the margin: only here does a small p
# speak for equality. A large p of the first test does not; it may merely mean that there were few pairs.
#
# With many rows a few small p values come by chance. Holm's correction holds the risk of even one false alarm in the
# whole table at 5 %, for each of the two questions. A row is judged *equivalent* if the corrected TOST p is below
# 0.05, else *different* if the corrected t test's is, else *undecided*. A difference that is real but surely within
# the margin is thus called equivalent: the margin says what matters.

# %%
p_values = ["t_p", "holm_p", "wilcoxon_p", "tost_p", "tost_holm_p"]
caption = "The p values of each test, and the judgement. Saved beside the report with every statistic."
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
# ## What pairing buys
#
# The variance of a difference is $\sigma_1^2 + \sigma_2^2 - 2 r \sigma_1 \sigma_2$: where the two runs of a pair are
# alike, much of what a seed does to both drops out. The table gives the correlation $r$ of test accuracy within pairs,
# and what a pair is *worth*: how many seeds on each side without pairing measure a difference as well as one pair
# does. Pairs that share nothing have a correlation near 0 and are worth one. With few seeds it is known badly.

# %%
caption = f"Correlation r of test accuracy within pairs, with its 95 % interval, {pairs} seeds; pooled in the last row."
for suffix, comparison in compared.items() if pairs > 1 else ():
    by = comparison.group if comparison.axis == "framework" else [*comparison.group, "level"]
    alike = contrasts.pairing(contrasts.pairs(found, comparison, "test_accuracy"), by)
    chapter.table(shown(alike, list(alike.columns)), f"pairing{suffix}", caption)

# %% [markdown]
# ## How large in words
#
# Cohen's d puts a difference in units of scatter. Two kinds are in use for pairs: $d_z$ divides by the standard
# deviation of the paired differences and is what the t test sees; $d_{av}$ divides by the mean of the two sides'
# own standard deviations and says how far the two clouds of runs lie apart. The words *small*, *medium* and *large*
# (from 0.2, 0.5 and 0.8 on) belong to the second. Cliff's delta asks only which value is larger: the share of all
# combinations in which the second side's is, minus the share in which the first side's is (small from 0.147, medium
# from 0.33, large from 0.474 on). An effect can be large in these words and still have no consequence, if the seeds
# hardly scatter.

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
for suffix, metric in [(suffix, metric) for suffix in tables for metric in METRICS if pairs]:
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
            "corrected tests settle neither question."
        )
if not pairs:
    chapter.markdown("Nothing yet.")
