"""The rungs on computed numbers: the distance of both frameworks after the same weights and images.

Each rung shows the native difference and judges the aligned one. In float64 the limit allows for rounding
only. In float32 the limit is `ROUNDING` times the effect of rounding on one framework alone.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from lib.parity.architecture import tensor_table
from lib.parity.twins import FRAMEWORKS, RATES, Twins, Values, twins
from lib.study.conventions import SWITCHES, Framework, Switch

ROUNDING = 10
"""The limit in float32, in multiples of the effect of rounding on one framework.

That effect is known from one draw or two, which vary by a small factor; a convention differs by orders of magnitude.
"""

FAINT = 1e-6
"""The share of the norm of all gradients below which a tensor's gradient is rounding and is not compared by itself."""

Apart = tuple[float, str]
"""The distance of the frameworks, and the place where it is largest."""


def weights_apart(pair: Twins) -> Apart:
    """Compare the first weights of both learners."""
    ours, theirs = pair.first["keras"], pair.first["pytorch"]
    gaps = {name: float(np.abs(ours[name] - theirs[name]).max()) for name in ours.keys() & theirs.keys()}
    worst = max(sorted(gaps), key=gaps.get)
    return gaps[worst], worst if gaps[worst] else ""


def maps_apart(pair: Twins) -> Apart:
    """Compare the maps at the end of every stage, and the logits, in evaluation.

    The named place is the first stage with at least a hundredth of the largest difference.
    """
    gaps = depth(pair)
    largest = max(gaps.values())
    return largest, next(stage for stage, gap in gaps.items() if gap >= largest / 100)


def depth(pair: Twins) -> dict[str, float]:
    """Return the largest difference of the maps at the end of every stage, relative to their largest number."""
    return _relative(pair.maps("keras"), pair.maps("pytorch"))


def gradients_apart(pair: Twins) -> Apart:
    """Compare the gradients in training mode, all together, relative to their norm."""
    return _slopes_apart(pair.gradients("keras"), pair.gradients("pytorch"))


def steps_apart(pair: Twins) -> Apart:
    """Compare all weights and buffers after two steps, of which the second has momentum and another rate."""
    after = {}
    for framework in FRAMEWORKS:
        pair.train(framework, steps=2)
        after[framework] = pair.weights(framework)
    return _worst(_relative(after["keras"], after["pytorch"]))


def losses_apart(pair: Twins) -> Apart:
    """Compare the loss of every step of a short training, on each framework's own batches of the shared stream."""
    losses = {framework: np.array(pair.train(framework, len(RATES))) for framework in FRAMEWORKS}
    gaps = np.nan_to_num(np.abs(losses["keras"] - losses["pytorch"]), nan=np.inf)
    return float(gaps.max()), f"step {gaps.argmax() + 1}"


class Measure(NamedTuple):
    """The measurement of a rung, and its limit between twins in float64.

    `rounding` measures the effect of float32 on one framework, from its learners in float32 and in float64; a rung
    without it is not climbed in float32.
    """

    apart: Callable[[Twins], Apart]
    limit: float
    rounding: Callable[[Twins, Twins, Framework], float] | None = None


def _maps_rounded(rough: Twins, exact: Twins, framework: Framework) -> float:
    return _worst(_relative(rough.maps(framework), exact.maps(framework)))[0]


def _gradients_rounded(rough: Twins, exact: Twins, framework: Framework) -> float:
    return _slopes_apart(rough.gradients(framework), exact.gradients(framework))[0]


MEASURES = {
    "initial-weights": Measure(weights_apart, 0.0, lambda *_: 0.0),
    "logits": Measure(maps_apart, 1e-12, _maps_rounded),
    "gradients": Measure(gradients_apart, 1e-10, _gradients_rounded),
    "step": Measure(steps_apart, 1e-9),
    "trajectory": Measure(losses_apart, 1e-6),
}
"""The rungs of this module except the envelope; `lib.parity.rungs` has the reasons for the limits."""


def judged(rung: str, model: str, size: int, reference: Framework) -> pd.DataFrame:
    """Climb a rung of `MEASURES`: natively, which is not judged, aligned in float64, and for some in float32.

    Returns:
        Columns `model`, `input_size`, `conventions`, `precision`, `measured`, `limit`, `worst`, `passed`.
    """
    measure = MEASURES[rung]
    rows = [("native", twins(model, size, "fp64", (), reference), np.nan)]
    rows += [("aligned", exact := twins(model, size, "fp64", SWITCHES, reference), measure.limit)]
    if measure.rounding:
        rough = twins(model, size, "fp32", SWITCHES, reference)
        rows += [("aligned", rough, ROUNDING * max(measure.rounding(rough, exact, one) for one in FRAMEWORKS))]
    found = [(name, pair.precision, *measure.apart(pair), limit) for name, pair, limit in rows]
    table = pd.DataFrame(found, columns=["conventions", "precision", "measured", "worst", "limit"])
    table["passed"] = (table.measured <= table.limit).astype("boolean").mask(table.conventions == "native")
    columns = ["conventions", "precision", "measured", "limit", "worst", "passed"]
    return pd.DataFrame({"model": model, "input_size": size} | dict(table[columns]))


def alone(model: str, size: int, reference: Framework, switch: Switch) -> pd.DataFrame:
    """Leave one switch native between twins in float64, and climb until a rung does not hold.

    Returns:
        One row with `model`, `switch`, `found_by` (a rung), `measured` and `limit` (of that rung; for tensors, their
        number), and `where`, the layer or tensor with the difference. The last four are empty where every rung holds.
    """
    found = next(_broken(model, size, reference, switch), ("", np.nan, np.nan, ""))
    keras.backend.clear_session()
    columns = ["model", "switch", "found_by", "measured", "limit", "where"]
    return pd.DataFrame([(model, switch, *found)], columns=columns)


def _broken(model: str, size: int, reference: Framework, switch: Switch) -> Iterator[tuple[str, float, float, str]]:
    """Yield the rungs that do not hold between twins with this switch native, the cheaper ones first."""
    aligned = [one for one in SWITCHES if one != switch]
    table = tensor_table(model, size, aligned, reference)
    lost = table.layer[~table.passed].tolist()
    if lost:
        yield "tensors", float(len(lost)), 0.0, lost[0]
    pair = Twins(model, size, "fp64", aligned, reference)
    for rung, measure in MEASURES.items():
        gap, where = measure.apart(pair)
        if not gap <= measure.limit:
            yield rung, gap, measure.limit, where


def depths(model: str, size: int, reference: Framework) -> pd.DataFrame:
    """Measure the difference of the maps stage by stage: natively and aligned in float64, aligned in float32.

    Returns:
        Columns `model`, `input_size`, `conventions`, `precision`, `stage`, `measured` (relative to the largest number).
    """
    arrangements = {("native", "fp64"): (), ("aligned", "fp64"): SWITCHES, ("aligned", "fp32"): SWITCHES}
    rows = [
        (model, size, name, precision, stage, gap)
        for (name, precision), aligned in arrangements.items()
        for stage, gap in depth(twins(model, size, precision, aligned, reference)).items()
    ]
    return pd.DataFrame(rows, columns=["model", "input_size", "conventions", "precision", "stage", "measured"])


def envelope(model: str, size: int, reference: Framework) -> pd.DataFrame:
    """Compare the distance of two float32 trainings, one a framework, with the effect of rounding on either of them.

    Rounding is imitated by noise of up to four units in the last place of every first weight. Up to each step the limit
    is `ROUNDING` times the largest effect of the noise.

    Returns:
        Columns `model`, `input_size`, `step` (from 1), `frameworks`, `keras_noise`, `pytorch_noise` (differences of the
        loss in nats, the larger of two draws of noise), `limit`, `passed`.
    """
    return _parted(twins(model, size, "fp32", SWITCHES, reference))


def _parted(pair: Twins) -> pd.DataFrame:
    steps = len(RATES)
    plain = {framework: np.array(pair.train(framework, steps)) for framework in FRAMEWORKS}
    table = pd.DataFrame({"model": pair.model, "input_size": pair.size, "step": range(1, steps + 1)})
    table["frameworks"] = np.abs(plain["keras"] - plain["pytorch"])
    for framework in FRAMEWORKS:
        draws = [np.abs(pair.train(framework, steps, noise) - plain[framework]) for noise in (1, 2)]
        table[f"{framework}_noise"] = np.max(draws, axis=0)
    table["limit"] = ROUNDING * table[["keras_noise", "pytorch_noise"]].max(axis=1).cummax()
    table["passed"] = table.frameworks <= table.limit
    return table


def _relative(first: Values, second: Values) -> dict[str, float]:
    """Return the largest difference of each tensor that both have, relative to its largest number in either.

    NaN is infinitely far from any number.
    """
    gaps = {}
    for name in (name for name in second if name in first):
        largest = max(np.abs(first[name]).max(), np.abs(second[name]).max())
        gap = np.abs(first[name] - second[name]).max()
        gaps[name] = 0.0 if largest == 0 else float(np.nan_to_num(gap / largest, nan=np.inf))
    return gaps


def _worst(gaps: dict[str, float]) -> Apart:
    worst = max(gaps, key=gaps.get)
    return gaps[worst], worst


def _slopes_apart(first: Values, second: Values) -> Apart:
    norms = {name: float(np.linalg.norm(value)) for name, value in second.items() if name in first}
    gaps = {name: float(np.linalg.norm(first[name] - second[name])) for name in norms}
    whole = np.linalg.norm(list(norms.values()))
    shares = {name: gaps[name] / norm for name, norm in norms.items() if norm > FAINT * whole}
    apart = float(np.nan_to_num(np.linalg.norm(list(gaps.values())) / whole, nan=np.inf))
    return apart, max(shares, key=shares.get, default="")
