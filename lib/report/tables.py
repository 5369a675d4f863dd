"""The report's tables: headings and formats of their columns."""

from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from lib.study.switches import TITLES
from lib.words import DOUBT, explained


def percent(share: float) -> str:
    """Write a share in [0, 1] as a percentage without the % sign."""
    return f"{100 * share:.2f}"


def points(difference: float) -> str:
    """Write a difference of two shares in points, with its sign."""
    return f"{100 * difference:+.2f}"


def rounded(value: float) -> str:
    """Write a number with two digits that count, without an exponent: 6,000 and 0.34."""
    return f"{float(f'{value:.2g}'):,g}"


def span(counts: pd.Series) -> str:
    """Write the one count that all have, or the least and the largest: 3, or 2 to 3."""
    return " to ".join(f"{count}" for count in sorted({counts.min(), counts.max()}))


def named(row: tuple, columns: Sequence[str]) -> str:
    """Write the values of some columns of a table's row, as `itertuples` gives it."""
    return ", ".join(getattr(row, column) for column in columns)


def points_between(difference: float, low: float, high: float) -> str:
    """Write a difference of two shares in points with its 95 % interval, or alone where it has none."""
    interval = "" if np.isnan(low) else f" (95 % {points(low)} to {points(high)})"
    return f"{points(difference)} points{interval}"


def ratio_between(ratio: float, low: float, high: float) -> str:
    """Write a ratio with its 95 % interval, or alone where it has none."""
    return f"{ratio:.3f}" if np.isnan(low) else f"{ratio:.3f} (95 % {low:.3f} to {high:.3f})"


def _small_p(p: float) -> str:
    return f"{p:.4f}" if p >= 0.0001 else f"{p:.0e}"


def _metric(name: str) -> str:
    """Write a metric as the heading of its column has it, without the unit."""
    return COLUMNS.get(name, (_spaced(name), None))[0].partition(",")[0]


def _spaced(name: str) -> str:
    return str(name).replace("_", " ")


COLUMNS = {
    "metric": ("metric", _metric),
    "switch": ("switch", lambda switch: TITLES.get(switch, switch)),
    "item": ("item", _spaced),
    "example": ("reason of the first", None),
    "seed": ("seed", "{}"),
    "acc_best": ("val accuracy, %", percent),
    "test_accuracy": ("test accuracy, %", percent),
    "test_accuracy_sd": ("SD", percent),
    "test_macro_f1": ("macro-F1, %", percent),
    "test_macro_f1_sd": ("SD", percent),
    "keras": ("Keras", None),
    "pytorch": ("PyTorch", None),
    "keras_follows": ("Keras follows", None),
    "pytorch_follows": ("PyTorch follows", None),
    "num_classes": ("classes", None),
    "diff_pct": ("difference, %", "{:.2g}"),
    "minutes": ("min a run", "{:.1f}"),
    "hours": ("h in all", "{:.2f}"),
    "images_per_sec_avg": ("images/s", "{:,.0f}"),
    "images_per_sec_avg_late": ("images/s, late", "{:,.0f}"),
    "speed_ratio": ("speed, AMP / fp32", "{:.2f}"),
    "memory_ratio": ("peak memory, AMP / fp32", "{:.2f}"),
    "parameters": ("parameters", "{:,.0f}"),
    "multiply_adds": ("multiply-adds", "{:,.0f}"),
    "seconds": ("s an epoch", "{:.1f}"),
    "train_error": ("train error, %", "{:.2f}"),
    "test_error": ("test error, %", "{:.2f}"),
    "test_error_sd": ("SD", "{:.2f}"),
    "paper_error": ("He et al., %", "{:.2f}"),
    "other_error": ("reimplemented, %", "{:.2f}"),
    "other_source": ("by", None),
    "dead_share": ("dead, %", percent),
    "dormant_share": ("dormant, %", percent),
    "saturated_share": ("saturated, %", percent),
    "smallest Wilcoxon p": ("smallest Wilcoxon p", "{:.4f}"),
    "detectable d_z": ("detectable d_z", "{:.2f}"),
    "detectable d_z, corrected": ("detectable d_z, corrected", "{:.2f}"),
    "mean_keras": ("Keras", percent),
    "mean_pytorch": ("PyTorch", percent),
    "mean_against": ("against, mean", percent),
    "mean_level": ("mean", percent),
    "delta": ("difference", points),
    "ci_low": ("95 % from", points),
    "ci_high": ("to", points),
    "chosen": ("chosen on val, %", percent),
    "best": ("best on test, %", percent),
    "flattery": ("flattery", points),
    "published_accuracy": ("published, %", percent),
    "gap": ("gap", points),
    "published_parameters": ("published parameters", "{:,.0f}"),
    "train_seconds": ("s of training", "{:,.0f}"),
    "others": ("other processes, %", percent),
    "steal": ("stolen, %", percent),
    "load": ("load", "{:.1f}"),
    "other_runs": ("other runs", "{:.0f}"),
    "gpu_clock": ("MHz", "{:,.0f}"),
    "gpu_temperature": ("°C", "{:.0f}"),
    "gpu_power": ("W", "{:,.0f}"),
    "gpu_utilisation": ("GPU in use, %", percent),
    "gpu_slowed": ("GPU slowed", lambda slowed: "yes" if slowed else "no"),
    "gpu_energy": ("J an epoch", "{:,.0f}"),
    "per_million": ("points per million", percent),
    "kappa": ("kappa", "{:.2f}"),
    "kin": ("one family", lambda kin: "yes" if kin else "no"),
    "share": ("share of the true class, %", percent),
    "ratio": ("ratio", "{:.3f}"),
    "ratio_low": ("95 % from", "{:.3f}"),
    "ratio_high": ("to", "{:.3f}"),
    "estimate": ("estimate", points),
    "p": ("p", _small_p),
    "welch_p": ("Welch", _small_p),
    "new_low": ("new images, from", points),
    "new_high": ("to", points),
    "sd_seeds": ("SD of the seeds", percent),
    "sd_images": ("of it: images", percent),
    "sd_training": ("training", percent),
    "pipeline": ("pipeline", "{:,.0f}"),
    "evaluation": ("evaluation", "{:,.0f}"),
    "pairs": ("pairs", "{:,.0f}"),
    "pairs_shared": ("pairs, if shared", "{:,.0f}"),
    "hours_shared": ("hours, if shared", "{:,.1f}"),
    "forth": ("forth", points),
    "back": ("back", points),
    "apart": ("forth - back", points),
    "apart_low": ("95 % from", points),
    "apart_high": ("to", points),
    "effect": ("part", points),
    "low": ("95 % from", points),
    "high": ("to", points),
    "log_odds": ("log odds", "{:+.2f}"),
    "log_odds_low": ("95 % from", "{:+.2f}"),
    "log_odds_high": ("to", "{:+.2f}"),
    "correlation": ("r", "{:+.2f}"),
    "r_low": ("95 % from", "{:+.2f}"),
    "r_high": ("to", "{:+.2f}"),
    "worth": ("worth", "{:.2f}"),
    "t_p": ("paired t", _small_p),
    "holm_p": ("judging test, Holm", _small_p),
    "wilcoxon_p": ("Wilcoxon", _small_p),
    "tost_p": ("TOST", _small_p),
    "tost_holm_p": ("TOST, Holm", _small_p),
    "split_p": ("p", _small_p),
    "rate": ("rate", "{:.3f}"),
    "error": ("error", "{:.3f}"),
    "detectable": ("detectable", percent),
    "cohens_d_av": ("d_av", "{:+.2f}"),
    "cliffs_delta": ("Cliff's delta", "{:+.2f}"),
}
"""Headings and formats of columns; any other column keeps its name, without underscores."""


TIMED = ("images_per_sec_avg", "images_per_sec_avg_late", "speed_ratio", "seconds", "train_seconds")
"""The columns of times and speeds, whose values have the sign of doubt where the table's `timing` gives a reason."""

_ALARM = "color: #b00020; font-weight: bold"


KEYS = ("framework", "dataset", "model", "input_size", "precision", "arm", "against", "metric")
"""Columns that say which runs a row is about."""


def shared(style: Styler) -> str:
    """Hide the `KEYS` that are the same in all rows of a longer table, and return a sentence that names them."""
    frame, hidden = style.data, _hidden(style)
    keys = [key for key in KEYS if key in frame and key not in hidden and frame[key].nunique(dropna=False) == 1]
    if len(frame) < 2 or not keys:
        return ""
    style.hide([*hidden, *keys], axis="columns")  # a call replaces what an earlier one hid
    named = (f"{key.replace('_', ' ')} {frame[key].iloc[0]}" for key in keys)
    return f"All rows: {', '.join(named)}."


def doubts(style: Styler) -> str:
    """Return a sentence that explains the sign of doubt, if the table has it."""
    frame = style.data
    if "timing" not in frame or not set(TIMED) & set(frame) - _hidden(style):
        return ""
    return explained(frame["timing"])


def _hidden(style: Styler) -> set[str]:
    return {style.columns[place] for place in style.hidden_columns}


def shown(table: pd.DataFrame, columns: Sequence[str], timing: pd.Series | None = None) -> Styler:
    """Show some columns of a table, in the table's order; the saved data keep all columns.

    The column `timing` is not shown: where it gives a reason, the `TIMED` columns have a sign. For a table that has to
    be saved without this column, `timing` is it.
    """
    timing = table.get("timing") if timing is None else timing
    chosen = [name for name in table.columns if name in columns and name != "timing"]
    looks = {name: COLUMNS.get(name, (name.replace("_", " "), None)) for name in chosen}
    style = table.style.hide(axis="index").hide([name for name in table.columns if name not in looks], axis="columns")
    forms = {name: form or readable for name, (_, form) in looks.items()}
    style.format(forms, na_rep="n/a", escape="html")
    if timing is not None:
        signed_forms = {name: f"{forms[name]} {DOUBT}" for name in TIMED if name in forms}
        style.format(signed_forms, subset=(table.index[timing != ""], list(signed_forms)))
    return style.relabel_index([header for header, _ in looks.values()], axis="columns")


def whole(table: pd.DataFrame) -> Styler:
    """Show all columns of a table, and its index if it has one."""
    numbered = isinstance(table.index, pd.RangeIndex) and table.index.name is None
    flat = table if numbered else table.rename_axis(index=lambda name: name or "").reset_index()
    return shown(flat.rename_axis(columns=None), flat.columns)


def checked(table: pd.DataFrame) -> Styler:
    """Show a table of checks: a failed check is bold red, one that is not judged is n/a."""
    style = whole(table).format(_verdict, subset=["passed"], na_rep="n/a")
    return style.map(lambda passed: "" if pd.isna(passed) or passed else _ALARM, subset=["passed"])


def _verdict(passed: bool) -> str:
    return "yes" if passed else "FAILED"


def readable(value: bool | float | str) -> str:
    """Write a value: thousands separated, four digits of a fraction that count."""
    match value:
        case bool() | np.bool_():
            return "yes" if value else "no"
        case Integral():
            return f"{value:,}"
        case Real():
            return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"
    return str(value)
