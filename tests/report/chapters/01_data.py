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
# # Data
#
# Which images do the networks see? With mean $\mu$ and standard deviation $\sigma$ a pixel $x$ becomes
#
# $$\hat{x} = \frac{x - \mu}{\sigma}, \qquad \sigma^2 = \frac{1}{n} \sum_{i=1}^{n} (x_i - \mu)^2 .$$
#
# [Figure](#fig-waves) comes from the same numbers as [Table](#tbl-wide) in the next chapter.

# %% tags=["parameters"]
study_name = "quickstart"

# %% tags=["setup"]
# ruff: noqa: E402
import sys

import matplotlib.pyplot as plt
import numpy as np

from lib.report.chapter import Chapter

chapter = Chapter(study_name)

# %%
x = np.linspace(0, 6, 200)
fig, axes = plt.subplots(figsize=(6.3, 2.6), layout="constrained")
axes.plot(x, np.sin(x), label="sine")
axes.plot(x, np.cos(x), label="cosine")
axes.set(xlabel="angle (rad)", ylabel="value")
axes.legend()
chapter.figure(
    fig,
    "waves",
    caption="Two waves, a quarter of a period apart: $\\cos x = \\sin(x + \\pi/2)$. The rest is in [Table](#tbl-long).",
    alt='Two curves, "sine" and "cosine", between -1 and 1; one leads the other [by a quarter].',
)

# %% [markdown]
# ## What is hidden and what is not
#
# This chapter's code is not shown, except where a cell asks for it.

# %% tags=["show"]
print("train", 1293, "val", 144)
print("a warning", file=sys.stderr)
total = 1293 + 144
total / 2  # shown, like its value

# %% tags=["hide"]
print("HIDDEN OUTPUT")

# %% [markdown] tags=["detail"]
# ## Where they come from
#
# From a scanner.

# %% [markdown] tags=["detail"]
# ## How they were counted
#
# One after the other.
#
# ### Twice
#
# And again.

# %% [markdown]
# ## What was found

# %%
chapter.markdown(f"There are **{total:,}** images, and `n < {total + 1}` holds.")
