"""The rungs that compute: from the same weights and images, how far apart do the two frameworks come?

Each shows the native difference and judges the aligned one. In float64 a limit is a number: room for rounding, and for
nothing else. In float32 the limit is what rounding does to one framework by itself, times `ROUNDING`.
"""

from collections.abc import Callable, Collection

import numpy as np
import pandas as pd

from lib.conventions import SWITCHES, Switch
from lib.parity.twins import FRAMEWORKS, RATES, Twins, Values, twins

LOGITS_LIMIT = 1e-12
"""Largest relative difference of a feature map in float64: some thousand roundings; a convention shows above 1e-6."""

GRADIENTS_LIMIT = 1e-10
"""Largest difference of all gradients relative to their norm, in float64: batch normalisation costs some digits."""

STEP_LIMIT = 1e-10
"""Largest relative difference of a tensor after two steps in float64: that of a gradient, carried into the weights."""

LOSS_LIMIT = 1e-6
"""Largest difference of a loss, in nats, over five steps in float64: each step multiplies what the last one left."""

ROUNDING = 10
"""In float32 the frameworks may differ by so many times what rounding does to one of them.

Rounding is seen in a draw or two, which vary by some units; a convention differs by orders of magnitude.
"""

FAINT = 1e-6
"""Below this share of the norm of all gradients, a tensor's is 0 but for rounding, and is not looked at by itself."""

COLUMNS = ["model", "input_size", "conventions", "precision", "measured", "limit", "worst", "passed"]

Aligned = Collection[Switch]
Apart = tuple[float, str]
"""How far apart, and where most."""


def initial_weights(model: str, size: int, aligned: Aligned = SWITCHES) -> pd.DataFrame:
    """Compare the weights that both learners start from in a shared pairing: aligned, they are the same to the bit."""

    def apart(pair: Twins) -> Apart:
        keras, pytorch = pair.first["keras"], pair.first["pytorch"]
        gaps = {name: float(np.abs(keras[name] - pytorch[name]).max()) for name in keras.keys() & pytorch.keys()}
        worst = max(gaps, key=gaps.get)
        return gaps[worst], worst if gaps[worst] else ""

    return _judged(model, size, aligned, apart, 0.0)


def logits(model: str, size: int, aligned: Aligned = SWITCHES) -> pd.DataFrame:
    """Compare the feature map at the end of every stage, and the logits, in evaluation on the same weights.

    What is measured is the largest difference relative to the largest number of a map, and where the two part: the
    first stage with a hundredth of it.
    """

    def apart(pair: Twins) -> Apart:
        gaps = depth(pair)
        largest = max(gaps.values())
        return largest, next(stage for stage, gap in gaps.items() if gap >= largest / 100)

    return _judged(model, size, aligned, apart, LOGITS_LIMIT, rounding=_maps_rounding)


def depth(pair: Twins) -> dict[str, float]:
    """Return how far apart the maps at the end of every stage are, relative to their largest number."""
    return _relative(pair.maps("keras"), pair.maps("pytorch"))


def gradients(model: str, size: int, aligned: Aligned = SWITCHES) -> pd.DataFrame:
    """Compare the gradients of the loss in training mode, on the same weights.

    What is measured is the difference of all of them together, relative to their norm, and which differs most.
    """

    def apart(pair: Twins) -> Apart:
        return _slopes_apart(pair.gradients("keras"), pair.gradients("pytorch"))

    return _judged(model, size, aligned, apart, GRADIENTS_LIMIT, rounding=_gradients_rounding)


def step(model: str, size: int, aligned: Aligned = SWITCHES) -> pd.DataFrame:
    """Compare all weights and buffers after two steps: the first has no momentum yet, the second another rate."""

    def apart(pair: Twins) -> Apart:
        after = {}
        for framework in FRAMEWORKS:
            pair.train(framework, steps=2)
            after[framework] = pair.weights(framework)
        return _worst(_relative(after["keras"], after["pytorch"]))

    return _judged(model, size, aligned, apart, STEP_LIMIT)


def trajectory(model: str, size: int, aligned: Aligned = SWITCHES) -> pd.DataFrame:
    """Compare the loss of every step of a short training, on each framework's own batches of the shared stream."""

    def apart(pair: Twins) -> Apart:
        losses = {framework: np.array(pair.train(framework, len(RATES))) for framework in FRAMEWORKS}
        gaps = np.abs(losses["keras"] - losses["pytorch"])
        return float(gaps.max()), f"step {gaps.argmax() + 1}"

    return _judged(model, size, aligned, apart, LOSS_LIMIT)


def envelope(model: str, size: int) -> pd.DataFrame:
    """Hold two trainings in float32, one a framework, against what rounding does to either framework by itself.

    The noise moves every first weight by up to four units in its last place. Until each step the frameworks may come
    `ROUNDING` times as far apart as noise has brought one of them from itself.

    Returns:
        Columns `model`, `input_size`, `step` (from 1), `frameworks`, `keras_noise`, `pytorch_noise` (differences of the
        loss in nats, the larger of two draws of noise), `limit`, `passed`.
    """
    pair, steps = twins(model, size, "fp32", SWITCHES), len(RATES)
    plain = {framework: np.array(pair.train(framework, steps)) for framework in FRAMEWORKS}
    table = pd.DataFrame({"model": model, "input_size": size, "step": range(1, steps + 1)})
    table["frameworks"] = np.abs(plain["keras"] - plain["pytorch"])
    for framework in FRAMEWORKS:
        draws = [np.abs(pair.train(framework, steps, noise) - plain[framework]) for noise in (1, 2)]
        table[f"{framework}_noise"] = np.max(draws, axis=0)
    table["limit"] = ROUNDING * table[["keras_noise", "pytorch_noise"]].max(axis=1).cummax()
    table["passed"] = table.frameworks <= table.limit
    return table


def _judged(
    model: str,
    size: int,
    aligned: Aligned,
    apart: Callable[[Twins], Apart],
    limit: float,
    rounding: Callable[[str, int, Aligned], float] | None = None,
) -> pd.DataFrame:
    """Return a row that is native, and not judged, one aligned in float64, and, given its rounding, one in float32."""
    native, exact = twins(model, size, "fp64", ()), twins(model, size, "fp64", tuple(aligned))
    rows = [("native", native, np.nan), (_named(aligned), exact, limit)]
    if rounding:
        rows += [
            (_named(aligned), twins(model, size, "fp32", tuple(aligned)), ROUNDING * rounding(model, size, aligned))
        ]
    found = [(name, pair.precision, *apart(pair), most) for name, pair, most in rows]
    table = pd.DataFrame(found, columns=["conventions", "precision", "measured", "worst", "limit"])
    table["passed"] = (table.measured <= table.limit).astype("boolean").mask(table.limit.isna())
    return pd.DataFrame({"model": model, "input_size": size} | dict(table))[COLUMNS]


def _named(aligned: Aligned) -> str:
    left = [switch for switch in SWITCHES if switch not in aligned]
    return f"aligned but {', '.join(left)}" if left else "aligned"


def _maps_rounding(model: str, size: int, aligned: Aligned) -> float:
    rough, exact = twins(model, size, "fp32", tuple(aligned)), twins(model, size, "fp64", tuple(aligned))
    return max(_worst(_relative(rough.maps(framework), exact.maps(framework)))[0] for framework in FRAMEWORKS)


def _gradients_rounding(model: str, size: int, aligned: Aligned) -> float:
    rough, exact = twins(model, size, "fp32", tuple(aligned)), twins(model, size, "fp64", tuple(aligned))
    return max(_slopes_apart(rough.gradients(one), exact.gradients(one))[0] for one in FRAMEWORKS)


def _relative(first: Values, second: Values) -> dict[str, float]:
    """Return, for what both have, the largest difference of each tensor relative to its largest number."""
    return {
        name: float(np.abs(value - first[name]).max() / np.abs(value).max())
        for name, value in second.items()
        if name in first and value.any()
    }


def _worst(gaps: dict[str, float]) -> Apart:
    worst = max(gaps, key=gaps.get)
    return gaps[worst], worst


def _slopes_apart(first: Values, second: Values) -> Apart:
    norms = {name: float(np.linalg.norm(value)) for name, value in second.items() if name in first}
    gaps = {name: float(np.linalg.norm(first[name] - second[name])) for name in norms}
    whole = np.linalg.norm(list(norms.values()))
    shares = {name: gaps[name] / norm for name, norm in norms.items() if norm > FAINT * whole}
    return float(np.linalg.norm(list(gaps.values())) / whole), max(shares, key=shares.get)
