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
# A loop that adds work of its own to each step makes a framework look slower than it is. This chapter compares the loop
# in which all runs of this project train with a bare one, and with what a user would take instead. `make bench` has
# measured it on the machine that is named below, side by side in one measurement: the ratios depend less on that
# machine and its load than the speeds do.
#
# Every loop trains the same network with the same optimizer, in the same precision, with the same determinism and the
# same allocation of memory, in the same process; one is timed at a time. Our loop with a setting changed, an *arm*,
# has a process of its own. A *round* gives each loop one short turn of equal steps, in a random order. The steps in
# which a pipeline fills its buffers are not timed. A ratio is the Hodges-Lehmann estimate from the ratios of the
# rounds, with the 95 % interval of the signed-rank test [@wilcoxon1945]. Rounds are added until no interval is wider
# than 3 % to either side of its middle, up to a limit of time. Since the rounds decide when to stop, 95 % is
# approximate.

# %% tags=["parameters"]
study_name = "bench"

# %% tags=["setup"]
import pandas as pd

from lib.analysis import speed, timing
from lib.bench import scale
from lib.figures.growth import draw_growth
from lib.figures.speed import draw_ratios, words
from lib.figures.words import growth
from lib.report.chapter import Chapter
from lib.report.tables import shown
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
versions, (before, after) = found["environment"], found["machine"]
chapter.markdown(
    f"Measured from {found['started']} to {found['finished']} on {versions['cpu']}, GPU {versions['gpu']}, with "
    f"PyTorch {versions['torch']}, TensorFlow {versions['tensorflow']} and Keras {versions['keras']}, in batches of "
    f"{study.cells[0].settings.batch_size} generated images. The load was {before['load']:.1f} before. While "
    f"the loops were timed, other processes took {after['others']:.1%} of the cores' time, and the host "
    f"{after['steal']:.1%}."
)
doubt = timing.disturbance(pd.DataFrame(found["machine"]))
if doubt:
    chapter.markdown(f"**Timing not reliable:** {doubt}.")
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
# The goal beside the fastest of these is 1. Their loaders have as many worker processes as the study's `num_workers`
# allows, as a user would have them; ours has none without a GPU.

# %%
caption, alt = words(compared)
chapter.markdown(
    "[Figure](#fig-speed_ratios) shows all ratios; [Table](#tbl-speed_goals) has those with a goal. A goal is *met* "
    "where the whole interval is at or above it, *missed* where the whole interval is below, and else *undecided*."
)
chapter.figure(draw_ratios(compared), "speed_ratios", caption, alt, key=True)

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
# Outside of the steady state a run pays for building its network and pipelines (*built*), for its first step, which
# traces or compiles (*first*), and for each epoch's *first batch*, all in seconds. The *pipeline* alone and the
# *evaluation* are in images per second, like the *training*.

# %%
each = speed.parts(parts, speeds)
chapter.markdown("[Table](#tbl-speed_parts): does the pipeline feed the training?")
caption = "Speeds in images per second, the rest in seconds; one measurement each, of the first batch the median of 3."
chapter.table(shown(each, each.columns), "speed_parts", caption)

# %%
feeds = (each["pipeline"] / each["training"]).min()
chapter.markdown(f"The pipeline alone is at least {feeds:.1f} times as fast as the training.")

# %% [markdown]
# ## What changes numbers, and what it brings
#
# By default both frameworks use deterministic kernels alone, so that a run can be repeated bit by bit. An arm of the
# study changes one such choice, which changes the last digits of a training; each is off unless a study asks for it.
# An arm has a process of its own, in which even the same loop can differ by some percent; the intervals leave that out.

# %%
if found["arms"]:
    arms = speed.arms(speed.ratios(pd.DataFrame(found["arms"])))
    chapter.markdown("[Table](#tbl-speed_arms): what does each choice bring here?")
    columns = [*speed.KEYS, "arm", "ratio", "ratio_low", "ratio_high", "rounds"]
    caption = "The speed with one setting changed over that of the study's base, with the 95 % interval."
    chapter.table(shown(arms, columns), "speed_arms", caption)
else:
    chapter.markdown("Nothing of the kind was measured.")

# %% [markdown]
# ## What a run costs besides its training
#
# A run of one step, in a process of its own as in a sweep, shows what every run pays: imports, the notebook's kernel,
# the network, its tracing, an evaluation, and the files that it leaves.

# %%
costs = pd.DataFrame(found["fixed"]).pivot(index="part", columns="framework", values="seconds")
costs = costs.loc[[row["part"] for row in found["fixed"]][: len(costs)]].reset_index()
chapter.markdown("[Table](#tbl-speed_fixed): the *whole* is the sum of the parts above it.")
caption = "Seconds of a run of one step, by its parts; one run in each framework."
chapter.table(shown(costs, costs.columns), "speed_fixed", caption)

# %% [markdown]
# ## Many runs
#
# The runs are generated. Each command is a process of its own, as a user starts it.

# %%
sizes = pd.DataFrame(found["scale"])
caption, alt = growth(sizes)
chapter.markdown(
    f"Each run has {scale.EPOCHS} epochs and {scale.IMAGES:,} test images. Does anything in "
    "[Figure](#fig-speed_scale) grow faster than the runs?"
)
chapter.figure(draw_growth(sizes), "speed_scale", caption, alt)
powers = ", ".join(f"{what} {power:.2f}" for what, power in scale.growth(found["scale"]).items())
chapter.markdown(
    f"Growth of the CPU time, as a power of the runs between the two largest studies of each (1 is linear): {powers}."
)

# %% [markdown] tags=["detail"]
# ## Known traps
#
# - **Grouped convolutions in Keras.** On the TensorFlow backend, `keras.ops.conv` wraps every convolution whose kernel
#   has fewer input channels than its images in a function that XLA compiles, since TensorFlow's own kernel fails on a
#   CPU. Keras' ConvNeXt has one in each block; this project builds it as the same function in another layer,
#   `DepthwiseConv2D`, which TensorFlow computes itself.
# - **XLA on a CPU** takes long to compile, and the code is not always faster. `compile: true` is its setting in
#   Keras; in PyTorch it is `torch.compile`.
# - **Two trainings on the same cores**: both start as many threads as there are cores; PyTorch's wait for each
#   other. A sweep trains one run at a time in each slot, and divides the threads with `JOBS=2`.
# - **TensorFloat-32** is on by default in TensorFlow and, for convolutions, in PyTorch, on GPUs that have it. The two
#   would round differently; here it is off in both unless a study sets `tf32: true`.
# - **Determinism** has its price on a GPU above all. `execution: {deterministic: false}` lifts it.

# %%
for row in found["at_once"]:
    chapter.markdown(
        f"Two trainings of {row['model']} at once, {row['framework']} {row['precision']}: together {row['speed']:.2f} "
        f"times the speed of one alone, in the mean of {row['n']} measurements."
    )

# %% [markdown]
# ## Conclusion

# %%
for kind, goal in speed.GOALS.items():
    rows = judged[judged["kind"] == kind]
    counts = rows["verdict"].value_counts()
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    worst = rows.loc[rows["ratio"].idxmin()]
    chapter.markdown(
        f"Of {len(rows)} goals beside {'the bare loop' if kind == 'bare' else 'the fastest alternative'} ({goal:g}): "
        f"{told}. The lowest ratio is {speed.between(worst['ratio'], worst['ratio_low'], worst['ratio_high'])}, of "
        f"{worst['framework']} {worst['model']} / {worst['loop']}, n = {worst['rounds']} rounds."
    )

# %%
lowest = judged.loc[judged["ratio"].idxmin()]
chapter.finding(
    "Speed",
    f"Of {len(judged)} goals for our training loop, beside a bare one and what a user would take instead, "
    f"{(judged['verdict'] == 'met').sum()} are met and {(judged['verdict'] == 'missed').sum()} missed; the others are "
    f"undecided. The lowest ratio is {lowest['ratio']:.2f} (95 % {lowest['ratio_low']:.2f} to "
    f"{lowest['ratio_high']:.2f}), on {versions['cpu']}{f' (timing not reliable: {doubt})' if doubt else ''}.",
)
