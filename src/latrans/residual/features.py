"""Features: what the network is told about a sample's surroundings (FORMAT.md 6.4).

All inputs are integers in [-127, 127], relative to the local error energy or activity, so that
bit depth, offset and gain of the data do not matter.  The same function serves whole planes
(encoding) and the few samples of a wavefront step (decoding), as arrays and as tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..coding.array_ops import namespace
from ..coding.fixed_point import Ints, Unit, log2, saturate
from ..coding.geometry import Geometry


@dataclass(frozen=True)
class Beside:
    """Surroundings of the sample's place in a reference plane.

    Attributes
    ----------
    differences : (near taps, ...) minus that plane's reference level.
    errors : (errors, ...) signed, centre first, 8 fraction bits.
    energy : (...,) local error energy at the centre.
    """

    differences: Ints
    errors: Ints
    energy: Ints


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a network's outputs choose from; arrays end in the samples' own shape.

    Attributes
    ----------
    base : reference level, integer units.
    differences : (taps, ...) taps minus base; the first 12 say whether surroundings are flat.
    prediction : linear prediction, 8 fraction bits.
    trained : the model's own linear prediction, 8 fraction bits.
    alternatives : (gates - 1, ...) other predictions, integer units.
    predicted_error : (...) error that the adaptive filter predicts, 8 fraction bits, or None.
    """

    base: Ints
    differences: Ints
    prediction: Ints
    trained: Ints
    alternatives: Ints
    predicted_error: Ints | None = None


@dataclass(frozen=True, kw_only=True)
class Neighbours(Predictions):
    """Everything a sample's prediction may depend on; arrays end in the samples' own shape.

    Attributes
    ----------
    errors : (errors, ...) signed neighbouring errors, 8 fraction bits.
    window_sums : (windows, ...) sums of absolute errors, 8 fraction bits.
    sigma : mean absolute error of the coefficient set, 8 fraction bits.
    normalised_prediction, mean_abs_miss : part of the energy that the adaptive filter predicts,
        and the mean that it misses, or None.
    references : what the network sees of reference planes, the first one first.
    reconstruction : (9, ...) minus base, or None; `reconstruction_errors` (2, ...) at W and N.
    """

    errors: Ints
    window_sums: Ints
    sigma: Ints
    normalised_prediction: Ints | None = None
    mean_abs_miss: Ints | None = None
    references: tuple[Beside, ...] = ()
    reconstruction: Ints | None = None
    reconstruction_errors: Ints | None = None


def local_energy(geometry: Geometry, errors: Ints, sigma: Ints) -> Ints:
    """Expected absolute error around a sample, 8 fraction bits, at least 5 / 256."""
    xp = namespace(errors)
    weighted = [w * abs(e) for w, e in zip(geometry.error_weights, errors, strict=True) if w]
    mean: Any = sum(weighted[1:], weighted[0]) >> 3
    return ((230 * mean + 26 * xp.minimum(sigma, 3 * mean + 77)) >> 8) + 5


def activity(differences: Ints) -> Ints:
    """Mean absolute difference of the 8 nearest taps, 8 fraction bits, at least 1/4."""
    return (abs(differences[:8]).sum(0) << 5) + 64


def window_count(window: tuple[int, int, int]) -> int:
    rows, left, right = window
    return rows * (left + right + 1) + left


def inputs(geometry: Geometry, n: Neighbours, energy: Ints) -> Ints:
    """Network inputs, shape (inputs, ...), from gathered neighbours and their local energy."""
    return np.stack(np.broadcast_arrays(*input_rows(geometry, n, energy))).astype(np.int64)


def input_rows(geometry: Geometry, n: Neighbours, energy: Ints) -> list[Ints]:
    """Network inputs, one after the other."""
    scale, unit = Unit.of(activity(n.differences)), Unit.of(energy)
    log_scale, log_energy = scale.log, unit.log
    magnitude = abs(n.differences[:16])
    near = (magnitude[:3].sum(0) * 85) + 64
    far = (magnitude[8:].sum(0) << 5) + 64
    recent = ((abs(n.errors[0]) + abs(n.errors[1])) >> 1) + 1
    level = (n.base + n.differences[0]) if geometry.name == "plane" else n.base
    equal = n.differences == (level - n.base)
    rows = [
        *scale.ratio(n.differences[:8] << 8),
        saturate((log_scale - 256) >> 2),
        saturate((log2(near) - log_scale) >> 1),
        saturate((log2(far) - log_scale) >> 1),
        scale.ratio(n.prediction - (n.base << 8)),
        (((n.prediction + 128) & 255) - 128) >> 1,
        saturate((log_energy - log_scale) >> 1),
        saturate((log_energy - 256) >> 2),
        saturate((log2(n.sigma) - log_energy) >> 1),
        saturate((log2(recent) - log_energy) >> 1),
        *unit.ratio(n.errors),
        16 * equal[:6].sum(0),
        4 * equal[:24].sum(0),
        64 * (n.window_sums[-1] < 13 * window_count(geometry.windows[-1])),
    ]
    for window, total in zip(geometry.windows, n.window_sums, strict=True):
        rows.append(saturate((log2(total + 1) - int(log2(window_count(window))) - log_energy) >> 1))
    described = n.alternatives[: geometry.median + geometry.n_described]
    rows += [*unit.ratio((described << 8) - n.prediction)]
    if n.normalised_prediction is not None and n.mean_abs_miss is not None:
        rows.append(saturate(n.normalised_prediction >> 6))
        rows.append(saturate((log2(n.mean_abs_miss + 1) - log_energy) >> 1))
    rows.append(unit.ratio(n.trained - n.prediction))
    if n.reconstruction is not None and n.reconstruction_errors is not None:
        rows += [
            *scale.ratio(n.reconstruction << 8),
            unit.ratio(((n.reconstruction[4] + n.base) << 8) - n.prediction),
            *scale.ratio(n.reconstruction_errors << 8),
        ]
    for beside in n.references:
        rows += _reference_inputs(beside, scale, unit)
    return rows


def _reference_inputs(beside: Beside, scale: Unit, unit: Unit) -> list[Ints]:
    there = Unit.of(beside.energy)
    sizes = [log2(abs(e) + 1) for e in beside.errors]
    return [
        there.ratio(beside.errors[0]),
        unit.ratio(beside.errors[0]),
        saturate((there.log - unit.log) >> 1),
        *(saturate((size - there.log) >> 1) for size in sizes),
        *scale.ratio(beside.differences << 8),
    ]


def gated(n: Predictions, gates: Ints) -> Ints:
    """Correction of the prediction by its alternatives, 8 fraction bits.

    `gates` (gates, ...) say in 1/64 how far the prediction moves towards each.
    """
    if len(gates) == 0:
        return namespace(n.prediction).zeros_like(n.prediction)
    moved: Ints = (alternatives(n) * gates).sum(0) >> 6
    return moved


def alternatives(n: Predictions) -> Ints:
    """Alternative predictions, the model's own last, minus the linear one: (gates, ...)."""
    others = (n.alternatives << 8) - n.prediction
    predicted_error = [] if n.predicted_error is None else [n.predicted_error[None]]
    return namespace(others).concatenate(
        [others, *predicted_error, (n.trained - n.prediction)[None]]
    )


def is_flat(differences: Ints, geometry: Geometry) -> Any:
    """Whether the 12 nearest taps are equal."""
    first = differences[0] if geometry.name == "plane" else 0
    return (differences[:12] == first).all(0)
