"""The environments of the runs, and differences in them that affect a comparison of speeds."""

from collections import defaultdict

import pandas as pd

from lib.doctor import installed
from lib.runs import records
from lib.study.study import Study


def environments(study: Study) -> pd.DataFrame:
    """Return the distinct environments of finished runs: `framework`, number of `runs`, and a text column per item."""
    found = pd.DataFrame([{"framework": cell.framework} | items for cell, items in _environments(study).items()])
    if found.empty:
        return pd.DataFrame(columns=["framework", "runs"])
    counted = found.fillna("not recorded").value_counts(sort=False).reset_index(name="runs")
    return counted[["framework", "runs", *found.columns[1:]]]


def environment_items(study: Study) -> pd.DataFrame:
    """Count each item of the finished runs' environments: `item`, `value`, and a column of runs for each framework."""
    items = environments(study).melt(["framework", "runs"], var_name="item")
    return items.pivot_table(
        "runs", ["item", "value"], "framework", aggfunc="sum", fill_value=0, sort=False
    ).reset_index()


def libraries_note(study: Study) -> str:
    """Return a sentence that names the pairs on different CUDA or cuDNN versions; empty without such pairs."""
    found = _environments(study)
    unlike = defaultdict(list)
    for cells in study.matched("framework"):
        pair = [(framework, found[cell]) for framework, cell in cells.items() if cell in found]
        majors = {_majors(environment) for _, environment in pair}
        if len(majors) > 1 and not any("none" in major for major in majors):
            versions = [f"{framework} CUDA {one['cuda']} and cuDNN {one['cudnn']}" for framework, one in pair]
            unlike[", ".join(versions)].append(next(iter(cells.values())).name)
    if not unlike:
        return ""
    listed = "; ".join(f"{versions} ({len(names)} in all, such as `{names[0]}`)" for versions, names in unlike.items())
    return f"**Speeds differ for other reasons than the framework too.** Pairs used different major versions: {listed}."


def sets_note() -> str:
    """Return a sentence with the versions that are pinned differently for machines with and without a GPU."""
    listed = ", ".join(f"{name} {cpu} or {gpu}" for name, (cpu, gpu) in installed.differing_pins().items())
    return f"The pinned versions differ for machines without and with a GPU: {listed}."


def _environments(study: Study) -> dict:
    return {entry.cell: record.environment for entry, record in records.finished(study)}


def _majors(environment: dict[str, str]) -> tuple[str, ...]:
    return tuple(environment.get(library, "none").partition(".")[0] for library in ("cuda", "cudnn"))
