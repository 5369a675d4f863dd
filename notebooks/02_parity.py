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
# # Are the two implementations the same?
#
# A comparison of two frameworks is valid only if both do the same thing. This chapter measures what the two libraries
# do differently, and then runs a ladder: each rung compares one property of both sides, from the parameter count to a
# short training, natively and with every difference aligned. Only aligned rows are judged, against limits that allow
# for rounding. If the twins agree to the last digits, no other difference acts on what the rungs compute: a few batches
# and steps at small rates. Mixed precision and long trainings are not covered, and could show further differences.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
import pandas as pd

from lib.data.store import open_store
from lib.figures import parity as figures
from lib.parity import inputs, ladder, rungs
from lib.parity.differences import differences
from lib.parity.twins import RATES
from lib.report.chapter import Chapter
from lib.report.tables import checked, shown
from lib.study.datasets import DATASETS
from lib.study.loading import load_study
from lib.study.models import SMALL, twins
from lib.study.switches import TITLES

chapter = Chapter(study_name)

# %% [markdown]
# ## What is compared

# %%
study = load_study(study_name)
models = ladder.comparable(study.models)
sizes = sorted({DATASETS[dataset].size for dataset in study.datasets})
stores = {dataset: open_store(dataset) for dataset in study.datasets}
cells = {cell.dataset: cell for cell in reversed(study.cells)}
pairing = study.cells[0].settings.pairing
chapter.markdown(ladder.scope(study.models))

# %%
named = ", ".join(TITLES[one] for one in pairing.align)
aligned = f"these switches are aligned: {named}" if pairing.align else "no switch is aligned"
aligned = "one cause after another is aligned" if study.causes else aligned
shared = "shared" if pairing.shared else "native"
chapter.markdown(f"In the runs of this study, {aligned}, and the pairing is {shared}.")
if "resnet20" in models:
    chapter.markdown(
        "`resnet20` was written for this project as the same network in both frameworks: where it differs between "
        "them, the architecture cannot be the reason."
    )

# %% [markdown] tags=["detail"]
# ## What the two libraries do differently
#
# Each row of [Table](#tbl-differences) is a switch: natively each framework follows its own convention, and aligned
# both follow the same one. No value below is typed in. Constants are read from the built networks; the behaviour of
# layers and optimizers is measured. The measurements are the variance that batch normalisation keeps for the values -1
# and 1, the standard deviation of new kernels times the root of their fan-out (a convolution's, then the head's), the
# decrease of a weight of 1 in three steps with weight decay 0.1 alone, and the movement of a weight in three steps with
# a gradient of 1 and a falling learning rate.

# %%
found = pd.concat([differences(model, sizes[0]) for model in models], ignore_index=True)
listed = found[found.differs].drop(columns=["differs", "keras_source", "pytorch_source"]).reset_index(drop=True)
chapter.table(listed, "differences", "What Keras and PyTorch do differently in this study's networks, as measured.")

# %%
unlisted = [row for row in found[found.differs].itertuples() if row.switch not in twins()[row.model].differences]
same = len(found) - len(listed)
chapter.markdown(
    f"In {same} of {len(found)} cases both frameworks do the same. "
    + (f"**{len(unlisted)} differences have no switch.**" if unlisted else "Every difference found has a switch.")
)

# %%
files = found[found.differs].groupby("switch", sort=False)[["keras_source", "pytorch_source"]]
chapter.markdown("The files of [Table](#tbl-sources) hold the code of each difference.")
places = files.agg(lambda paths: ", ".join(dict.fromkeys(paths))).reset_index()
chapter.table(places, "sources", "Where each difference is written, in the installed packages.")

# %% [markdown]
# **Batch normalisation** keeps running statistics for evaluation. Keras' momentum $m$ is the share of the old value,
# $s \leftarrow m s + (1 - m) b$; PyTorch's is the share of the new one, so its 0.1 is Keras' 0.9. With 0.999 the
# statistics depend on their initial values for some thousand updates. Until then a network may learn on the training
# images and be at chance level on all others. PyTorch updates the running variance with the unbiased
# $\frac{1}{n-1}\sum (x - \bar x)^2$, Keras with the biased $\frac{1}{n}\sum (x - \bar x)^2$. Both normalise the
# batch itself with the biased one. The constant $\epsilon$ under the root differs by up to a factor of 100.
#
# **ResNet-50** names two networks. Keras builds the network of the paper [@he2016], with the stride on the first 1x1
# convolution of a stage, which discards three of four pixels. Torchvision builds "v1.5", with the stride on the 3x3
# convolution after it: the same parameters, another function. Keras' convolutions have biases, which the next batch
# normalisation cancels.
#
# **MobileNetV2** [@sandler2018] pads its strided convolutions by one pixel below and to the right in Keras, on all
# sides in PyTorch: every such layer shifts its input by a pixel. Only PyTorch applies dropout before the head.
# **ConvNeXt** [@liu2022] drops whole blocks in training, with a probability that grows with depth, only in PyTorch.
#
# **First weights** are Glorot uniform in Keras, $U(\pm\sqrt{6 / (f_{in} + f_{out})})$. Torchvision uses He's normal
# distribution on the fan-out, $N(0, 2 / f_{out})$, for convolutions, $N(0, 0.02^2)$ everywhere in ConvNeXt, and other
# distributions for the heads.
#
# **Weight decay** $\lambda$ is added to the gradient in PyTorch, $g \leftarrow g + \lambda w$, and enters the
# momentum. Keras subtracts it from the weight, $w \leftarrow w - \eta \lambda w$, outside the momentum. With momentum
# 0.9 the same $\lambda$ is about ten times weaker in Keras. **Momentum** accumulates gradients in PyTorch,
# $b \leftarrow m b + g$, and multiplies them with the current rate, $w \leftarrow w - \eta (g + m b)$. Keras
# accumulates steps, $v \leftarrow m v - \eta g$, $w \leftarrow w + m v - \eta g$, each with the rate of its own step.
# At a constant rate the two are equal; under a schedule they are not.

# %% [markdown] tags=["detail"]
# ## The ladder
#
# Each network is built in both frameworks, with the learners, optimizers and pipelines of the sweep, and compared on
# every rung, at every image size of the study. Rungs that compute use float64 too: there rounding is $10^{-16}$, far
# below the effect of a convention. [Table](#tbl-ladder) lists what each rung allows, and why.

# %%
climbed = ladder.gathered(ladder.climb(models, sizes, rungs.NETWORK_RUNGS, pairing.reference))
depths = climbed.pop(rungs.DEPTHS)

# %% [markdown]
# ### Parameters
#
# The number of trainable parameters is a quick and strict test of an architecture: a missing layer, an extra bias or
# another width changes it. Only trainable parameters count. Keras' `count_params()` also includes the running
# statistics of batch normalisation, which PyTorch keeps as buffers; a comparison of those two numbers would show a
# difference where there is none.
#
# MobileNetV2 and ResNet-50 may differ by less than 1 %, ConvNeXt-Tiny by less than 5 %, and `resnet20` not at all. A
# study of several models measures them at both input sizes and with 10, 100 and 200 classes. A study of one model
# measures it at the sizes of its own datasets.

# %%
table_sizes = SMALL if len(models) > 1 else sizes
parameters = ladder.gathered(ladder.climb(models, table_sizes, ["parameters"]))["parameters"]
caption = "Trainable parameters in both frameworks; the difference is in percent of PyTorch's."
chapter.table(checked(parameters), "param_comparison", caption)

# %%
others = parameters[parameters.diff_pct > 0]
most = f" The others ({', '.join(others.model.unique())}) differ by at most {others.diff_pct.max():.2g} %."
chapter.markdown(
    f"In {len(parameters) - len(others)} of {len(parameters)} rows of [Table](#tbl-param_comparison) both frameworks "
    f"have the same number of trainable parameters.{most if len(others) else ''}"
)

# %% [markdown]
# Equal counts could still hide an extra weight in one place and a missing one in another. So every weight and buffer is
# compared with its counterpart, by name and shape, natively and aligned. Equal rows are counted together.

# %%
chapter.markdown("In [Table](#tbl-tensors) only rows with a reason may have two different counts.")
tensors = climbed["tensors"]
summed = tensors.groupby(["model", "input_size", "conventions", "why"], sort=False, as_index=False)
totals = summed.agg(
    tensors=("tensors", "sum"), pytorch=("pytorch", "sum"), keras=("keras", "sum"), passed=("passed", "all")
)
caption = "Weights and buffers that are the same, and those that differ, with their sizes and the reason."
chapter.table(checked(totals.replace({"why": {"": "the same"}})), "tensors", caption)

# %% [markdown]
# In ConvNeXt, Keras writes the 7x7 convolutions as grouped ones with as many groups as channels. Here they are
# replaced with `DepthwiseConv2D`: the same function of the same parameters with the same initial distribution, and much
# faster on a CPU.

# %% [markdown]
# ### Feature maps
#
# Networks of equal size can still work at different resolutions. A stem with stride 2 instead of 1 does not change the
# number of parameters, but every later layer gets a quarter of the pixels. So the shape at the end of every stage is
# compared in [Table](#tbl-feature_maps), as height x width x channels (PyTorch keeps the channels first), and must be
# equal.
# The last row of each network is its output: one logit per class.

# %%
caption = "The shape at the end of every stage of the study's networks, and that of their output."
chapter.table(checked(climbed["feature-maps"]), "feature_maps", caption)

# %% [markdown]
# ### Pixels
#
# Each framework reads the images through its own pipeline, a `DataLoader` or a `tf.data` dataset. Without augmentation
# both must give the network the same numbers ([Table](#tbl-pixels)): up to 1,000 test images go through both. The limit
# is 1e-5, some ten roundings in float32; a single grey level is a thousand times more. To check that both read the same
# bytes, the normalisation is inverted: each pixel must equal its byte in the store.

# %%
splits = {dataset: store.split("test", 1000) for dataset, store in stores.items()}
pixels = pd.concat([inputs.pixels(splits[dataset], store) for dataset, store in stores.items()], ignore_index=True)
caption = "The same test images, normalised by both pipelines; wrong bytes and labels are counted over both."
chapter.table(checked(pixels), "pixels", caption)

# %% [markdown]
# ### The stream of an epoch
#
# In training, order, crops and flips are random. Natively each framework draws its own, even with the same seed number.
# In a shared pairing both use one stream, drawn with NumPy from the seed and the epoch. Then an epoch's batches must be
# the same in both pipelines, bit by bit ([Table](#tbl-stream)).

# %%
caption = "An epoch of training batches of generated images through both pipelines, in a shared pairing."
chapter.table(checked(climbed["stream"]), "stream", caption)

# %% [markdown]
# ### First weights
#
# A shared pairing also gives both the same first weights. Each tensor has one stream of uniform numbers, drawn from the
# seed and the tensor's name and mapped through the distribution of the convention in use. Aligned, both frameworks use
# the same distribution, and the weights are the same bit by bit. Natively the distributions may differ, but not the
# quantiles: a weight that is unusually large in one framework is also large in the other. [Table](#tbl-initial_weights)
# has the largest differences.

# %%
weights = climbed["initial-weights"]
chapter.table(checked(weights), "initial_weights", "Largest difference of a first weight in a shared pairing.")

# %% [markdown]
# ### The function
#
# PyTorch's weights are transplanted into Keras' network. Batch normalisation and layer scale first get values other
# than their initial ones, which could hide a difference. On the same images, both must compute the same maps, stage by
# stage. *Arises at* names the first stage with at least a hundredth of the largest difference in [Table](#tbl-logits);
# [Figure](#fig-depths) shows all stages.

# %%
logits = climbed["logits"]
caption = "Largest relative difference of a map in evaluation; native rows are shown, aligned ones judged."
chapter.table(checked(logits.rename(columns={"worst": "arises_at"})), "logits", caption)

# %%
caption = "How the difference grows through the network, natively and aligned."
caption += f" A difference of 0 is drawn at {figures.LEAST:.0e}." if depths.measured.eq(0).any() else ""
alt = "For each network, the largest relative difference at the end of every stage, on a log scale."
chapter.figure(figures.draw_depths(depths), "depths", caption, alt)

# %% [markdown]
# ### Gradients
#
# The loss's gradients for all parameters, in training mode, on the same weights. All gradients are compared together,
# relative to their norm ([Table](#tbl-gradients)); *worst* names the tensor that differs most by itself. In float32
# gradients through batch normalisation differ by a percent even from those of the same framework in float64. That is
# rounding, so the limit in float32 is ten times as large.

# %%
chapter.table(checked(climbed["gradients"]), "gradients", "Difference of all gradients, relative to their norm.")

# %% [markdown]
# ### Two steps
#
# The learners take two steps on an epoch's first batches, the second at half the rate of the first, so that the
# momentum of the first one has an effect. Every weight and every running statistic is compared ([Table](#tbl-step)).

# %%
caption = "Largest relative difference of a weight or buffer after two steps in float64."
chapter.table(checked(climbed["step"]), "step", caption)

# %% [markdown]
# ### A short training
#
# [Table](#tbl-trajectory) follows some steps with changing rates. Training amplifies differences at every step, so the
# limit is wider here and the rates are small: at larger ones ResNet-50 amplifies a rounding error a thousandfold in a
# single step.

# %%
caption = (
    f"Largest difference of the loss in nats, over steps at rates of {', '.join(f'{rate:.2g}' for rate in RATES)}."
)
chapter.table(checked(climbed["trajectory"]), "trajectory", caption)

# %% [markdown]
# ### The float32 envelope
#
# Real runs use float32. There even two equal trainings diverge, because rounding differs and training amplifies it.
# Each framework by itself shows how fast: its first weights are changed by up to four units in the last place, and the
# same training is run again. If Keras diverges from PyTorch no faster than each framework diverges from itself, the
# difference between them is rounding: in [Figure](#fig-envelopes) it stays inside the band.

# %%
envelopes = climbed["envelope"]
caption = "Difference of the loss in a short training in float32; the band is ten times the larger noise so far. "
caption += f"A difference of 0 is drawn at {figures.LEAST_LOSS:.0e}."
alt = "For each network, over five steps: Keras from PyTorch, and either framework from itself with noise, log scale."
chapter.figure(figures.draw_envelopes(envelopes), "envelopes", caption, alt)

# %% [markdown]
# ### The learning rate
#
# Both frameworks get the rate of every step from one function, before the step. The optimizer must then hold that rate.
# So the whole schedule, a warm-up [@goyal2017] and a half cosine [@loshchilov2017] where the study has no other, is set
# in both optimizers without training, and the rate is read back each time. PyTorch keeps it as a Python number. Keras
# keeps it in a float32 variable, so it may differ in the eighth digit: this is rounding, far below the limit of 1e-6,
# and all that the lower half of [Figure](#fig-learning_rates) may show.

# %%
held = {dataset: inputs.held_rates(cells[dataset], store) for dataset, store in stores.items()}
caption = (
    "The learning rate that both optimizers hold (above), and its distance from the planned one (below). "
    "The two curves above coincide; the distance below is Keras' float32 rounding."
)
alt = "Learning rate over the steps: a straight warm-up from zero, then half a cosine down to zero, in both frameworks."
chapter.figure(figures.draw_rates(held), "learning_rates", caption, alt)

# %% [markdown]
# Three steps determine the schedule's shape and are checked separately in [Table](#tbl-learning_rate_checks): the first
# one, whose rate is 0 with a warm-up, the end of the warm-up, which reaches the peak, and the last one, close to 0. The
# last rate is not exactly 0, since the cosine ends one step later; 1 % of the peak is allowed.

# %%
rates = pd.concat([inputs.learning_rates(cells[dataset], table) for dataset, table in held.items()], ignore_index=True)
caption = "The rate read back from the optimizers; *limit* bounds the distance between measured and expected."
chapter.table(checked(rates), "learning_rate_checks", caption)

# %% [markdown] tags=["detail"]
# ## What each difference does by itself
#
# [Table](#tbl-alone) has the twins again, with one switch left native. Each difference must fail some rung; otherwise
# it is no difference, or the ladder cannot detect it. *Found by* is the first rung above its limit, and *where* the
# layer or tensor that it names.

# %%
effects = pd.concat([ladder.alone(model, sizes[0], pairing.reference) for model in models], ignore_index=True)
caption = "One switch native between twins in float64: the first rung that finds it, and the value it measures."
style = shown(effects, effects.columns).format("{:.2g}", subset=["measured", "limit"])
chapter.table(style, "alone", caption)

# %% [markdown] tags=["detail"]
# ## The ladder in one table

# %%
found = {"parameters": parameters} | climbed | {"pixels": pixels, "learning-rate": rates}
summary = ladder.summary(found)
caption = "The ladder: what each rung allows and why, and how many of its judged comparisons hold."
chapter.table(checked(summary), "ladder", caption)

# %% [markdown]
# ## What was found

# %%
failed = summary.rung[~summary.passed].tolist()
verdict = (
    f"**Failed: {', '.join(failed)}.** Their rows are marked in [Table](#tbl-ladder)." if failed else "No rung failed."
)
unseen = int(effects.found_by.eq("").sum())
chapter.markdown(
    f"{summary.passed.sum()} of {len(summary)} rungs hold ([Table](#tbl-ladder)), with {summary.held.sum()} of "
    f"{summary.comparisons.sum()} comparisons. {verdict} The ladder detects {len(effects) - unseen} of "
    f"{len(effects)} single differences."
)

# %%
worst = logits.groupby(["conventions", "precision"], sort=False).measured.max()
far = ", ".join(f"{value:.1g} {name} in {kind.replace('fp', 'float')}" for (name, kind), value in worst.items())
gap = rates.measured[rates.check.str.startswith("largest")].max()
chapter.markdown(
    f"On the same weights the networks' maps differ by at most {far}. Parameters differ by at most "
    f"{parameters.diff_pct.max():.2g} %, normalised pixels by at most {pixels.largest_difference.max():.1g}, learning "
    f"rates by at most {gap:.1g}."
)
