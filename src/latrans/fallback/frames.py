"""Frames of the fallback, and which frame of an array is the smaller one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..format.frame import Frame, pack
from . import payload
from .estimate_large import may_beat
from .estimate_small import MAX_GUESSED, cannot_beat

Array = npt.NDArray[Any]

_AROUND = 8  # bytes of a fallback frame around its payload, at least


def fallback_frame(
    array: Array, dtype: np.dtype[Any], fortran: bool, limit: int | None = None
) -> Frame:
    """A frame of an array by the fallback; `limit` is a size from which on it is not wanted."""
    return Frame("lossless", dtype, array.shape, fortran, residual=payload.encode(array, limit))


def smaller_of(packed: bytes, array: Array, dtype: np.dtype[Any], fortran: bool) -> bytes:
    """A model's frame, or the fallback's where that is smaller."""
    guessed = 0 < array.nbytes <= MAX_GUESSED
    if guessed and cannot_beat(array.tobytes(), dtype.itemsize, len(packed) - _AROUND):
        return packed
    if not may_beat(array, len(packed)):
        return packed
    other = fallback_frame(array, dtype, fortran, len(packed))
    return packed if len(other.residual) >= len(packed) else min(packed, pack(other), key=len)
