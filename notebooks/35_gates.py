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
# A faulty pipeline still produces numbers. Gates cannot show that everything is correct. They detect the faults that
# would make all later numbers worthless, before a larger study is started.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
from lib.analysis import gates, results
from lib.report.chapter import Chapter
from lib.report.tables import shown
from lib.runs.records import read_record
from lib.runs.state import WITH_RESULTS
from lib.runs.status import FAILURES
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %%
study = load_study(study_name)
found, states = results.results(study), results.states(study)
judged = gates.gates(study, found, results.epochs(study))

# %% [markdown] tags=["detail"]
# ## The gates and their thresholds
#
# The thresholds are part of the study's file (`gates`) and of `lib/analysis/gates.py`; the repository's history says
# since when.
#
# - **Every epoch logged**: all runs of the study are there, and each log has as many epochs as its settings. The
#   learning rate falls to zero over exactly these epochs; a shorter run is another training and must not enter a mean.
# - **No NaN in logs and results**: a NaN means that a loss overflowed or that a number was never written, and most
#   means would ignore it silently.
# - **Val accuracy**: in its best epoch, a run exceeds a threshold that the study sets for each dataset. The threshold
#   is far above chance and well below the accuracy of a correct run, so that only a fault fails it. On CIFAR-10 chance
#   is 10 %, a published ResNet-50 reaches 93.6 % ([kuangliu](https://github.com/kuangliu/pytorch-cifar)), and the gate
#   of the benchmark is 85 %. On CIFAR-100 chance is 1 %, a published MobileNetV2 and ResNet-50 reach 68.1 % and 77.4 %
#   ([weiaicunzai](https://github.com/weiaicunzai/pytorch-cifar100)), and the gate is 55 %. On the digits a
#   linear model exceeds 90 %. A study without a threshold is not judged on this point.
# - **Seeds differ**: no two seeds of a framework have the same train loss in every epoch. Otherwise the seed would not
#   reach the random numbers, and five runs would be copies of one. The losses of all epochs are compared, because two
#   accuracies on few images may be equal by chance.
# - **Frameworks agree on each seed**, if a study has both: their val accuracies differ by at most 5 points on the same
#   dataset, model, precision, arm and seed. A pair that is further apart does not pass. Where seeds scatter widely, one
#   such pair may be chance, so the gate *fails* only if in some group the mean gap is above 5 points too and all its
#   seeds lie on one side. Such a gap is more likely a mistake in one framework than a finding. Otherwise the verdict is
#   *look*: look at the curves of the pairs that are listed, or add seeds, before the study goes on.

# %% [markdown]
# ## Which gates pass?
#
# A gate in [Table](#tbl-gates) is *open* if there is nothing to judge yet. Only the gate on the two frameworks can say
# *look*.

# %%
judged.insert(4, "runs concerned", judged["cells concerned"].str.count(r"[^, ]+"))
columns = ["gate", "threshold", "found", "runs concerned", "verdict"]
caption = "The gates: the threshold, the value found, the number of runs that do not pass, and the verdict."
chapter.table(shown(judged, columns), "gates", caption)

# %% [markdown] tags=["detail"]
# ## The runs that do not pass
#
# A run without results has not logged its epochs and fails the first gate until it has. Runs that were never started
# are only counted; every other run that does not pass a gate is listed with its state and its best val accuracy.

# %%
reached = {cell.name: record.acc_best for cell in study.cells if (record := read_record(cell))}
named = judged[["gate"]].assign(run=judged["cells concerned"].str.split(", ")).explode("run")
failures = named.merge(states, on="run").drop(columns="reason")
failures["acc_best"] = failures.run.map(reached)

# %%
listed = failures[failures.state != "missing"].reset_index(drop=True)
if len(listed):
    chapter.markdown("[Table](#tbl-gate_failures): start with the runs that stand in it more than once.")
    chapter.table(shown(listed, listed.columns), "gate_failures", "The runs that do not pass, gate by gate.")
missing = (states.state == "missing").sum()
chapter.markdown(f"{missing} of {len(states)} runs were never started." if missing else "All runs were started.")

# %% [markdown]
# ## What was found

# %%
failed, doubtful, still_open = (
    ", ".join(judged.gate[judged.verdict == verdict]) for verdict in ("FAILED", "look", "open")
)
broken = failures.state[failures.gate.isin(judged.gate[judged.verdict == "FAILED"])]
answers = {
    "No": broken.isin([*WITH_RESULTS, *FAILURES]).any(),
    "Not yet": bool(failed) or found.empty,
    "Look first": bool(doubtful),
    "Yes, as far as can be judged": bool(still_open),
}
answer = next((answer for answer, holds in answers.items() if holds), "Yes")

# %%
sentences = [f"**{answer}.** {(judged.verdict == 'pass').sum()} of {len(judged)} gates pass ([Table](#tbl-gates))."]
sentences += [f"{states.state.isin(WITH_RESULTS).sum()} of {len(states)} runs have results."]
sentences += [f"Failed: {failed}."] if failed else []
sentences += [f"Look at: {doubtful}."] if doubtful else []
sentences += [f"Open, with nothing to compare: {still_open}."] if still_open else []
chapter.markdown(" ".join(sentences))
