"""Keras against PyTorch, paired by seed: effects with intervals, tests, equivalence, and what the design can detect.

Every difference is PyTorch minus Keras. The tests are SciPy's and statsmodels'; only the judgement is ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

from lib.analysis.results import GROUP

ALPHA = 0.05
POWER = 0.8

COLUMNS = {
    "dataset": "",
    "model": "",
    "precision": "",
    "metric": "what is compared: a key of `METRICS`",
    "n": "pairs: seeds finished in both frameworks",
    "mean_keras": "mean over the pairs",
    "mean_pytorch": "mean over the pairs",
    "delta": "mean_pytorch - mean_keras",
    "ci_low": "95 % t interval of the paired difference, lower end",
    "ci_high": "upper end",
    "sd_difference": "standard deviation of the paired differences (n - 1)",
    "t_p": "paired t test, two-sided p",
    "holm_p": "t_p after Holm's correction over all rows that have one",
    "wilcoxon_p": "Wilcoxon signed-rank test, two-sided exact p",
    "wilcoxon_p_min": "the smallest p that this test can give with n pairs",
    "cohens_d_z": "delta / sd_difference (Cohen 1988; Lakens 2013, eq. 6)",
    "cohens_d_av": "delta / mean of the two frameworks' standard deviations (Lakens 2013, eq. 10)",
    "cliffs_delta": "P(PyTorch > Keras) - P(PyTorch < Keras) over all n x n combinations (Cliff 1993)",
    "ratio": "geometric mean of PyTorch / Keras, where the margin is on the ratio",
    "ratio_low": "its 95 % t interval on the log scale, lower end",
    "ratio_high": "upper end",
    "margin_low": "equivalence margin of the difference, or of the ratio where there is one",
    "margin_high": "upper end",
    "tost_p": "two one-sided paired t tests against the margin, p",
    "tost_holm_p": "tost_p after Holm's correction over all rows that have one",
    "detectable": "smallest difference a paired t test finds with power 0.8 at alpha 0.05, given sd_difference",
    "judgement": "equivalent, different or undecided",
    "reason": "why a value is missing, or what the row leaves out",
}
"""The columns of `compare`, each with what it holds."""


@dataclass(frozen=True)
class Metric:
    """A compared quantity with the equivalence margin that was set beforehand, on the difference or on the ratio."""

    title: str
    margin: float
    on_ratio: bool = False

    @property
    def bounds(self) -> tuple[float, float]:
        """The margin's two ends; a ratio's are each other's reciprocal, so that neither framework is favoured."""
        return (1 / (1 + self.margin), 1 + self.margin) if self.on_ratio else (-self.margin, self.margin)


METRICS = {
    "test_accuracy": Metric("test accuracy", 0.005),
    "test_macro_f1": Metric("test macro-F1", 0.005),
    "images_per_sec_avg": Metric("images per second", 0.05, on_ratio=True),
}

COHEN = {0.2: "negligible", 0.5: "small", 0.8: "medium", np.inf: "large"}
"""Cohen 1988: the size of |d| below each bound. The bounds are meant for a d in units of the runs' own spread: d_av."""

CLIFF = {0.147: "negligible", 0.33: "small", 0.474: "medium", np.inf: "large"}
"""Romano et al. 2006: the size of |delta| below each bound."""


def compare(results: pd.DataFrame) -> pd.DataFrame:
    """Compare the frameworks in each group and each metric: one row a comparison, with the columns `COLUMNS`.

    `results` is the table of `records.results`. A statistic that the data do not allow is NaN, and `reason` says why.
    A row is *equivalent* where its difference lies within the margin set beforehand (`tost_holm_p` below 0.05), else
    *different* where it is not zero (`holm_p` below 0.05), else *undecided*. So a difference that is significant but
    certainly within the margin is judged equivalent: the margin says what matters.
    """
    rows = [
        dict(zip(GROUP, keys, strict=True)) | {"metric": metric} | _compare(_wide(group, metric), METRICS[metric])
        for keys, group in results.groupby(GROUP, sort=False)
        for metric in METRICS
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["holm_p"] = _holm(table["t_p"])
    table["tost_holm_p"] = _holm(table["tost_p"])
    table["judgement"] = np.select(
        [table["tost_holm_p"] < ALPHA, table["holm_p"] < ALPHA], ["equivalent", "different"], "undecided"
    )
    return table


def significance_summary(comparison: pd.DataFrame) -> pd.DataFrame:
    """Reduce the table of `compare` to what was found: significance at alpha 0.05, effect sizes, verdict."""
    summary = comparison[[*GROUP, "metric", "n", "delta", "holm_p"]].copy()
    summary["significant"] = np.select([comparison["holm_p"] < ALPHA, comparison["holm_p"].notna()], ["yes", "no"], "")
    summary["cohens_d_av"] = comparison["cohens_d_av"]
    summary["effect_size"] = [_size(d, COHEN) for d in comparison["cohens_d_av"]]
    summary["cliffs_delta"] = comparison["cliffs_delta"]
    summary["cliffs_size"] = [_size(delta, CLIFF) for delta in comparison["cliffs_delta"]]
    higher = comparison["delta"].map(lambda delta: "PyTorch higher" if delta > 0 else "Keras higher")
    summary["verdict"] = comparison["judgement"].mask(comparison["judgement"] == "different", higher)
    return summary


def summary_markdown(summary: pd.DataFrame) -> str:
    """Write the table of `significance_summary` as a Markdown page."""
    head = f"PyTorch minus Keras, paired by seed; alpha {ALPHA}, p after Holm's correction."
    table = summary.astype(object).where(summary.notna(), None).to_markdown(index=False, floatfmt=".4g")
    return f"# Significance summary\n\n{head}\n\n{table}\n"


@cache
def smallest_wilcoxon_p(pairs: int) -> float:
    """Return the smallest two-sided p of an exact Wilcoxon signed-rank test: all differences have one sign."""
    return float(stats.wilcoxon(np.arange(1, pairs + 1)).pvalue)


@cache
def detectable_effect(pairs: int, alpha: float = ALPHA) -> float:
    """Return the smallest d_z that a two-sided paired t test at `alpha` finds with power 0.8; NaN below two pairs.

    It is solved on the side of the effect alone, at alpha / 2: the other side adds nothing at this power, and with it
    statsmodels' solver gives wrong values, without a word, at few pairs and a small alpha.
    """
    if pairs < 2:
        return np.nan
    return float(TTestPower().solve_power(nobs=pairs, alpha=alpha / 2, power=POWER, alternative="larger"))


def design(pairs: Iterable[int], tests: int) -> pd.DataFrame:
    """Return what a design with so many pairs can show: the smallest p, and the smallest effects it detects.

    The effects are in standard deviations of the paired difference, at alpha 0.05 and at alpha 0.05 / `tests`, which
    is what Holm's correction asks of the smallest p.
    """
    rows = [(n, smallest_wilcoxon_p(n), detectable_effect(n), detectable_effect(n, ALPHA / tests)) for n in pairs]
    return pd.DataFrame(rows, columns=["pairs", "smallest Wilcoxon p", "detectable d_z", "detectable d_z, corrected"])


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Return the mean of some differences and the ends of its 95 % t interval; these are NaN without a spread."""
    if not len(values):
        return np.nan, np.nan, np.nan
    if not _varies(values):
        return float(np.mean(values)), np.nan, np.nan
    return float(np.mean(values)), *stats.ttest_1samp(values, 0).confidence_interval(1 - ALPHA)


def paired(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one row a pair that is finished in both frameworks, as `pairing` takes it, with its `seed`."""
    wide = results.pivot(index=[*GROUP, "seed"], columns="framework", values=metric)
    wide = wide.reindex(columns=["keras", "pytorch"]).dropna()
    return wide.add_prefix(f"{metric}_").rename_axis(columns=None).reset_index()


ALIKE = ("n", "correlation", "r_low", "r_high", "worth")
"""What `pairing` says of a group."""


def pairing(pairs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Say what pairing buys: how alike the two runs of a pair are, and how many seeds that saves.

    `pairs` has a row a pair, with `GROUP` and `<metric>_keras` and `<metric>_pytorch`. Each group has its row, and
    where there are several, the last one pools them around their own means; who scatters most counts most in it.

    Returns:
        Columns `GROUP` and `ALIKE`: pairs, `correlation` with its 95 % interval `r_low` and `r_high` (Fisher's z on the
        degrees of freedom left by the means, NaN below three), and `worth`: the variance of the difference of two
        independent runs over that of a pair, which is how many seeds without pairing one seed with it is worth.
    """
    columns = [f"{metric}_keras", f"{metric}_pytorch"]
    centred = (pairs[columns] - pairs.groupby(GROUP)[columns].transform("mean")).round(9)
    rows = [
        (*keys, *_alike(*centred.loc[group.index].to_numpy().T, len(group) - 1))
        for keys, group in pairs.groupby(GROUP, sort=False)
    ]
    if len(rows) > 1:
        rows.append(("all", "all", "all", *_alike(*centred.to_numpy().T, len(pairs) - len(rows))))
    return pd.DataFrame(rows, columns=[*GROUP, *ALIKE])


def _alike(keras: np.ndarray, pytorch: np.ndarray, freedom: int) -> tuple[float, ...]:
    """Return the columns `ALIKE` of centred values that have so many degrees of freedom."""
    if not (freedom and keras.any() and pytorch.any()):
        return len(keras), *(np.nan,) * 4
    correlation = keras @ pytorch / np.sqrt(keras @ keras * (pytorch @ pytorch))
    reach = stats.norm.ppf(1 - ALPHA / 2) / np.sqrt(freedom - 2) if freedom > 2 else np.nan
    low, high = np.tanh(np.arctanh(np.clip(correlation, -1 + 1e-12, 1 - 1e-12)) + reach * np.array([-1, 1]))
    apart = (keras - pytorch) @ (keras - pytorch)
    worth = (keras @ keras + pytorch @ pytorch) / apart if apart else np.inf
    return len(keras), correlation, low, high, worth


def _wide(group: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one row a seed and one column a framework, NaN where a run is not there."""
    return group.pivot(index="seed", columns="framework", values=metric).reindex(columns=["keras", "pytorch"])


def _compare(wide: pd.DataFrame, metric: Metric) -> dict[str, object]:
    pairs = wide.dropna()
    keras, pytorch = pairs["keras"].to_numpy(), pairs["pytorch"].to_numpy()
    differences = _rounded(pytorch - keras)
    judged = _rounded(np.log(pytorch / keras)) if metric.on_ratio else differences
    n, lost = len(pairs), len(wide) - len(pairs)
    low, high = metric.bounds
    row = {"n": n, "margin_low": low, "margin_high": high, "reason": _reason(differences, lost)}
    if n:
        row |= {"mean_keras": keras.mean(), "mean_pytorch": pytorch.mean(), "delta": differences.mean()}
        row |= {"ratio": np.exp(judged.mean())} if metric.on_ratio else {}
    if n > 1:
        row |= _nonparametric(keras, pytorch, differences) | _spread(keras, pytorch, differences)
    if _varies(differences):
        row |= _difference_test(differences)
    if _varies(judged):
        row |= _equivalence_test(judged, metric)
    return row


def _rounded(values: np.ndarray) -> np.ndarray:
    """Round away the noise of floating point, which would break ties and make a spread where there is none."""
    return np.round(values, 9)


def _varies(values: np.ndarray) -> bool:
    return len(values) > 1 and np.ptp(values) > 0


def _reason(differences: np.ndarray, lost: int) -> str:
    reasons = []
    if len(differences) == 0:
        reasons.append("no seed is finished in both frameworks")
    elif len(differences) == 1:
        reasons.append("one pair has no spread to test against")
    elif not differences.any():
        reasons.append("all differences are zero")
    elif not _varies(differences):
        reasons.append("all differences are equal: no spread to test against")
    if lost and len(differences):
        reasons.append(f"left out: {lost} seed{'s' if lost > 1 else ''} not finished in both frameworks")
    return "; ".join(reasons)


def _nonparametric(keras: np.ndarray, pytorch: np.ndarray, differences: np.ndarray) -> dict[str, float]:
    """Test by signs and ranks; SciPy's default is exact for 50 pairs or fewer, and with ties or zeros for 13."""
    wins = stats.mannwhitneyu(pytorch, keras).statistic
    return {
        "wilcoxon_p": stats.wilcoxon(differences).pvalue if differences.any() else np.nan,
        "wilcoxon_p_min": smallest_wilcoxon_p(len(differences)),
        "cliffs_delta": 2 * wins / (len(keras) * len(pytorch)) - 1,
    }


def _spread(keras: np.ndarray, pytorch: np.ndarray, differences: np.ndarray) -> dict[str, float]:
    spread = (keras.std(ddof=1) + pytorch.std(ddof=1)) / 2
    return {
        "sd_difference": differences.std(ddof=1),
        "cohens_d_av": differences.mean() / spread if _varies(keras) or _varies(pytorch) else np.nan,
    }


def _difference_test(differences: np.ndarray) -> dict[str, float]:
    test = stats.ttest_1samp(differences, 0)
    low, high = test.confidence_interval(1 - ALPHA)
    sd = differences.std(ddof=1)
    return {
        "ci_low": low,
        "ci_high": high,
        "t_p": test.pvalue,
        "cohens_d_z": differences.mean() / sd,
        "detectable": detectable_effect(len(differences)) * sd,
    }


def _equivalence_test(judged: np.ndarray, metric: Metric) -> dict[str, float]:
    if not metric.on_ratio:
        return {"tost_p": DescrStatsW(judged).ttost_mean(*metric.bounds)[0]}
    _, low, high = mean_interval(judged)
    tost_p = DescrStatsW(judged).ttost_mean(*np.log(metric.bounds))[0]
    return {"tost_p": tost_p, "ratio_low": np.exp(low), "ratio_high": np.exp(high)}


def _holm(p_values: pd.Series) -> pd.Series:
    tested = p_values.dropna()
    adjusted = multipletests(tested, method="holm")[1] if len(tested) else []
    return pd.Series(adjusted, index=tested.index, dtype=float).reindex(p_values.index)


def _size(effect: float, bounds: dict[float, str]) -> str:
    return "" if np.isnan(effect) else next(size for bound, size in bounds.items() if abs(effect) < bound)
