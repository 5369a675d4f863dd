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
# Before two frameworks are compared, one has to know that they are doing the same thing. Keras and PyTorch both offer
# a "ResNet-50", but the two were written by different people at different times, and each has its own idea of padding,
# of biases and of where a stride belongs. A difference in accuracy means little as long as nobody has looked.
#
# This chapter looks. It first lists what the two libraries do differently, read from the networks as they are built.
# Then it climbs a ladder: each rung compares one thing on both sides, from the network's outside to what happens in
# training, natively and with every difference aligned. Natively the rungs show how far apart the frameworks are.
# Aligned they are judged, against limits that leave room for rounding and for nothing else. If the twins agree to the
# last digits, then the list is complete in all that the rungs exercise: nobody has forgotten a difference there. Mixed
# precision is not climbed, and a short training takes small steps.

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
from lib.report.tables import checked
from lib.study.datasets import DATASETS
from lib.study.loading import load_study
from lib.study.models import SMALL, twins

chapter = Chapter(study_name)

# %% [markdown]
# ## What is compared
#
# Three networks come from the frameworks' own libraries (`torchvision.models` and `keras.applications`), with stems
# changed for small images. The fourth, `resnet20`, was written twice for this project as one and the same network, to
# the last constant of its batch normalisation: it is the control. Where `resnet20` differs between the frameworks, the
# reason cannot be the architecture.

# %%
study = load_study(study_name)
models = ladder.comparable(study.models)
sizes = sorted({DATASETS[dataset].size for dataset in study.datasets})
stores = {dataset: open_store(dataset) for dataset in study.datasets}
cells = {cell.dataset: cell for cell in reversed(study.cells)}
pairing = study.cells[0].settings.pairing
chapter.markdown(ladder.scope(study.models))

# %%
aligned = f"the switches {', '.join(pairing.align)} are aligned" if pairing.align else "no switch is aligned"
aligned = "one cause after another is aligned" if study.causes else aligned
shared = "shared" if pairing.shared else "native"
chapter.markdown(f"In the runs of this study, {aligned}, and the pairing is {shared}.")

# %% [markdown]
# ## What the two libraries do differently
#
# Each row is a switch of this project: natively each framework follows its own convention, and aligned both follow one.
# No value below is typed in. Constants are read from the built networks, what a layer or an optimizer does is measured
# on it: the variance that batch normalisation keeps of -1 and 1, the standard deviation of fresh kernels times the root
# of their fan-out (a convolution's, then the head's), what weight decay 0.1 alone takes from a weight of 1 in three
# steps, and how far a gradient of 1 moves a weight in three steps while the rate falls.

# %%
found = pd.concat([differences(model, sizes[0]) for model in models], ignore_index=True)
listed = found[found.differs].drop(columns=["differs", "keras_source", "pytorch_source"]).reset_index(drop=True)
chapter.table(listed, "differences", "What Keras and PyTorch do differently in this study's networks, as measured.")

# %%
unlisted = [row for row in found[found.differs].itertuples() if row.switch not in twins()[row.model].differences]
same = len(found) - len(listed)
chapter.markdown(
    f"In {same} of {len(found)} cases both do the same. "
    + (
        f"**{len(unlisted)} differences have no switch.**"
        if unlisted
        else "Every difference that was found has a switch."
    )
)

# %%
files = found[found.differs].groupby("switch", sort=False)[["keras_source", "pytorch_source"]]
places = files.agg(lambda paths: ", ".join(dict.fromkeys(paths))).reset_index()
chapter.table(places, "sources", "Where each difference is written, in the installed packages.")

# %% [markdown]
# **Batch normalisation** keeps running statistics for evaluation. Keras' momentum $m$ is the share of the old value,
# $s \leftarrow m s + (1 - m) b$; PyTorch's is the share of the new one, so its 0.1 is Keras' 0.9. With 0.999 a network
# needs some thousand updates before its statistics have left their starting values; until then it may learn on the
# training images and guess on all others. PyTorch feeds the running variance with the unbiased
# $\frac{1}{n-1}\sum (x - \bar x)^2$, Keras with the biased $\frac{1}{n}\sum (x - \bar x)^2$. A batch itself is
# normalised by the biased one in both. The constant $\epsilon$ under the root differs by up to a factor of 100.
#
# **ResNet-50** is not ResNet-50. Keras builds the network of the paper, with the stride on the first 1x1 convolution of
# a stage, which drops three pixels of four before anything has looked at them. Torchvision builds "v1.5", with the
# stride on the 3x3 convolution behind it: the same parameters, another function. Keras' convolutions have biases, which
# the batch normalisation behind them takes out again.
#
# **MobileNetV2** pads its strided convolutions by one pixel below and to the right in Keras, on all sides in PyTorch:
# what the network sees is shifted by a pixel at every such layer. Only PyTorch drops out features before the head.
# **ConvNeXt** drops whole blocks while it trains, with growing probability, only in PyTorch.
#
# **First weights** are Glorot uniform in Keras, $U(\pm\sqrt{6 / (f_{in} + f_{out})})$. Torchvision takes He's normal
# distribution on the fan-out, $N(0, 2 / f_{out})$, for convolutions, $N(0, 0.02^2)$ all over ConvNeXt, and other
# distributions for the heads.
#
# **Weight decay** $\lambda$ is added to the gradient in PyTorch, $g \leftarrow g + \lambda w$, and goes through the
# momentum. Keras takes it off the weight, $w \leftarrow w - \eta \lambda w$, outside the momentum. With momentum 0.9
# the same $\lambda$ is about ten times weaker in Keras. **Momentum** sums up gradients in PyTorch,
# $b \leftarrow m b + g$, and multiplies with today's rate, $w \leftarrow w - \eta (g + m b)$. Keras sums up steps,
# $v \leftarrow m v - \eta g$, $w \leftarrow w + m v - \eta g$, each with the rate of its own day. At a constant
# rate the two are one; under a schedule they are not.

# %% [markdown]
# ## The ladder
#
# Each network is built in both frameworks, with the learners, optimizers and pipelines that train it in the sweep, and
# climbs every rung, at every image size of the study. Rungs that compute do so in float64 too, where rounding is
# $10^{-16}$ and a convention is still a convention. What each rung allows, and why, stands in the last table.

# %%
climbed = ladder.gathered(ladder.climb(models, sizes, rungs.NETWORK_RUNGS, pairing.reference))
depths = climbed.pop(rungs.DEPTHS)

# %% [markdown]
# ### Parameters
#
# The number of trainable parameters is the quickest test of an architecture, and a severe one: a forgotten layer, a
# bias too many or another width changes it. Only trainable parameters count. Keras' `count_params()` also includes
# the running statistics of batch normalisation, which PyTorch keeps as buffers, and comparing those two numbers would
# find a difference where there is none.
#
# MobileNetV2 and ResNet-50 may differ by less than 1 %, ConvNeXt-Tiny by less than 5 %, and `resnet20` not at all. A
# study of several models measures all of them at both input sizes and with 10, 100 and 200 classes; a study of one
# model measures that one, at the sizes of its own datasets.

# %%
compared, table_sizes = (twins(), SMALL) if len(models) > 1 else (models, sizes)
parameters = ladder.gathered(ladder.climb(compared, table_sizes, ["parameters"]))["parameters"]
caption = "Trainable parameters in both frameworks; the difference is in percent of PyTorch's."
chapter.table(checked(parameters), "param_comparison", caption)

# %%
others = parameters[parameters.diff_pct > 0]
most = f" The others ({', '.join(others.model.unique())}) differ by at most {others.diff_pct.max():.2g} %."
chapter.markdown(
    f"In {len(parameters) - len(others)} of {len(parameters)} rows of [Table](#tbl-param_comparison) both frameworks "
    f"have exactly as many trainable parameters.{most if len(others) else ''}"
)

# %% [markdown]
# Equal counts could still hide a weight too many here and one too few there. So every weight and buffer is held against
# its namesake, by name and shape, natively and aligned. Rows that are the same are counted together.

# %%
tensors = climbed["tensors"]
summed = tensors.groupby(["model", "input_size", "conventions", "why"], sort=False, as_index=False)
totals = summed.agg(
    tensors=("tensors", "sum"), pytorch=("pytorch", "sum"), keras=("keras", "sum"), passed=("passed", "all")
)
caption = "Weights and buffers that are the same, and those that are not, with the numbers in them and the reason."
chapter.table(checked(totals.replace({"why": {"": "the same"}})), "tensors", caption)

# %% [markdown]
# In ConvNeXt, Keras writes the 7x7 convolutions as grouped ones with as many groups as channels. Here they are
# replaced with `DepthwiseConv2D`, which is the same function of the same parameters, drawn from the same distribution,
# and much faster on a CPU.

# %% [markdown]
# ### Feature maps
#
# Networks of equal size can still work at different resolutions. A stem with stride 2 in place of 1 does not change
# the number of parameters at all, but it quarters the pixels that every later layer sees. So the shape at the end of
# every stage is compared, written as height x width x channels on both sides (PyTorch keeps the channels first).
# Shapes must be equal, and the last row of each network is its output: one logit a class.

# %%
caption = "The shape at the end of every stage of the study's networks, and that of their output."
chapter.table(checked(climbed["feature-maps"]), "feature_maps", caption)

# %% [markdown]
# ### Pixels
#
# Each framework reads the images through its own pipeline, a `DataLoader` or a `tf.data` dataset. Without
# augmentation both should hand the network the same numbers. Up to 1,000 test images of each dataset go through both.
# The limit is 1e-5, some ten roundings in float32; a single grey level is a thousand times more. To be sure that both
# started from the same bytes, the normalisation is taken back, and each pixel must come out as the very byte in the
# store.

# %%
splits = {dataset: store.split("test", 1000) for dataset, store in stores.items()}
pixels = pd.concat([inputs.pixels(splits[dataset], store) for dataset, store in stores.items()], ignore_index=True)
caption = "The same test images, normalised by both pipelines; wrong bytes and labels are counted in both together."
chapter.table(checked(pixels), "pixels", caption)

# %% [markdown]
# ### The stream of an epoch
#
# In training, order, crops and flips are random. Natively each framework draws its own, and a shared seed number gives
# them nothing in common. In a shared pairing both follow one stream, drawn with NumPy from the seed and the epoch. Then
# an epoch's batches must be the same in both pipelines, to the bit.

# %%
caption = "An epoch of training batches of generated images through both pipelines, in a shared pairing."
chapter.table(checked(climbed["stream"]), "stream", caption)

# %% [markdown]
# ### First weights
#
# A shared pairing also gives both the same first weights. Each tensor has one stream of uniform numbers, from the seed
# and its name, which is mapped through the distribution of the convention that is followed. Aligned, that is one
# distribution, and the weights are the same to the bit. Natively the two distributions may differ, but not the
# quantiles: a weight that is unusually large in one framework is so in the other.

# %%
weights = climbed["initial-weights"]
chapter.table(checked(weights), "initial_weights", "Largest difference of a first weight in a shared pairing.")

# %% [markdown]
# ### The function
#
# Now PyTorch's weights are carried into Keras' network, after batch normalisation and layer scale have been moved off
# the special values that they start at and that could hide a difference. On the same images, both must compute the same
# maps, stage by stage. `worst` names the stage where they part.

# %%
logits = climbed["logits"]
caption = "Largest relative difference of a map in evaluation; native rows are shown, aligned ones judged."
chapter.table(checked(logits), "logits", caption)

# %%
caption = "How the difference grows through the network, natively and aligned; a difference of 0 is drawn at 1e-17."
alt = "For each network, the largest relative difference at the end of every stage, on a log scale."
chapter.figure(figures.draw_depths(depths), "depths", caption, alt)

# %% [markdown]
# ### Gradients
#
# The loss's gradient for every parameter, in training mode, on the same weights. All gradients are taken together and
# compared relative to their norm; `worst` names the tensor that differs most by itself. In float32 gradients through
# batch normalisation differ by a percent even from the same framework's own in float64: that is rounding, and so the
# limit in float32 is ten times that.

# %%
chapter.table(checked(climbed["gradients"]), "gradients", "Difference of all gradients, relative to their norm.")

# %% [markdown]
# ### One step, and another
#
# The learners take two steps on one epoch's first batches, the second at half the first one's rate: by then there is
# momentum to be carried over. Every weight and every running statistic is compared.

# %%
caption = "Largest relative difference of a weight or buffer after two steps in float64."
chapter.table(checked(climbed["step"]), "step", caption)

# %% [markdown]
# ### A short training
#
# Some steps, with changing rates. A training multiplies what differs, step by step, so that the limit is wider here,
# and the rates are small: at larger ones ResNet-50 multiplies a rounding error a thousandfold in a single step.

# %%
caption = (
    f"Largest difference of the loss in nats, over steps at rates of {', '.join(f'{rate:.2g}' for rate in RATES)}."
)
chapter.table(checked(climbed["trajectory"]), "trajectory", caption)

# %% [markdown]
# ### The float32 envelope
#
# Real runs are in float32, where two trainings part even if they are the same: rounding differs, and training amplifies
# it. How fast, each framework shows by itself. The weights it starts from are moved by up to four units in their last
# place, and the same training is run again. If Keras parts from PyTorch no faster than each parts from itself, then
# what is between them is rounding.

# %%
envelopes = climbed["envelope"]
caption = "Difference of the loss in a short training in float32; the band is ten times the larger noise so far."
alt = "For each network, over five steps: Keras from PyTorch, and either framework from itself with noise, log scale."
chapter.figure(figures.draw_envelopes(envelopes), "envelopes", caption, alt)

# %% [markdown]
# ### The learning rate
#
# The rate of every step comes from one function that both frameworks share, and is set before the step. What counts
# is what the optimizer then holds. So the whole schedule is run through both optimizers without training, and the rate
# is read back each time. PyTorch keeps it as a Python number. Keras keeps it in a float32 variable, so it may be off in
# the eighth digit: that is rounding, and far below the limit of 1e-6.

# %%
held = {dataset: inputs.held_rates(cells[dataset], store) for dataset, store in stores.items()}
caption = (
    "The learning rate that both optimizers hold (above), and its distance from the planned one (below). "
    "The two curves above lie on each other; below, float32 rounding is all that Keras shows."
)
alt = "Learning rate over the steps: a straight warm-up from zero, then half a cosine down to zero, in both frameworks."
chapter.figure(figures.draw_rates(held), "learning_rates", caption, alt)

# %% [markdown]
# Three steps give the schedule its shape, and they are checked by themselves: the first one, whose rate is 0 where
# there is a warm-up, the end of the warm-up, where the peak is reached, and the last one, close to 0. It is not quite
# 0, since the cosine ends one step after the last; 1 % of the peak is allowed.

# %%
rates = pd.concat([inputs.learning_rates(cells[dataset], table) for dataset, table in held.items()], ignore_index=True)
caption = "The rate read back from the optimizers; `limit` bounds the distance between measured and expected."
chapter.table(checked(rates), "learning_rate_checks", caption)

# %% [markdown]
# ## What each difference does by itself
#
# Twins again, but with one switch left native. Each difference must show on some rung; one that showed on none would be
# no difference, or the ladder would be blind to it. `found by` is the first rung above its limit, and `where` the layer
# or tensor that it names.

# %%
effects = pd.concat([ladder.alone(model, sizes[0], pairing.reference) for model in models], ignore_index=True)
caption = "One switch native between twins in float64: the first rung that finds it, and what that one measures."
chapter.table(effects.style.format("{:.2g}", subset=["measured", "limit"]).hide(), "alone", caption)

# %% [markdown]
# ## What was found

# %%
found = {"parameters": parameters} | climbed | {"pixels": pixels, "learning-rate": rates}
summary = ladder.summary(found)
caption = "The ladder: what each rung allows and why, and how many of the comparisons that it judged held."
chapter.table(checked(summary), "ladder", caption)

# %%
failed = summary.rung[~summary.passed].tolist()
verdict = f"**Failed: {', '.join(failed)}.** The rows concerned are marked above." if failed else "No rung failed."
unseen = int(effects.found_by.eq("").sum())
chapter.markdown(
    f"{summary.passed.sum()} of {len(summary)} rungs hold, with {summary.held.sum()} of {summary.comparisons.sum()} "
    f"comparisons. {verdict} The ladder finds {len(effects) - unseen} of {len(effects)} differences by themselves."
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
