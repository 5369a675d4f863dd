"""What a study's results cannot say, from its facts: machines, seeds, images, conventions and settings."""

from lib.analysis import environments, setup
from lib.study.datasets import DATASETS
from lib.study.study import Study


def limits(study: Study) -> list[str]:
    """Return sentences on the limits of a study's results, one for each kind of limit that it has."""
    return [
        one for one in (_machines(study), _seeds(study), *_images(study), _conventions(study), _tuning(study)) if one
    ]


def _machines(study: Study) -> str:
    found = environments.environments(study)
    if found.empty:
        return ""
    devices = found.reindex(columns=["cpu", "gpu"], fill_value="not recorded").drop_duplicates()
    named = "; ".join(row.cpu if row.gpu == "none" else f"{row.gpu} with {row.cpu}" for row in devices.itertuples())
    kinds = "one kind of machine" if len(devices) == 1 else f"{len(devices)} kinds of machine"
    return f"**Machines**: {kinds} ({named}). Speeds on others can be in another order."


def _seeds(study: Study) -> str:
    count = len(study.seeds)
    if count == 1:
        return "**Seeds**: one. The scatter between seeds is unknown, and no difference can be told from chance."
    missed = 1 - 0.05 ** (1 / count)
    return f"**Seeds**: {count}. An outcome of up to {missed:.0%} of all runs can have been missed (95 %)."


def _images(study: Study) -> list[str]:
    facts = [DATASETS[name] for name in study.datasets]
    return [
        f"**Images of {one.title}**: {one.test:,} test images, so that one image is {100 / one.test:.2g} points of "
        "accuracy. Other test images would give other accuracies."
        for one in facts
    ]


def _conventions(study: Study) -> str:
    apart = setup.unaligned(setup.conventions(study))
    if apart.empty or study.causes:
        return ""
    what = "convention" if len(apart) == 1 else "conventions"
    return (
        f"**Conventions**: the frameworks follow their own in {len(apart)} {what}. A difference between them is that "
        "of framework and conventions together."
    )


def _tuning(study: Study) -> str:
    sides = "side of a comparison" if study.comparisons else "network"
    return f"**Settings**: these alone. No {sides} was tuned here, and with other settings a result may be another."
