"""Kernels: what maps do to every sample of an array, compiled where the core loads.

The functions of `NumPy` are the definition; the compiled ones give the same numbers (float64
arithmetic of one rounding per operation) in one walk over the array and without copies of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

try:
    from .. import _native
except ImportError:  # the reference engine runs without
    _native = None

Array = npt.NDArray[Any]
Int32 = npt.NDArray[np.int32]

LIMIT = 1 << 30  # integers stay below this, so that differences fit 32 bits
_EXACT = 1 << 53  # larger integers have no float64 of their own
GROUP = 32  # samples that share a scale
_WAYS = 5
_NARROW = 1 << 26  # third differences along both axes of smaller samples fit 32 bits


class Compared(NamedTuple):
    """How values compare with what their integers come back as.

    `missed` are off by more than the bound, `same` are equal though their integer is not 0, and
    `told` is how many integers are not 0.
    """

    missed: int
    same: int
    told: int


class Extent(NamedTuple):
    """Extremes of finite values, how many others there are, and how many negative zeros."""

    lo: float
    hi: float
    wild: int
    zeros: int


class NumPy:
    """The passes as NumPy computes them; arguments as of the functions of the module."""

    @staticmethod
    def quantise(values: Array, step: float, bound: float) -> tuple[Int32, Compared] | None:
        with np.errstate(over="ignore", invalid="ignore"):
            whole = np.rint(values.astype(np.float64) / step)
        if not (np.abs(whole) < LIMIT).all():
            return None
        integers = whole.astype(np.int32)
        return integers, NumPy.compare(values, integers, step, bound)

    @staticmethod
    def compare(values: Array, integers: Int32, step: float, bound: float) -> Compared:
        back = restore(integers, step, values.dtype)
        told = integers != 0
        with np.errstate(invalid="ignore"):
            error = np.abs(back.astype(np.float64) - values.astype(np.float64))
        same = (back == values) & told
        counts = (~(error <= bound), same, told)
        return Compared(*(int(np.count_nonzero(c)) for c in counts))

    @staticmethod
    def restore(integers: Array, step: float, dtype: np.dtype[Any]) -> Array:
        with np.errstate(over="ignore"):
            values = integers.astype(np.float64) * step
        if dtype.kind in "iu":
            return np.clip(values, *_limits(dtype)).astype(np.int64).astype(dtype)
        single = np.dtype(np.float32) if dtype.itemsize < 4 else dtype
        with np.errstate(over="ignore"):
            return values.astype(single).astype(dtype)

    @staticmethod
    def extent(values: Array) -> Extent:
        finite = np.isfinite(values)
        seen = values[finite].astype(np.float64)
        zeros = np.count_nonzero((values == 0) & np.signbit(values))
        lo, hi = float(seen.min(initial=np.inf)), float(seen.max(initial=-np.inf))
        return Extent(lo, hi, values.size - seen.size, int(zeros))

    @staticmethod
    def misses(planes: Int32) -> npt.NDArray[np.int64]:
        integers = planes.astype(np.int64)
        if _are_planes(planes):
            west, north = integers[:, 2:, 1:-1], integers[:, 1:-1, 2:]
            low, high = np.minimum(west, north), np.maximum(west, north)
            slope = west + north - integers[:, 1:-1, 1:-1]
            across = np.diff(integers, 2, axis=2)
            rests = [
                integers[:, 2:, 2:] - np.clip(slope, low, high),
                integers[:, 2:, 2:] - slope,
                across[:, 2:],
                np.diff(across, 1, axis=1)[:, 1:],
                np.diff(across, 2, axis=1),
            ]
        else:
            rests = [np.diff(integers, n, axis=2)[..., 3 - n :] for n in (1, 2, 3)]
        starts = np.arange(0, rests[0].size, GROUP)
        return np.min([np.add.reduceat(np.abs(r).reshape(-1), starts) for r in rests], axis=0)


def quantise(values: Array, step: float, bound: float) -> tuple[Int32, Compared] | None:
    """Finite values as the nearest multiples of a step, ties to even.

    None where a multiple is not below `LIMIT` in magnitude.
    """
    if _native is None or not _known(values.dtype):
        return NumPy.quantise(values, step, bound)
    out = np.empty(values.shape, np.int32)
    found = _native.field_quantise(
        values.reshape(-1), step, bound, _limits(values.dtype), out.reshape(-1)
    )
    return None if found is None else (out, Compared(*found))


def compare(values: Array, integers: Int32, step: float, bound: float) -> Compared:
    """How values compare with multiples of a step."""
    if _native is None or not _known(values.dtype):
        return NumPy.compare(values, integers, step, bound)
    limits, flat = _limits(values.dtype), integers.reshape(-1)
    return Compared(*_native.field_compare(values.reshape(-1), flat, step, bound, limits))


def restore(integers: Array, step: float, dtype: np.dtype[Any], out: Array | None = None) -> Array:
    """Multiples of a step, rounded to floats or held to what integers of the type can be.

    `out`, where they go, is contiguous.
    """
    if out is None:
        out = np.empty(integers.shape, dtype)
    if _native is None or not _known(dtype):
        out[...] = NumPy.restore(integers, step, dtype)
        return out
    flat = np.ascontiguousarray(integers, np.int32).reshape(-1)
    _native.field_restore(flat, step, _limits(dtype), out.reshape(-1))
    return out


def extent(values: Array) -> Extent:
    """Extremes of the finite ones among floats; infinities the wrong way round for none."""
    if _native is None or values.dtype.itemsize not in (4, 8):
        return NumPy.extent(values)
    return Extent(*_native.field_extent(values.reshape(-1)))


def misses(planes: Array) -> npt.NDArray[np.int64]:
    """Of each 32 samples, in order, the least sum of what simple predictors are off by.

    In planes (planes, rows, columns) of more than two rows and columns these are a median, a
    slope, and differences along columns of which rows predict none, one or two; in tracks,
    differences of the first three orders.  First rows and columns count for nothing.
    """
    rows, columns = planes.shape[1:]
    if _native is None or not planes.size:
        return NumPy.misses(planes)
    both = _are_planes(planes)
    n = planes.shape[0] * ((rows - 2) * (columns - 2) if both else rows * max(0, columns - 3))
    if n <= 0:
        return np.zeros(0, np.int64)
    narrow = np.ascontiguousarray(planes, np.int32)
    wide = max(-int(narrow.min()), int(narrow.max())) >= _NARROW
    sums = np.zeros((_WAYS, -(-n // GROUP)), np.int64)
    _native.field_misses(narrow, both, wide, sums)
    least: npt.NDArray[np.int64] = sums[: _WAYS if both else 3].min(axis=0)
    return least


def _are_planes(planes: Array) -> bool:
    return planes.shape[1] > 2 and planes.shape[2] > 2


def _known(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "iu" or dtype.itemsize in (4, 8)


def _limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    """What integers of a type that are exact in float64 lie between."""
    if dtype.kind == "f":
        return 0.0, 0.0
    info = np.iinfo(dtype)
    return float(max(info.min, -_EXACT)), float(min(info.max, _EXACT))
