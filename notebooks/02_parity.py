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
# This chapter climbs a ladder. Each rung compares one thing on both sides, from the network's outside to what happens
# in training, and each has a limit that was set beforehand: the number of parameters, the shape of every feature map,
# the pixels that reach the network, and the learning rate that the optimizer really holds. A comparison that fails is
# shown as failed and counted at the end.

# %% tags=["parameters"]
study = "quickstart"

# %% tags=["setup"]
import pandas as pd

from lib import parity
from lib.data.catalog import CATALOG
from lib.data.store import open_store
from lib.params import load_study
from lib.report.chapter import Chapter
from lib.tables import checked

chapter = Chapter(study)

# %% [markdown]
# ## What is compared
#
# Three networks come from the frameworks' own libraries (`torchvision.models` and `keras.applications`), with stems
# changed for small images. The fourth, `resnet20`, was written twice for this project as one and the same network, to
# the last constant of its batch normalisation: it is the control. Where `resnet20` differs between the frameworks, the
# reason cannot be the architecture.

# %%
experiment = load_study(study)
sizes = sorted({CATALOG[dataset].size for dataset in experiment.datasets})
stores = {dataset: open_store(dataset) for dataset in experiment.datasets}
cells = {cell.dataset: cell for cell in reversed(experiment.cells)}

# %% [markdown]
# ## First rung: parameters
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
whole = len(experiment.models) > 1
models, table_sizes = (parity.STAGES, (32, 64)) if whole else (experiment.models, sizes)
parameters = parity.parameter_table(models, table_sizes, classes=(10, 100, 200))
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
# Where ResNet-50 is in the table, its difference has one reason: Keras gives every convolution a bias, although the
# batch normalisation behind it takes any constant out again. Those 26,560 numbers are trained and change nothing.
#
# In ConvNeXt, Keras writes the 7x7 convolutions as grouped ones with as many groups as channels. Here they are
# replaced with `DepthwiseConv2D`, which is the same function of the same parameters, drawn from the same distribution,
# and much faster on a CPU.

# %% [markdown]
# ## Second rung: feature maps
#
# Networks of equal size can still work at different resolutions. A stem with stride 2 in place of 1 does not change
# the number of parameters at all, but it quarters the pixels that every later layer sees. So the shape at the end of
# every stage is compared, written as height x width x channels on both sides (PyTorch keeps the channels first).
# Shapes must be equal, and the last row of each network is its output: one logit a class.

# %%
pairs = [(model, dataset) for model in experiment.models for dataset in experiment.datasets]
shapes = {(model, CATALOG[dataset].size, CATALOG[dataset].classes) for model, dataset in pairs}
maps = pd.concat([parity.feature_maps(*shape) for shape in sorted(shapes)], ignore_index=True)
caption = "The shape at the end of every stage of the study's networks, and that of their output."
chapter.table(checked(maps), "feature_maps", caption)

# %% [markdown]
# Equal shapes do not mean equal arithmetic. Keras pads MobileNetV2's strided convolutions below and to the right only,
# PyTorch on all sides, and Keras' ResNet-50 has its stride on another convolution of the block. Such differences are
# native to the two libraries and belong to what this study compares, as do PyTorch's dropout before the head of
# MobileNetV2 and its stochastic depth in ConvNeXt, of which Keras has neither. `resnet20` has none of them.

# %% [markdown]
# ## Third rung: pixels
#
# Each framework reads the images through its own pipeline, a `DataLoader` or a `tf.data` dataset. Without
# augmentation both should hand the network the same numbers. Up to 1,000 test images of each dataset go through both.
# The limit is 1e-5, some ten roundings in float32; a single grey level is a thousand times more. To be sure that both
# started from the same bytes, the normalisation is taken back, and each pixel must come out as the very byte in the
# store.

# %%
splits = {dataset: store.split("test", 1000) for dataset, store in stores.items()}
pixels = pd.concat([parity.pixels(splits[dataset], store) for dataset, store in stores.items()], ignore_index=True)
caption = "The same test images, normalised by both pipelines; wrong bytes and labels are counted in both together."
chapter.table(checked(pixels), "pixels", caption)

# %% [markdown]
# ## Fourth rung: the learning rate
#
# The rate of every step comes from one function that both frameworks share, and is set before the step. What counts
# is what the optimizer then holds. So the whole schedule is run through both optimizers without training, and the rate
# is read back each time. PyTorch keeps it as a Python number. Keras keeps it in a float32 variable, so it may be off in
# the eighth digit: that is rounding, and far below the limit of 1e-6.

# %%
held = {dataset: parity.held_rates(cells[dataset], store) for dataset, store in stores.items()}
caption = (
    "The learning rate that both optimizers hold (above), and its distance from the planned one (below). "
    "The two curves above lie on each other; below, float32 rounding is all that Keras shows."
)
alt = "Learning rate over the steps: a straight warm-up from zero, then half a cosine down to zero, in both frameworks."
chapter.figure(parity.draw_rates(held), "learning_rates", caption, alt)

# %% [markdown]
# Three steps give the schedule its shape, and they are checked by themselves: the first one, whose rate is 0, the end
# of the warm-up, where the peak is reached, and the last one, close to 0. It is not quite 0, since the cosine ends one
# step after the last; 1 % of the peak is allowed.

# %%
rates = pd.concat([parity.learning_rates(cells[dataset], table) for dataset, table in held.items()], ignore_index=True)
caption = "The rate read back from the optimizers; `limit` bounds the distance between measured and expected."
chapter.table(checked(rates), "learning_rate_checks", caption)

# %% [markdown]
# ## What was found

# %%
rungs = {"parameters": parameters, "feature maps": maps, "pixels": pixels, "learning rate": rates}
ladder = parity.ladder(rungs)
chapter.table(checked(ladder), "ladder", "The ladder: how many comparisons of each rung held.")

# %%
failed = ladder.rung[~ladder.passed].tolist()
verdict = f"**Failed: {', '.join(failed)}.** The rows concerned are marked above." if failed else "No rung failed."
gap = rates.measured[rates.check.str.startswith("largest")].max()
chapter.markdown(
    f"{ladder.passed.sum()} of {len(ladder)} rungs hold, with {ladder.held.sum()} of {ladder.comparisons.sum()} "
    f"comparisons. {verdict} Parameters differ by at most {parameters.diff_pct.max():.2g} %, normalised pixels by at "
    f"most {pixels.largest_difference.max():.1g}, learning rates by at most {gap:.1g}."
)
