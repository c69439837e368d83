"""dtypes: the numbers behind a dtype, which models work on, and the way back.

Booleans are coded as bytes, datetimes as int64, complex numbers as real and imaginary part along
one more dimension, and everything in native byte order.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import CodecError
from .frame import Frame

Array = npt.NDArray[Any]


# By size: of their parts.
_COMPLEX: dict[int, np.dtype[Any]] = {8: np.dtype(np.float32), 16: np.dtype(np.float64)}
# Of a bound on complex values, for each part: a little less than the square root of 1/2, since the
# modulus of an error is rounded too.
PART_OF_BOUND = 0.7071


def numeric_dtype(dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """Numeric dtype in native byte order that models can work on, or None.

    That of arrays of real values: complex ones have `parts_of`.
    """
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind in "mM":
        return np.dtype(np.int64)
    if dtype.kind in "iuf":
        return dtype.newbyteorder("=")
    return None


def numeric_dtype_of(parts: Frame) -> np.dtype[Any]:
    """Numeric dtype of a frame that is not a fallback."""
    numeric = numeric_dtype(parts.dtype)
    if parts.dtype.kind == "c" and parts.dtype.itemsize in _COMPLEX:
        numeric = _COMPLEX[parts.dtype.itemsize]
    if numeric is None:
        raise CodecError(f"frame is damaged: {parts.dtype} is always stored by the fallback")
    return numeric


def numeric_shape_of(parts: Frame) -> tuple[int, ...]:
    """Shape of a frame's array as numbers: complex ones have one more dimension."""
    return (*parts.shape, 2) if parts.dtype.kind == "c" else parts.shape


def parts_of(array: Array) -> Array | None:
    """Real and imaginary part of a C-ordered complex array's values, (..., 2); None for others."""
    if array.dtype.kind != "c" or array.dtype.itemsize not in _COMPLEX:
        return None
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return native.reshape(-1).view(_COMPLEX[array.dtype.itemsize]).reshape(*array.shape, 2)


def to_numeric(array: Array) -> Array | None:
    """A C-ordered array in its numeric dtype, or None if only the fallback can store it."""
    numeric = numeric_dtype(array.dtype)
    if numeric is None:
        return None
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return native.view(numeric) if native.dtype.kind in "bmM" else native


def restore_dtype(array: Array, parts: Frame) -> Array:
    """Give a decoded array the dtype, byte order and memory order of the original."""
    if parts.dtype.kind == "c" and array.dtype.kind == "f":
        array = array.view(parts.dtype.newbyteorder("=")).reshape(parts.shape)
    if array.dtype != parts.dtype:
        if parts.dtype.kind in "mM":
            array = array.view(parts.dtype.newbyteorder("="))
        array = array.astype(parts.dtype, copy=False)
    return contiguous(array, "F") if parts.fortran else array


def contiguous(array: Array, order: Literal["C", "F"]) -> Array:
    """The array, laid out in that order; padding between fields of records is zero."""
    if array.dtype.names is None:
        return np.asarray(array, order=order)
    out = np.zeros(array.shape, array.dtype, order)
    _copy_fields(array, out)
    return out


def _copy_fields(array: Array, out: Array) -> None:
    """Copy records field by field: what was in memory between these is no part of the data."""
    if array.dtype.names is None:
        out[...] = array
        return
    for name in array.dtype.names:
        _copy_fields(array[name], out[name])
