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
# # What ran, and what came out?
#
# Which runs are finished, and what did each group of them reach? Every number is read from the runs' records and logs.
# Whether differences are more than chance is the question of the next chapter.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
from lib.analysis import environments, findings, gates, judgements, machines, results, timing
from lib.analysis.contrasts import title
from lib.report.chapter import Chapter, to_tables
from lib.report.tables import percent, shown
from lib.runs.state import WITH_RESULTS
from lib.study.loading import load_study
from lib.words import explained

chapter = Chapter(study_name)

# %%
study = load_study(study_name)
found, states = results.results(study), results.states(study)
doubts = timing.marked(study, found).timing
absent = int((~states.state.isin(WITH_RESULTS)).sum())

# %%
have = f"{absent} of {len(states)} runs have no results yet" if absent else f"All {len(states)} runs have results"
chapter.markdown(
    f"{have} ([Table](#tbl-states))." if len(found) else "**Nothing has been run yet** ([Table](#tbl-states))."
)

# %% [markdown] tags=["detail"]
# ## The states of the runs
#
# A run is *done* if its record exists and was made from the current settings and data. A run *by other code* has valid
# results, but the code has changed since; it is kept and listed. An *accepted* run is one that a person declared
# equivalent to one of today's code, with the reason. A *stale* run was made from other settings or other data and is
# left out, as are runs that failed (for whatever reason), interrupted, running and missing runs.

# %%
counts = states.groupby("state", sort=False).agg(runs=("run", "size"), example=("reason", "first")).reset_index()
chapter.table(shown(counts, counts.columns), "states", f"The states of the study's {len(states)} runs.")

# %% [markdown] tags=["detail"]
# ## Where they ran
#
# Each run records its versions and hardware, which are counted here by framework. Where an item has more than one
# value, timing can be compared only between runs with the same value. Accuracies may differ with it in the last digits.

# %%
items = environments.environment_items(study)
if len(items):
    chapter.markdown("[Table](#tbl-environments): an item with one value is the same in all runs.")
    chapter.table(items, "environments", "Versions and hardware, and the number of runs of each framework.")
chapter.markdown(environments.sets_note())

# %%
grown = results.accumulated(study)
if grown:
    chapter.markdown(
        f"**{len(grown)} runs ran out of memory** and used smaller micro-batches than the others, with different batch "
        f"statistics and speed: {', '.join(grown)}."
    )

# %% [markdown]
# ## What the groups reached
#
# A group is the runs that differ in their seed only. Accuracy and macro-F1 are those of the test images. Speed is that
# of training, without validation, over all epochs. A † marks the speed of a group whose times are not to be relied on:
# its runs had different machines, other work took their machine's time or slowed its GPU, or its seeds differ too much.

# %%
means = results.means(study, found)
columns = [name for name in means.columns if name != "images_per_sec_avg_sd"]
caption = "Mean over the seeds; SD is the standard deviation between them, in points."
if len(found):
    chapter.markdown("[Table](#tbl-group_means): is a difference of two means larger than their deviations?")
    chapter.table(shown(means, columns), "group_means", caption)

# %% [markdown] tags=["detail"]
# ## Every run
#
# *Best epoch* is the one with the highest val accuracy. The speed is that of the *late* epochs, the last half, which
# excludes the start-up of the first epochs.

# %%
columns = [*study.keys, "acc_best", "test_accuracy", "test_macro_f1", "epoch_best", "images_per_sec_avg_late"]
caption = "The single runs. The table saved beside the report has every column at full precision."
caption = f"{caption} {explained(doubts)}".strip()
if len(found):
    chapter.markdown(f"The runs of a group in {to_tables(f'results_{study_name}')} differ by their seed alone.")
    chapter.table(shown(found, columns, doubts), f"results_{study_name}", caption)

# %% [markdown] tags=["detail"]
# ## Their machines while they trained
#
# A speed says something about a network only if the machine had nothing else to do. Each run records what its machine
# did in each epoch. *Other processes* and *stolen* are shares of the time of the cores that the run could use: what all
# other programs took, and what the host of a virtual machine did not give. *Other runs* are trainings of this project
# beside it. Where the two shares of a run are above 5 % together, the margin of a speed, the times of its group are not
# relied on. *Slowed* is a GPU that was seen to protect itself from heat or a lack of power. The energy of an epoch is
# that of the GPUs, as they count it, without validation.

# %%
watched = machines.by_group(study)
if len(watched) and set(watched) & set(machines.COLUMNS):
    chapter.markdown("In [Table](#tbl-machines) each value is the worst of a group; the energy is the mean.")
    caption = "What the machines did beside the runs, and what their GPUs did. Runs that recorded nothing are n/a."
    chapter.table(shown(watched, watched.columns), "machines", caption)
else:
    chapter.markdown("No finished run has recorded what its machine did.")

# %% [markdown] tags=["detail"]
# ## Mixed precision
#
# On a GPU, AMP computes in float16 with a loss scale [@micikevicius2018]. It should be no slower than float32 and use
# no more memory. On a CPU it computes in bfloat16, which few processors support in hardware, and the memory is that of
# the whole process. There the ratios show that AMP works; they say nothing about a GPU. *Skipped steps* are those whose
# gradient overflowed: the update is skipped, and the loss scale is reduced.

# %%
gains = results.mixed_precision(study)
caption = "AMP against fp32: means over the seeds finished in both precisions, and the total of skipped steps."
if len(gains):
    chapter.markdown("[Table](#tbl-mixed_precision): a speed above 1 and a memory below 1 are gains.")
    chapter.table(shown(gains, gains.columns), "mixed_precision", caption)
else:
    chapter.markdown("No network has finished in both precisions.")

# %% [markdown]
# ## What was found

# %%
if study.gates or "35_gates" in study.chapters:
    judged = gates.gates(study, found, results.epochs(study))
    where = " ([Table](#tbl-gates))" if "35_gates" in study.chapters else ""
    chapter.markdown(f"{judged.passed.sum()} of the {len(judged)} gates pass{where}.")

# %%
if len(found):
    speeds = judgements.judged(study, found, study.main, ["images_per_sec_avg"])
    chapter.finding("Speed", findings.speed(found.assign(timing=doubts), speeds, study.main))

# %%
for level, runs in found.assign(timing=doubts).groupby(study.main.axis, sort=False):
    low, high = runs.test_accuracy.min(), runs.test_accuracy.max()
    speed, doubt = runs.images_per_sec_avg_late, findings.not_reliable(runs)
    chapter.markdown(
        f"- **{title(level)}**, {len(runs)} runs: test accuracy from {percent(low)} % to {percent(high)} %, and "
        f"from {speed.min():,.0f} to {speed.max():,.0f} images a second in the late epochs{doubt}."
    )
