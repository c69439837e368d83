"""Signs: which one to expect, from the signs around (FORMAT.md 11.6).

A band's spectrum is steep, more so the finer the band and the more the data is oversampled, so
that neighbours along the axis of the detail tend to alternate.  A weighted sum of the values
around a coefficient leans one way; how far it leans, and the coefficient's magnitude, choose the
table that tells whether the sign follows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from .bands import Subband

N_NEIGHBOURS = 6  # the first ones of `contexts.NEIGHBOURS`
N_LEVELS, N_KINDS, N_BUCKETS, N_SIZES = 3, 4, 8, 3
N_TABLES = N_LEVELS * N_KINDS * N_BUCKETS * N_SIZES
WEIGHT_UNIT = 32
_LIMIT = 3  # of the values that are summed

Weights = npt.NDArray[np.int8]  # (N_LEVELS * N_KINDS, N_NEIGHBOURS)


def row_of(band: Subband) -> int:
    """The row of weights of a band."""
    return (min(max(band.level, 1), N_LEVELS) - 1) * N_KINDS + band.kind


def clipped(values: Ints) -> Ints:
    """Values as they are summed."""
    return np.clip(values, -_LIMIT, _LIMIT)


def leaning(neighbours: Ints, weights: npt.NDArray[np.int8]) -> Ints:
    """Weighted sum (...) of clipped neighbours (N_NEIGHBOURS, ...)."""
    return np.tensordot(weights.astype(np.int64), neighbours, 1)


def table_of(row: int, lean: Ints, magnitude: Ints) -> Ints:
    """Table of a sign; its symbol 0 is minus where `lean` is negative, else plus."""
    bucket = np.minimum(np.abs(lean) >> 2, N_BUCKETS - 1)
    return (row * N_BUCKETS + bucket) * N_SIZES + np.minimum(magnitude, N_SIZES) - 1
