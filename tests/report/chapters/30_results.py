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
# # Results
#
# A long table, a wide one and one with words in it: what reports are made of.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
# ruff: noqa: E402
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from lib.report.chapter import Chapter

chapter = Chapter(study_name)

# %% [markdown]
# ## What was found in the long table
#
# Each row of [Table](#tbl-long) is one test; a dash is a value that does not exist. [Figure](#fig-bars) sums it up, and
# [Table](#tbl-words) says why.
#
# | symbol | meaning |
# |:--|:--|
# | $\alpha$ | level of the test |
# | $\delta$ | difference of the means |

# %%
rows = pd.MultiIndex.from_product(
    [["cifar10", "cifar100", "tiny_imagenet"], ["resnet50", "mobilenetv2", "convnext_tiny"], ["fp32", "amp"], range(5)],
    names=["dataset", "model", "precision", "metric"],
)
random = np.random.default_rng(42)
long = pd.DataFrame(random.normal(size=(90, 3)), index=rows, columns=["delta", "p_value", "cohen_d"])
long.iloc[-1, 0] = np.nan
chapter.table(long, "long", "All 90 tests, at $\\alpha = 0.05$.")

# %%
wide = pd.DataFrame(random.uniform(-99, 99, size=(6, 20)), columns=[f"column_{i:02d}" for i in range(20)])
wide.index = pd.Index([f"run {i}" for i in range(6)], name="run")
style = wide.style.format("{:.2f}").background_gradient(cmap="Blues", high=1, text_color_threshold=0.25)
chapter.table(style, "wide", "Twenty columns of numbers.")

# %%
words = pd.DataFrame(
    {
        "setting": ["weight decay", "stochastic depth"],
        "keras": ["decoupled: the weights shrink by the rate times 1e-4 in each step", "0.0"],
        "pytorch": ["coupled: 1e-4 times the weight is added to the gradient, then goes through momentum", "0.1"],
        "share": [0.25, -0.5],
    }
)
chapter.table(words, "words", "Settings & their *share* of the gap & more.")

# %% [markdown]
# ## A figure at the end

# %%
fig, axes = plt.subplots(figsize=(3.2, 2.2), layout="constrained")
axes.bar(["keras", "pytorch"], [0.91, 0.92], color=["#d1495b", "#30638e"])
axes.set_ylabel("accuracy")
chapter.figure(fig, "bars", "Both learn.", "Two bars of nearly the same height, 0.91 and 0.92.", width="55%")
long.head(2)
