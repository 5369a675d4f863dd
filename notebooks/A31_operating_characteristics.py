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
# # Operating characteristics: how often is the judgement wrong?
#
# A verdict is worth as much as the procedure that gives it. Here the functions that judge this report are called on
# generated results whose truth is known. How often do they find a difference where there is none? How often do their
# intervals contain the truth? How often do they find what is there?

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
from lib.analysis import operating
from lib.report.chapter import Chapter
from lib.report.tables import shown

chapter = Chapter(study_name)

# %% [markdown]
# ## The generated studies
#
# Each scenario has one truth and many experiments. An experiment is a study of the design of the project's largest:
# three datasets, three networks and two precisions, with five seeds in either framework, whose pairs share only their
# settings. The accuracies are normal, and runs are independent. What follows is therefore about this design and this
# scatter, and not about the runs of this report: studies with fewer groups or with collapsed runs have other rates.
#
# A rate is one of the experiments, or for *one row* and *interval of a row* one of all their rows. Its *error* is the
# standard error of the simulation. A rate that should be 0.05 lies within two of these errors of it in 95 % of
# simulations, so one of twenty such rates is further away by chance.

# %%
found = operating.characteristics()
scatter = ", ".join(f"{100 * sd:g} points on {dataset}" for dataset, sd in operating.SD.items())
chapter.markdown(
    f"{found.scenario.nunique()} scenarios of {found.n.max()} experiments each, {len(operating.GROUPS)} groups; the "
    f"standard deviation between seeds is {scatter}. The result is kept until the code of the statistics changes."
)

# %% [markdown]
# ## How often it is wrong
#
# Each answer of [Table](#tbl-false_answers) is false in its scenario. Each should be given in at most 5 % of the
# experiments. *Any row* is the rate of a whole family: at least one of its rows is judged falsely. By the rule for
# adding seeds their number is fixed after five, from the scatter alone, and the tests are made once.

# %%
kinds = {kind: rows.drop(columns=["kind", "n"]).reset_index(drop=True) for kind, rows in found.groupby("kind")}
caption = f"False answers: how often each is given; n = {found.n.max()} experiments, nominally at most 0.05."
chapter.table(shown(kinds["wrong"], kinds["wrong"].columns), "false_answers", caption)

# %% [markdown]
# ## How often its intervals contain the truth
#
# A 95 % interval should contain the true value in 95 % of the cases ([Table](#tbl-coverage)). Rows that are drawn to
# the mean are near the truth on average; their intervals hold over all rows together, and not for each row alone.

# %%
caption = f"Coverage: how often an interval contains the truth; n = {found.n.max()} experiments, nominally 0.95."
chapter.table(shown(kinds["covers"], kinds["covers"].columns), "coverage", caption)

# %% [markdown]
# ## How often it finds what is there
#
# Each answer of [Table](#tbl-power) is true in its scenario, and its rate is the *power*. Where it is low, *undecided*
# says little: the study was too small to tell. The mean over the groups is decided where single rows are not.

# %%
caption = f"Power: how often a true answer is given; n = {found.n.max()} experiments."
chapter.table(shown(kinds["right"], kinds["right"].columns), "power", caption)

# %% [markdown]
# ## What was found

# %%
wrong, covers = kinds["wrong"], kinds["covers"]
above = wrong[wrong.rate - 0.05 > 2 * wrong.error]
below = covers[0.95 - covers.rate > 2 * covers.error]
worst, least = wrong.loc[wrong.rate.idxmax()], covers.loc[covers.rate.idxmin()]

# %%
judged = ("false answers", above, len(wrong), "above 0.05"), ("coverages", below, len(covers), "below 0.95")
for name, rows, total, limit in judged:
    named = "; ".join(f"{row.answer}, {row.scenario}: {row.rate:.3f}" for row in rows.itertuples())
    many = f"{len(rows)} of {total} {name} {'is' if len(rows) == 1 else 'are'} {limit}"
    chapter.markdown(f"- {many} by more than two errors{': ' if named else ''}{named}.")

# %%
chapter.markdown(
    f"- The most frequent false answer is *{worst.answer}* ({worst.scenario}): {worst.rate:.3f}, error "
    f"{worst.error:.3f}. The lowest coverage is that of the {least.answer} ({least.scenario}): {least.rate:.3f}, "
    f"error {least.error:.3f}; n = {found.n.max()} experiments each."
)
