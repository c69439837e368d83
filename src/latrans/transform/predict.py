"""Prediction of a level's bands from the picture at that level (FORMAT.md 11.4).

The 9/7 filters leave the detail of smooth data slightly correlated with the coarser picture.  Bands
that are high along one axis are expected at a learned multiple of three differences of it, which
take turns with the axis.  Diagonal bands are not: nothing was left to find.  How much of the
prediction to believe differs by picture and band, and is told per band.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from .bands import HORIZONTAL, VERTICAL, Subband
from .contexts import Surroundings

N_LEVELS, N_WEIGHTS = 3, 3
GAIN_BITS = 3  # of a band's gain, which counts in quarters
WEIGHT_BITS = 14
_HALF = 1 << (WEIGHT_BITS - 1)

Weights = npt.NDArray[np.int16]  # (N_LEVELS, N_WEIGHTS)


def is_predicted(band: Subband) -> bool:
    """Whether a band is predicted, and so has a gain."""
    return band.kind in (HORIZONTAL, VERTICAL)


def expected(band: Subband, low: Ints, weights: Weights) -> Ints:
    """What a predicted band's coefficients should be, (rows, columns), in the unit of `low`."""
    row = weights[min(band.level, N_LEVELS) - 1].astype(np.int64)
    found = (np.tensordot(row, differences(band, low), 1) + _HALF) >> WEIGHT_BITS
    return np.ascontiguousarray(found)


def without(around: Surroundings, coefficients: Ints, weights: Weights) -> tuple[int, Ints]:
    """The gain of a band's prediction, and what it leaves of the coefficients."""
    band, low = around.band, around.low
    if low is None or not is_predicted(band):
        return 0, coefficients
    prediction = expected(band, low, weights)
    gain = best_gain(prediction, coefficients, around.step)
    return gain, coefficients - scaled(prediction, gain)


def scaled(prediction: Ints, gain: int) -> Ints:
    """A prediction, as much of it as a gain says."""
    return (gain * prediction + 2) >> 2


def best_gain(prediction: Ints, coefficients: Ints, step: int) -> int:
    """The gain that leaves the least squared error, by integer arithmetic.

    Only coefficients that may become zero count: what is coded is near its place anyway, and
    edges would have the gain that suits them.
    """
    small = (4 * np.abs(coefficients) < 5 * step) & (np.abs(prediction) < 2 * step)
    cut = max(0, step.bit_length() - 14)
    p, c = prediction[small] >> cut, coefficients[small] >> cut
    power, product = int((p * p).sum()), int((p * c).sum())
    if not power:
        return 0
    return min(max((8 * product + power) // (2 * power), 0), (1 << GAIN_BITS) - 1)


def differences(band: Subband, low: Ints) -> Ints:
    """The three differences at each coefficient of a horizontal or vertical band.

    With p the picture, at (y, x) of a horizontal band, first outer minus inner neighbours:
    p[x-1] - p[x] - p[x+1] + p[x+2], then the same summed over the rows above and below, then
    p[x-2] - p[x] - p[x+1] + p[x+3].  The border is repeated.
    """
    across = band.kind == VERTICAL
    picture = low.T if across else low
    n = band.rows if across else band.columns
    padded = np.pad(picture, ((1, 1), (2, 3)), "edge")

    def column(offset: int) -> Ints:
        return padded[:, 2 + offset : 2 + offset + n]

    inner = column(0) + column(1)
    near = column(-1) - inner + column(2)
    far = (column(-2) - inner + column(3))[1:-1]
    found = np.stack([near[1:-1], near[:-2] + near[2:], far])
    return found.transpose(0, 2, 1) if across else found
