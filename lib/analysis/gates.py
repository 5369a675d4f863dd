"""The gates of a study: requirements that were fixed before the first run."""

import pandas as pd

from lib.study.study import Study

FRAMEWORK_GAP = 0.05
"""The largest allowed gap in val accuracy between the two frameworks, on one seed and in the mean: 5 points."""


def gates(study: Study, results: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Return the gates of a study, one per row: `gate`, `threshold`, `found`, `cells concerned`, `passed`, `verdict`.

    `results` and `epochs` are those of the same study. `cells concerned` names the runs that do not pass. The verdict
    is *pass*, *look*, *FAILED*, or *open* if there is nothing to judge yet; `passed` is NA there, and false for *look*.
    Only the gate on the gap between the frameworks gives *look*: at least one pair is too far apart, but it may be a
    stray seed. It fails if in a group the mean gap is too wide as well, and all seeds lie on one side. A study without
    gates on accuracy has the other gates. A study of one framework has no gate on the gap between two.
    """
    named = results.assign(run=_run_names(study, results))
    logs = epochs.assign(run=_run_names(study, epochs))
    rows = [
        _complete_logs(study, logs),
        _no_nan(named, logs),
        *(_accuracy(named, dataset, least) for dataset, least in study.gates.items()),
        _seeds_differ(study, logs),
    ]
    rows += [_frameworks_agree(study, named)] if len(study.frameworks) > 1 else []
    table = pd.DataFrame(rows, columns=["gate", "threshold", "found", "cells concerned", "verdict"])
    passed = table["verdict"].map({"pass": True, "look": False, "FAILED": False}).astype("boolean")
    table.insert(4, "passed", passed)
    return table


def _run_names(study: Study, table: pd.DataFrame) -> list[str]:
    names = {tuple(study.row(entry).values()): entry.cell.name for entry in study.entries}
    return [names[keys] for keys in table[study.keys].itertuples(index=False, name=None)]


def _gate(
    gate: str, threshold: str, found: str, concerned: list[str], judged: bool = True, failed: bool = True
) -> tuple[str, ...]:
    """Return a gate's row; with runs `concerned` it is failed, or else worth a look."""
    verdict = "pass" if not concerned else "FAILED" if failed else "look"
    return gate, threshold, found, ", ".join(concerned), verdict if judged else "open"


def _complete_logs(study: Study, logs: pd.DataFrame) -> tuple:
    lengths = logs.groupby("run")["epoch"].nunique()  # arms may share a run
    wrong = [cell.name for cell in study.cells if lengths.get(cell.name, 0) != cell.settings.epochs]
    total = len(study.cells)
    return _gate("every epoch logged", f"{total} of {total} runs", f"{total - len(wrong)} of {total} runs", wrong)


def _no_nan(named: pd.DataFrame, logs: pd.DataFrame) -> tuple:
    broken = [*named.loc[named.isna().any(axis=1), "run"], *logs.loc[logs.isna().any(axis=1), "run"]]
    concerned = list(dict.fromkeys(broken))
    return _gate("no NaN in logs and results", "0 runs", f"{len(concerned)} runs", concerned, judged=not named.empty)


def _accuracy(named: pd.DataFrame, dataset: str, least: float) -> tuple:
    runs_of = named[named["dataset"] == dataset]
    found = f"lowest {100 * runs_of['acc_best'].min():.1f} %" if len(runs_of) else "no run"
    below = runs_of.loc[~(runs_of["acc_best"] > least), "run"].tolist()
    return _gate(f"val accuracy on {dataset}", f"above {100 * least:.1f} %", found, below, judged=not runs_of.empty)


def _seeds_differ(study: Study, logs: pd.DataFrame) -> tuple:
    """Compare the train losses of all epochs: accuracies on few images may be equal by chance."""
    group = [key for key in study.keys if key != "seed"]
    courses = logs.groupby([*group, "run"], sort=False)["train_loss"].agg(tuple).reset_index()
    twins = courses.loc[courses.duplicated([*group, "train_loss"], keep=False), "run"].tolist()
    several = courses.duplicated(group).any()
    found = f"{len(twins)} runs" if several else "no two seeds"
    return _gate("seeds differ", "0 runs with the train loss of another seed", found, twins, judged=several)


def _frameworks_agree(study: Study, named: pd.DataFrame) -> tuple:
    keras, pytorch = (named[named["framework"] == framework] for framework in ("keras", "pytorch"))
    pairs = keras.merge(pytorch, on=[key for key in study.keys if key != "framework"], suffixes=("_keras", "_pytorch"))
    gaps = (pairs["acc_best_pytorch"] - pairs["acc_best_keras"]).round(9)
    group = [key for key in study.keys if key not in ("framework", "seed")]
    means = gaps.groupby([pairs[key] for key in group], sort=False).agg(["mean", "min", "max"])
    one_sided = (means["min"] > 0) | (means["max"] < 0)
    apart = pairs.loc[~(gaps.abs() <= FRAMEWORK_GAP), ["run_keras", "run_pytorch"]].to_numpy().ravel().tolist()
    widest, mean = 100 * gaps.abs().max(), 100 * means["mean"].abs().max()
    found = f"largest gap {widest:.1f} points, largest mean gap {mean:.1f}" if len(pairs) else "no pair"
    threshold = f"at most {100 * FRAMEWORK_GAP:.0f} points of val accuracy"
    failed = ((means["mean"].abs().round(9) > FRAMEWORK_GAP) & one_sided).any()
    return _gate("frameworks agree on each seed", threshold, found, apart, judged=not pairs.empty, failed=failed)
