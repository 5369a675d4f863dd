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
# # May the study go on?
#
# A pipeline can be wrong and still produce numbers. So some demands were written down before the first run: gates that
# a small study has to pass before a large one is worth its time. A gate cannot show that all is right; it catches the
# faults that would make every later number worthless.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
from lib.analysis import gates, results
from lib.report.chapter import Chapter
from lib.report.tables import shown
from lib.runs.records import read_record
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %%
study = load_study(study_name)
found, states = results.results(study), results.states(study)
judged = gates.gates(study, found, results.epochs(study))

# %% [markdown]
# ## The gates, and why they stand where they do
#
# - **Every epoch logged**: all runs of the study, and in each log as many epochs as the settings ask for. The learning
#   rate falls to zero over exactly these epochs; a shorter run is another training, and must not enter a mean.
# - **No NaN in logs and results**: none at all. A single one means that a loss overflowed or a number was never
#   written, and most means would pass over it without a word.
# - **Val accuracy**: above a least value that the study sets for each dataset, in its best epoch. It lies far above
#   chance, and well below what a healthy run reaches, so that only a fault fails it. On CIFAR-10 and CIFAR-100 guessing
#   gives 10 % and 1 %, published runs of such networks some 93 % and 68 to 77 %; the gates stand at 85 % and 55 %. On
#   the digits a linear model passes 90 %. A study that names no least value is not judged on this point.
# - **Seeds differ**: no two seeds of a framework have the same train loss in every epoch. If they had, the seed would
#   not reach the random numbers, and five runs would be one. Whole courses are compared, as two accuracies on a small
#   set of images may well agree by chance.
# - **Frameworks agree on each seed**, where a study has both: at most 5 points of val accuracy between them on the same
#   dataset, model, precision, arm and seed. Seeds scatter by less than a point or two, and the known differences may
#   add a little. A wider gap is more likely a mistake in one of the two than a finding.

# %% [markdown]
# ## How they stand
#
# A gate is *open* where there is nothing yet to judge: no run, or no second one to compare with. A failed one stays in
# the table.

# %%
judged["runs concerned"] = judged["cells concerned"].str.count(r"[^, ]+")
judged["verdict"] = judged.passed.map({True: "pass", False: "FAILED"}).fillna("open")
columns = ["gate", "threshold", "found", "runs concerned", "verdict"]
caption = "The gates: what they ask for, what was found, how many runs do not pass, and the verdict."
chapter.table(shown(judged, columns), "gates", caption)

# %% [markdown]
# A run without results has not logged its epochs, and fails that gate until it has them. Those that were never begun
# are counted; every other run that stands in the way of a gate is named, with its state and its best val accuracy.

# %%
reached = {cell.name: record.acc_best for cell in study.cells if (record := read_record(cell))}
named = judged[["gate"]].assign(run=judged["cells concerned"].str.split(", ")).explode("run")
failures = named.merge(states, on="run").drop(columns="reason")
failures["acc_best"] = failures.run.map(reached)

# %%
listed = failures[failures.state != "missing"].reset_index(drop=True)
if len(listed):
    chapter.table(shown(listed, listed.columns), "gate_failures", "Every run that does not pass a gate, gate by gate.")
missing = (states.state == "missing").sum()
if missing:
    chapter.markdown(f"{missing} of {len(states)} runs were never begun.")

# %% [markdown]
# ## What was found

# %%
failed, still_open = (", ".join(judged.gate[judged.verdict == verdict]) for verdict in ("FAILED", "open"))
broken = failures.state.isin(["done", "other code", "failed"]).any()
answers = {"No": broken, "Not yet": bool(failed) or found.empty, "Yes, as far as can be judged": bool(still_open)}
answer = next((answer for answer, holds in answers.items() if holds), "Yes")

# %%
sentences = [f"**{answer}.** {(judged.verdict == 'pass').sum()} of {len(judged)} gates hold ([Table](#tbl-gates))."]
sentences += [f"{states.state.isin(['done', 'other code']).sum()} of {len(states)} runs have results."]
sentences += [f"Failed: {failed}."] if failed else []
sentences += [f"Open, with nothing to compare: {still_open}."] if still_open else []
chapter.markdown(" ".join(sentences))
