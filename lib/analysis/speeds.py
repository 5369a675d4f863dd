"""What a study found about the speed of training, in a sentence."""

import numpy as np
import pandas as pd

from lib.analysis import contrasts
from lib.analysis.contrasts import title
from lib.analysis.inference import mean_interval
from lib.study.study import Comparison

_SPEED = "images_per_sec_avg"
_TIMES = "times as many images a second"


def finding(results: pd.DataFrame, comparison: Comparison) -> str:
    """Return a sentence on the speeds of a comparison's levels, over all epochs and without validation.

    `results` is the table of `analysis.results`, with at least one run. A ratio is the geometric mean over pairs of the
    same seed; that of a single group has its 95 % t interval.
    """
    if not comparison.others:
        return f"The runs trained {results[_SPEED].min():,.0f} to {results[_SPEED].max():,.0f} images a second."
    found = contrasts.pairs(results, comparison, _SPEED).dropna()
    if found.empty:
        return "No pair of runs has finished yet, so no speeds are compared."
    logs, against = np.log(found["second"] / found["first"]), title(comparison.against)
    groups = logs.groupby([found[key] for key in [*comparison.group, "level"]], sort=False).mean()
    levels = groups.groupby("level", sort=False).mean()
    first = f"{title(levels.index[0])} trained {np.exp(levels.iloc[0]):.2f} {_TIMES} as {against}"
    if len(levels) > 1:
        ends = [f"{np.exp(levels[level]):.2f} ({title(level)})" for level in (levels.idxmin(), levels.idxmax())]
        return f"Against {against}, the {len(levels)} other {comparison.axis}s trained {' to '.join(ends)} {_TIMES}."
    if len(groups) > 1:
        low, high = np.exp([groups.min(), groups.max()])
        return f"{first}, in the geometric mean of {len(groups)} groups; single groups from {low:.2f} to {high:.2f}."
    _, low, high = np.exp(mean_interval(logs.to_numpy()))
    interval = "" if np.isnan(low) else f"95 % {low:.2f} to {high:.2f}, "
    return f"{first} ({interval}{len(logs)} pair{'s' if len(logs) > 1 else ''} of runs)."
