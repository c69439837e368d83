"""Prediction of a level's bands from the picture at that level (FORMAT.md 11.4).

The 9/7 filters leave the detail of smooth data slightly correlated with the coarser picture.  Bands
that are high along one axis are expected at a learned multiple of three differences of it, which
take turns with the axis.  Diagonal bands are not: nothing was left to find.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..residual.fixed import Ints
from .bands import HORIZONTAL, VERTICAL, Band

N_LEVELS, N_WEIGHTS = 3, 3
WEIGHT_BITS = 14
_HALF = 1 << (WEIGHT_BITS - 1)

Weights = npt.NDArray[np.int16]  # (N_LEVELS, N_WEIGHTS)


def expected(band: Band, low: Ints, weights: Weights) -> Ints:
    """What a band's coefficients should be, (rows, columns), in the unit of `low`."""
    if band.kind not in (HORIZONTAL, VERTICAL):
        return np.zeros((band.rows, band.columns), np.int64)
    row = weights[min(band.level, N_LEVELS) - 1].astype(np.int64)
    found = (np.tensordot(row, differences(band, low), 1) + _HALF) >> WEIGHT_BITS
    return np.ascontiguousarray(found)


def differences(band: Band, low: Ints) -> Ints:
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
