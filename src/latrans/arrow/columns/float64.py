"""Float64: columns of different types side by side as float64, and back, bit for bit.

Decoded values hang on integer and IEEE 754 arithmetic alone.  NaNs are moved as bits, since
machines differ in what converting one does to its payload.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import CodecError

Array = np.ndarray[Any, Any]

EXACT = 1 << 53  # float64 holds all integers up to this
_MARGIN = 1 - 2.0**-40  # what rounding may add to an error stays inside of the bound
_MANTISSA = {2: 10, 4: 23, 8: 52}
_UNSIGNED = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def offset_of(numbers: Array) -> int | None:
    """What to take away from numbers so that float64 holds them: 0 mostly; None if nothing."""
    if numbers.dtype.kind == "f" or numbers.dtype.itemsize < 8 or not numbers.size:
        return 0
    lo, hi = int(numbers.min()), int(numbers.max())
    if max(-lo, hi) <= EXACT:
        return 0
    return lo if hi - lo <= EXACT else None


def widened(numbers: Array, offset: int = 0) -> Array:
    """Numbers as float64."""
    if numbers.dtype.kind == "f":
        return _floats(numbers, np.dtype(np.float64))
    if offset:
        # Modulo 2**64, so that it holds for unsigned integers and at both ends of the range.
        away = np.uint64(offset % (1 << 64))
        numbers = (numbers.astype(np.uint64) - away).astype(np.int64)
    return numbers.astype(np.float64)


def narrowed(stored: Array, dtype: np.dtype[Any], offset: int = 0) -> Array:
    """Inverse of `widened`.

    Raises
    ------
    CodecError
        If a float is out of the range of the type's integers.
    """
    if dtype.kind == "f":
        return _floats(stored, dtype)
    if not (np.isfinite(stored) & (np.abs(stored) <= EXACT)).all():
        raise CodecError(f"a value is damaged: its numbers are not valid {dtype}")
    whole = stored.astype(np.int64)
    if offset:
        return (whole.astype(np.uint64) + np.uint64(offset % (1 << 64))).astype(dtype)
    info = np.iinfo(dtype)
    if whole.size and not int(info.min) <= int(whole.min()) <= int(whole.max()) <= int(info.max):
        raise CodecError(f"a value is damaged: its numbers are not valid {dtype}")
    return whole.astype(dtype)


def scale_of(numbers: Array, bound: float) -> float | None:
    """What to divide by so that an error of 1 is one within `bound`; None if there is nothing."""
    if numbers.dtype.kind != "f":
        # Whole numbers are rounded in the end, which an error of less than a half survives.
        steps = int(min(bound, EXACT))
        if steps < 1 or offset_of(numbers) != 0:
            return None
        return (steps + 0.5) * _MARGIN
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        return None
    largest = np.abs(finite).max()
    with np.errstate(over="ignore", invalid="ignore"):
        scale = (bound - float(np.spacing(largest))) * _MARGIN
    return scale if np.isfinite(scale) and scale > 0 and float(largest) / scale < EXACT else None


def scaled(numbers: Array, scale: float) -> Array:
    """Numbers as float64, divided; NaNs as they are."""
    wide = widened(numbers)
    special = ~np.isfinite(wide)
    out = np.where(special, 0, wide) / scale
    out[special] = wide[special]
    return out


def unscaled(stored: Array, scale: float, dtype: np.dtype[Any]) -> Array:
    """Inverse of `scaled`, for values that may be off by a little."""
    special = ~np.isfinite(stored)
    with np.errstate(over="ignore"):
        wide = np.where(special, 0, stored) * scale
    if dtype.kind != "f":
        info = np.iinfo(dtype)
        if special.any() or (np.abs(wide) > 2.0**63).any():
            raise CodecError(f"a value is damaged: its numbers are not valid {dtype}")
        # The bounds of 64-bit types have no float64 of their own; such numbers are never scaled.
        edge = float(EXACT)
        low, high = max(float(info.min), -edge), min(float(info.max), edge)
        return np.clip(np.rint(wide), low, high).astype(dtype)
    wide[special] = stored[special]
    return _floats(wide, dtype)


def misses(numbers: Array, found: Array, bound: float) -> bool:
    """Whether any number is off by more than `bound`, or NaN or an infinity are not the same."""
    if numbers.dtype.kind == "f":
        special = ~np.isfinite(numbers)
        unsigned = _UNSIGNED[numbers.dtype.itemsize]
        if (numbers.view(unsigned)[special] != found.view(unsigned)[special]).any():
            return True
        numbers, found = numbers[~special], found[~special]
    off = np.abs(found.astype(np.float64) - numbers.astype(np.float64))
    return not bool((off <= bound).all())


def _floats(values: Array, dtype: np.dtype[Any]) -> Array:
    """Floats of another width; the bits of a NaN move to the top of the wider one, or from it."""
    if values.dtype == dtype:
        return values
    with np.errstate(over="ignore", invalid="ignore"):
        out = values.astype(dtype)
    nan = np.isnan(values)
    if not nan.any():
        return out
    here, there = values.dtype.itemsize, dtype.itemsize
    few, many = _MANTISSA[here], _MANTISSA[there]
    bits = np.ascontiguousarray(values[nan]).view(_UNSIGNED[here]).astype(np.uint64)
    sign = bits >> np.uint64(8 * here - 1)
    payload = bits & np.uint64((1 << few) - 1)
    payload = payload << np.uint64(many - few) if many > few else payload >> np.uint64(few - many)
    exponent = ((1 << (8 * there - 1 - many)) - 1) << many
    bits = sign << np.uint64(8 * there - 1) | np.uint64(exponent) | payload
    out[nan] = bits.astype(_UNSIGNED[there]).view(dtype)
    return out
