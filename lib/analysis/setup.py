"""How a study's runs are trained: their settings, and the conventions that the frameworks follow."""

from typing import Any

import pandas as pd

from lib.analysis.contrasts import TITLES
from lib.study import overview
from lib.study.conventions import SWITCHES
from lib.study.datasets import DATASETS
from lib.study.models import find
from lib.study.nested import flat
from lib.study.resolution import DEFAULT
from lib.study.settings import WITHOUT_EFFECT
from lib.study.study import Entry, Study
from lib.study.switches import TITLES as SWITCH_TITLES
from lib.words import listed

_NAMED = 4
"""So many conventions are named in a sentence."""

_PART_OF = {"augmentation.magnitude": "augmentation.policy"}
"""Settings without effect where another one is off."""


def matrix(study: Study) -> str:
    """Return a sentence with the number of runs and the levels that they combine."""
    arms = f", {len(study.departures)} arms" if len(study.departures) > 1 else ""
    networks = [f"{model} ({find(model).kind.title})" for model in study.models]
    return (
        f"The study has {len(study.cells):,} runs: {listed([TITLES[one] for one in study.frameworks])}; "
        f"{listed([DATASETS[one].title for one in study.datasets])}; {listed(networks)}; "
        f"{listed(study.precisions)}{arms}; seeds {listed(list(map(str, study.seeds)))}."
    )


def settings(study: Study) -> pd.DataFrame:
    """Return the settings of the study's first arm: `setting`, `value`, and the runs that it is `for`.

    Left out are groups of settings that no file names, settings that are off, and those without effect on the results.
    """
    rows = _stated(study)
    table = [(named(row.key), _written(row.value), ", ".join(row.levels.values()) or "all runs") for row in rows]
    return pd.DataFrame(table, columns=["setting", "value", "for"])


def off(study: Study) -> list[str]:
    """Return the names of the settings that the table of `settings` leaves out, and that would have an effect."""
    stated = {row.key for row in _stated(study)}
    return list(dict.fromkeys(named(row.key) for row in _rows(study) if row.key not in stated))


def arms(study: Study) -> pd.DataFrame:
    """Return what each of a study's arms changes: `arm` and `changes`; no rows if there is one arm."""
    changes = {arm: flat(departures) for arm, departures in study.departures.items()}
    rows = [
        (arm, "; ".join(f"{named(key)} {_written(value)}" for key, value in changed.items()) or "nothing")
        for arm, changed in changes.items()
    ]
    return pd.DataFrame(rows if len(rows) > 1 else [], columns=["arm", "changes"])


def conventions(study: Study) -> pd.DataFrame:
    """Return the conventions in which Keras and PyTorch differ, and whose each follows in the study's first arm.

    Returns:
        `convention`, the `networks` that it concerns, and the framework whose convention is followed by `keras` and by
        `pytorch`; no rows unless the study has both.
    """
    found: dict[tuple[str, str, str], dict[str, None]] = {}
    cells = {(one.cell.framework, one.cell.model): one.cell for one in _first(study)}
    for model in study.models if len(study.frameworks) > 1 else ():
        for switch in (one for one in SWITCHES if one in find(model).twin.differences):
            keras, pytorch = (TITLES[cells[one, model].conventions[switch]] for one in ("keras", "pytorch"))
            found.setdefault((switch, keras, pytorch), {})[model] = None
    rows = [(SWITCH_TITLES[switch], ", ".join(models), *whose) for (switch, *whose), models in found.items()]
    return pd.DataFrame(rows, columns=["convention", "networks", "keras", "pytorch"])


def implementation(study: Study) -> str:
    """Return a sentence on what the two runs of a pair have in common; empty for a study of one framework."""
    if len(study.frameworks) == 1:
        return ""
    table = conventions(study)
    apart = unaligned(table)
    if study.causes:
        begin = "The runs go from native to aligned, one cause after another"
    elif apart.empty:
        begin = "The runs are aligned in every convention in which the frameworks differ: a pair is twins"
    elif len(apart) == len(table):
        names = f" ({', '.join(table.convention)})" if len(table) <= _NAMED else ""
        begin = (
            f"The runs are native: the frameworks differ in {len(table)} conventions{names}, and each follows its own"
        )
    else:
        aligned = f"{len(table) - len(apart)} of {len(table)} conventions"
        begin = f"The runs are aligned in {aligned}; in the others each framework follows its own"
    same = "order of the images, crops, flips and first weights (their quantiles where initialisations differ)"
    pairings = {entry.cell.settings.pairing.shared for entry in study.entries}
    shared = {(True,): same, (False,): "the seed's number alone"}.get(tuple(pairings), f"in some arms {same}")
    return f"{begin}. The two runs of a pair share {shared}."


def unaligned(conventions: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `conventions` in which each framework follows its own."""
    return conventions[conventions.keras != conventions.pytorch]


def commands(study: Study) -> str:
    """Return the commands that repeat the study from a clone of the project, one a line."""
    if not study.is_trained:
        return f"make env\nmake bench STUDY={study.name}"
    data = [f"make data DATASET={dataset}" for dataset in study.datasets]
    return "\n".join(["make env", *data, f"make sweep STUDY={study.name}", f"make report STUDY={study.name}"])


def named(key: str) -> str:
    """Write the dotted name of a setting for a reader: `optimizer.learning_rate` is optimizer: learning rate."""
    return key.replace(".", ": ").replace("_", " ")


def _first(study: Study) -> list[Entry]:
    arm = next(iter(study.departures))
    return [entry for entry in study.entries if entry.arm == arm]


def _rows(study: Study) -> list[overview.Row]:
    return [row for row in overview.rows(study, _first(study)) if _group(row) not in WITHOUT_EFFECT]


def _stated(study: Study) -> list[overview.Row]:
    rows = _rows(study)
    named_groups = {_group(row) for row in rows if row.layer != DEFAULT}
    on = {row.key for row in rows if not _is_off(row)}
    on -= {key for key, needed in _PART_OF.items() if needed not in on}
    shown = [row for row in rows if _group(row) in named_groups and row.key in on]
    return [row for row in shown if row.layer != DEFAULT or not _is_off(row)]


def _group(row: overview.Row) -> str:
    return row.key.partition(".")[0]


def _is_off(row: overview.Row) -> bool:
    return row.value in (False, 0, None, "none", [])


def _written(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(map(_written, value)) or "none"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:g}"
    return "none" if value is None else str(value)
