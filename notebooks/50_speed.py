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
# # How fast is a training, and what slows it?
#
# A benchmark that adds work of its own measures itself. This chapter compares the loop in which all runs of this project
# train with a bare one, and with what a user would take instead. `make bench` has measured it on the machine that is
# named below, side by side in one measurement, so that the ratios hold where the speeds themselves depend on the
# machine and its load.
#
# Every loop trains the same network with the same optimizer, in the same precision, with the same determinism, and is a
# process of its own; only one works at a time. A *round* gives each loop one turn of equal steps, and each round begins
# with another loop. The first steps of a turn are not timed. Rounds are added until the 95 % interval of every ratio
# reaches no further than 3 % to either side, up to a limit of time.

# %% tags=["parameters"]
study_name = "bench"

# %% tags=["setup"]
import pandas as pd

from lib.analysis import speed
from lib.figures.growth import draw_growth
from lib.figures.speed import draw_ratios, words
from lib.figures.words import growth
from lib.report.chapter import Chapter
from lib.report.tables import named, shown
from lib.runs import measured
from lib.study.loading import load_study

chapter = Chapter(study_name)

# %%
study = load_study(study_name)
found = measured.read(study_name)
speeds, parts = pd.DataFrame(found["speeds"]), pd.DataFrame(found["parts"])
compared = speed.ratios(speeds)
judged = speed.judged(compared)

# %%
machine = found["environment"]
chapter.markdown(
    f"Measured from {found['started']} to {found['finished']} on {machine['cpu']}, GPU {machine['gpu']}, with PyTorch "
    f"{machine['torch']}, TensorFlow {machine['tensorflow']} and Keras {machine['keras']}; batches of "
    f"{study.cells[0].settings.batch_size} generated images. The mean load of the machine, in waiting processes, was "
    f"{found['load'][0]:.1f} before and {found['load'][1]:.1f} after."
)
if found["quick"]:
    chapter.markdown("**A quick measurement**, of the first network alone; its intervals may be wide.")

# %% [markdown]
# ## Our loop beside others
#
# - **bare**: nothing but the framework's step on batches that lie in memory. What our loop takes more is the input
#   pipeline, the sums of losses and hits, and the learning rate of each step. The goal is 0.97.
# - **fit**: Keras' `model.fit` with the accuracy as its metric, on a `tf.data` pipeline of single images.
# - **torchvision**: a loop in the form of torchvision's reference training, with its transforms and a loss and an
#   accuracy that are read at each step.
# - **timm**: a loop in the form of timm's training script, with its loader. **lightning**: Lightning's `Trainer`, where
#   it is installed.
#
# The goal beside the fastest of these is 1.

# %%
caption, alt = words(compared[compared["kind"] != "arm"])
chapter.markdown(
    "[Figure](#fig-speed_ratios) shows all ratios; [Table](#tbl-speed_goals) has those with a goal. A goal is *met* or "
    "*missed* where the whole interval is on its side."
)
chapter.figure(draw_ratios(compared[compared["kind"] != "arm"]), "speed_ratios", caption, alt, key=True)

# %%
columns = [*speed.KEYS, "loop", "ours", "ratio", "ratio_low", "ratio_high", "rounds", "goal", "verdict"]
caption = "Our loop, images per second, and its ratio to the bare loop and to the fastest alternative."
chapter.table(shown(judged, columns), "speed_goals", caption)

# %%
wide = compared[~compared["narrow"]]
if len(wide):
    rows = "; ".join(f"{row.framework} {row.model} / {row.loop}" for row in wide.itertuples())
    chapter.markdown(f"**Not narrow enough** when the time was over: {rows}.")
else:
    chapter.markdown("Every interval is narrow enough.")

# %% [markdown]
# ## The parts of a training
#
# Outside of the steady state a run pays for building its network and pipelines (*built*), for its first steps, which
# trace or compile (*first*), and for each epoch's *first batch*, all in seconds. The *pipeline* alone and the
# *evaluation* are in images per second, like the *training*.

# %%
each = speed.parts(parts, speeds)
chapter.markdown("[Table](#tbl-speed_parts): does the pipeline feed the training?")
caption = "Speeds in images per second, the rest in seconds; one measurement each, of the first batch the median of 3."
chapter.table(shown(each, each.columns), "speed_parts", caption)

# %%
feeds = (each["pipeline"] / each["training"]).min()
chapter.markdown(f"The pipeline alone is at least {feeds:.0f} times as fast as the training.")
both = each.dropna(subset=["two at once"]) if "two at once" in each else each[:0]
for row in both.itertuples():
    at_once = parts.query("part == 'two at once' and framework == @row.framework")["value"].iloc[0]
    chapter.markdown(
        f"Two trainings of {row.model} at once in {row.framework} have {at_once:.2f} times the speed of one, together."
    )
