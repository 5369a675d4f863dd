"""The networks of a study side by side: what they reach, and what they cost."""

import pandas as pd

from lib.analysis import timing
from lib.runs import records
from lib.study.margins import margins
from lib.study.study import Study


def networks(study: Study, results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per dataset and model, over the seeds of the study's first arm.

    `results` is the table of `analysis.results`.

    Returns:
        `dataset`, `model`, `seeds`, mean `acc_best` on val, mean `test_accuracy` with its sample deviation, mean
        `test_macro_f1`, `parameters`, `multiply_adds` of one image, mean `seconds` an epoch of the late epochs, and
        `timing` as in `timing.marked`, empty if it is so for all of them.
    """
    first = study.levels("arm")[0]
    sizes = pd.DataFrame(
        [
            study.row(entry) | {"parameters": record.parameters, "multiply_adds": record.multiply_adds}
            for entry, record in records.finished(study)
            if entry.arm == first
        ],
        columns=[*study.keys, "parameters", "multiply_adds"],
    )
    table = timing.marked(study, results).merge(sizes, on=study.keys)
    return table.groupby(["dataset", "model"], sort=False, as_index=False).agg(
        seeds=("seed", "size"),
        acc_best=("acc_best", "mean"),
        test_accuracy=("test_accuracy", "mean"),
        test_accuracy_sd=("test_accuracy", "std"),
        test_macro_f1=("test_macro_f1", "mean"),
        parameters=("parameters", "first"),
        multiply_adds=("multiply_adds", "first"),
        seconds=("time_per_epoch_avg_late", "mean"),
        timing=("timing", "max"),
    )


def cheapest_of_the_best(networks: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return the row with the highest val accuracy, and the quickest one within the margin of it.

    A network is chosen on val, as an epoch is. The margin is that of test accuracy.
    """
    best = networks.loc[networks["acc_best"].idxmax()]
    near = networks[networks["acc_best"] >= best["acc_best"] - margins().of("accuracy", best["dataset"])]
    return best, near.loc[near["seconds"].idxmin()]
