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
# # Does the framework make a difference?
#
# Two means are never equal, and with a handful of seeds chance alone moves them apart. This chapter asks of every
# dataset, model and precision, for test accuracy, test macro-F1 and speed: how large is the difference between the
# frameworks, how sure is it, and would it matter? Every difference is PyTorch minus Keras, within pairs of runs that
# have the same seed number.
#
# A shared seed number alone does not make a pair: with native initialisation and native shuffling, the two runs of a
# pair have only their settings in common. The tests remain valid then, but the pairing gains them nothing. With a
# shared pairing both start from the same weights, or the same quantiles of different distributions, and see the same
# images. What that is worth is measured further down.

# %% tags=["parameters"]
study = "quickstart"

# %% tags=["setup"]
from lib import files, paths
from lib.analysis import contrasts as statistics
from lib.analysis import results as records
from lib.analysis.contrasts import ALPHA, METRICS
from lib.figures import style as figures
from lib.report.chapter import Chapter
from lib.report.tables import percent, points, shown
from lib.study.params import load_study

chapter = Chapter(study)

# %%
results = records.results(load_study(study))
comparison = statistics.compare(results)
pairs, tests = int(comparison.n.max() if len(comparison) else 0), int(comparison.t_p.notna().sum())
if not pairs:
    chapter.markdown("**There is nothing to compare yet:** no seed is finished in both frameworks.")

# %% [markdown]
# ## What so few pairs can show
#
# The Wilcoxon signed-rank test looks only at the signs and ranks of the differences. With *n* pairs there are $2^n$
# patterns of signs, each as likely as any other if the frameworks are alike. The most extreme result, all differences
# on one side, therefore has the two-sided p of two in $2^n$, and no data whatever can give a smaller one.
#
# The t test has no such floor, but it needs a large effect when pairs are few. The right half of the table says how
# large: the smallest difference, in standard deviations of the paired difference, that the test would find in eight
# studies of ten (power 0.8), first at a level of 0.05, then at the level that Holm's correction asks of the smallest p.

# %%
design = statistics.design(range(2, 11), max(tests, 1))
caption = f"What a design can show, by its number of pairs; corrected for {max(tests, 1)} tests in the last column."
chapter.table(shown(design, design.columns), "design", caption)

# %%
floor = statistics.smallest_wilcoxon_p(pairs) if pairs else float("nan")
needed = design.pairs[design["smallest Wilcoxon p"] < ALPHA].min()
reach = f"The Wilcoxon test needs {needed} pairs to reach p below {ALPHA} at all ([Table](#tbl-design))."
if pairs:
    can = "so it can" if floor < ALPHA else "so **it cannot, whatever the data**, and nothing here rests on it"
    reach += f" This study has {pairs}, with a smallest p of {floor:.4g}, {can}."
chapter.markdown(reach)

# %% [markdown]
# ## How large the differences are
#
# An interval says more than a p: it holds the differences that the data are compatible with. These are 95 % t
# intervals of the mean paired difference. A bootstrap interval would be too narrow with so few pairs.
#
# Whether a difference *matters* was fixed before any run: half a point of accuracy or of macro-F1, and 5 % of speed.
# This is the equivalence margin, the green band of the figures. A speed is compared as a ratio, on a log scale and
# between 1/1.05 and 1.05, so that it makes no difference which framework is named first.
#
# *Detectable* is the smallest difference that a paired t test would find in eight studies of ten at a level of 0.05,
# given the scatter seen here.

# %%
for metric in METRICS if pairs else ():
    alt = f"Paired difference in {METRICS[metric].title} for each dataset, model and precision, beside the margin."
    caption = (
        f"Differences in {METRICS[metric].title}: mean and 95 % t interval for each group; the band is the margin."
    )
    chapter.figure(figures.effects(comparison, metric), f"effects_{metric}", caption, alt)

# %%
row = [*records.GROUP, "n", "mean_keras", "mean_pytorch"]
for metric in ("test_accuracy", "test_macro_f1") if pairs else ():
    rows = comparison[comparison.metric == metric].reset_index(drop=True)
    caption = f"Means of {METRICS[metric].title} in percent; difference, interval and detectable in points."
    style = shown(rows, [*row, "delta", "ci_low", "ci_high", "detectable"])
    chapter.table(style, f"differences_{metric}", caption)

# %%
chapter.markdown(records.libraries_note(load_study(study)))
rows = comparison[comparison.metric == "images_per_sec_avg"].reset_index(drop=True)
style = shown(rows, [*row, "ratio", "ratio_low", "ratio_high", "detectable"])
style.format("{:,.0f}", subset=["mean_keras", "mean_pytorch", "detectable"], na_rep="n/a")
caption = "Means and detectable difference in images a second; the ratio is the geometric mean of PyTorch / Keras."
if pairs:
    chapter.table(style, "differences_images_per_sec_avg", caption)

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
style = shown(comparison, [*records.GROUP, "metric", *p_values, "judgement"])
caption = "The p values of each test, and the judgement. Saved beside the report with every statistic."
if pairs:
    chapter.table(style, "statistical_results", caption)

# %%
reasons = comparison.reason[comparison.reason != ""].value_counts()
if pairs and len(reasons):
    lines = [f"- {reason} ({count} rows)" for reason, count in reasons.items()]
    chapter.markdown("\n".join(["Some rows have fewer pairs or fewer statistics than others, since:", "", *lines]))

# %% [markdown]
# ## What pairing buys
#
# The variance of a difference is $\sigma_K^2 + \sigma_P^2 - 2 r \sigma_K \sigma_P$: where the two runs of a pair are
# alike, much of what a seed does to both drops out. The table gives the correlation $r$ of test accuracy within pairs,
# and what a pair is *worth*: how many seeds in each framework without pairing measure a difference as well as one
# pair does. Pairs that share nothing have a correlation near 0 and are worth one. With few seeds it is known badly.

# %%
pairing = statistics.pairing(statistics.paired(results, "test_accuracy"), "test_accuracy")
caption = (
    f"Correlation r of test accuracy within pairs, with its 95 % interval, at {pairs} seeds; pooled in the last row."
)
if pairs > 1:
    chapter.table(shown(pairing, list(pairing.columns)), "pairing", caption)

# %% [markdown]
# ## How large in words
#
# Cohen's d puts a difference in units of scatter. Two kinds are in use for pairs: $d_z$ divides by the standard
# deviation of the paired differences and is what the t test sees; $d_{av}$ divides by the mean of the two frameworks'
# own standard deviations and says how far the two clouds of runs lie apart. The words *small*, *medium* and *large*
# (from 0.2, 0.5 and 0.8 on) belong to the second. Cliff's delta asks only which value is larger: the share of all
# combinations in which PyTorch's is, minus the share in which Keras' is (small from 0.147, medium from 0.33, large
# from 0.474 on). An effect can be large in these words and still be of no consequence, if the seeds hardly scatter.

# %%
summary = statistics.significance_summary(comparison)
columns = [name for name in summary.columns if name not in ("n", "delta", "cliffs_size")]
caption = f"Significance at {ALPHA} after Holm's correction, sizes of the effects by d_av, and the verdict."
if pairs:
    chapter.table(shown(summary, columns), "significance_summary", caption)
    files.write_text(paths.REPORT / study / "tables" / "significance_summary.md", statistics.summary_markdown(summary))

# %% [markdown]
# ## What was found

# %%
for metric, rows in comparison.groupby("metric", sort=False) if pairs else ():
    counts = ", ".join(f"{count} {judgement}" for judgement, count in rows.judgement.value_counts().items())
    if METRICS[metric].on_ratio:
        span = f"PyTorch / Keras from {rows.ratio.min():.3f} to {rows.ratio.max():.3f}"
    else:
        span = f"PyTorch minus Keras from {points(rows.delta.min())} to {points(rows.delta.max())} points"
    chapter.markdown(f"- **{METRICS[metric].title}**: {counts}; {span}.")

# %%
detectable = comparison.detectable[comparison.metric == "test_accuracy"].median()
if detectable > 0:
    chapter.markdown(
        f"With {pairs} pairs and the scatter seen here, the median comparison could detect a difference in accuracy of "
        f"{percent(detectable)} points at a level of {ALPHA}, before any correction; the margin is "
        f"{percent(METRICS['test_accuracy'].margin)} points. *Undecided* means that after "
        "the correction the data settle neither question; an interval, which is not corrected, may say more."
    )
elif not pairs:
    chapter.markdown("Nothing yet.")
