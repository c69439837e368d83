"""Mask: values that maps must not see, and single values that a map missed (FORMAT.md 5.2).

NaN, infinities, negative zeros and fill values are replaced by a neighbour before mapping and
put back afterwards, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CodecError
from ..format.varint import Reader, little_endian, native, pack_varint
from ..missing.missing import Missing
from ..process.dependencies import Zstd
from . import kernels

Array = npt.NDArray[Any]
_FAR = 4.0  # times the range of all other values
_LONG_RUN = 8  # a power of two
_SAMPLES = 1 << 14
_GLANCE = 1 << 10
_BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


@dataclass(frozen=True)
class Mask:
    """Where special values stand, and their bit patterns."""

    where: npt.NDArray[np.bool_]  # shape of the array
    patterns: Array  # distinct bit patterns, sorted, unsigned
    index: Array  # one per masked value, into patterns

    def part(self, members: npt.NDArray[np.int64]) -> Mask:
        """The mask of some planes, for hiding only."""
        return Mask(self.where[members], self.patterns, self.index[:0])

    def write(self) -> bytes:
        out = pack_varint(len(self.patterns)) + little_endian(self.patterns)
        out += _squeezed(np.packbits(self.where.reshape(-1)).tobytes())
        if len(self.patterns) > 1:
            out += _squeezed(self.index.astype("<u4").tobytes())
        return out


def find(array: Array, fill_value: Any, exact: bool) -> Mask | None:
    """The mask of an array, or None where nothing needs masking.

    `fill_value` is what `Missing.of` takes.

    `exact` masks negative zeros too: their sign would be lost.
    """
    missing = Missing.of(fill_value)
    if _is_plain(array, missing, exact):
        return None
    return of(array, special(array, missing, exact))


def _is_plain(array: Array, missing: Missing | None, exact: bool) -> bool:
    """Whether one walk over an array and a few of its values show that nothing needs masking."""
    if array.dtype.kind in "iu":
        return missing is None
    if not array.size:
        return False
    found = kernels.extent(array)
    if found.wild or (exact and found.zeros):
        return False
    if missing is not None and not missing.spares(found.lo, found.hi, array.dtype):
        return False
    if missing is not None and missing.values:
        return True
    flat = array.reshape(-1)
    some = flat[:: -(-flat.size // _GLANCE)].astype(np.float64)
    some = some[(some > found.lo) & (some < found.hi)]
    if not some.size:
        return False
    low, high = float(some.min()), float(some.max())
    with np.errstate(over="ignore"):
        # All others reach at least as far, so neither extreme lies further from them.
        above = found.hi - high > _FAR * (high - found.lo)
        below = low - found.lo > _FAR * (found.hi - low)
    return not above and not below


def special(array: Array, missing: Missing | None, exact: bool) -> npt.NDArray[np.bool_]:
    """Which values need masking, see `find`."""
    where: npt.NDArray[np.bool_]
    if array.dtype.kind in "iu":
        return np.zeros(array.shape, bool) if missing is None else missing.where(array)
    where = ~np.isfinite(array)
    if exact:
        where |= (array == 0) & np.signbit(array)
    if missing is not None:
        where |= missing.where(array)
    if missing is None or not missing.values:
        found = _detected_fill(array, where)
        if found is not None:
            where |= array == found
    return where


def of(array: Array, where: npt.NDArray[np.bool_]) -> Mask | None:
    """The mask of chosen values; None for none."""
    if not where.any():
        return None
    bits = np.ascontiguousarray(array).view(_BITS[array.dtype.itemsize])[where]
    if (bits == bits[0]).all():
        return Mask(where, bits[:1].copy(), np.zeros(bits.shape, np.uint8))
    patterns, index = np.unique(bits, return_inverse=True)
    return Mask(where, patterns, index)


def _detected_fill(array: Array, where: npt.NDArray[np.bool_]) -> Any:
    """A value that repeats and lies far from all others, such as 1e20 or -9999."""
    valid = array[~where]
    if valid.size < 16:
        return None
    for extreme in (valid.max(), valid.min()):
        rest = valid[valid != extreme]
        if rest.size < valid.size // 4 or valid.size - rest.size < 2:
            continue
        with np.errstate(over="ignore"):
            low, high = np.float64(rest.min()), np.float64(rest.max())
            gap = max(low - extreme, extreme - high)
            if high > low and gap > _FAR * (high - low):
                return extreme
    return None


def hide(array: Array, mask: Mask | None) -> Array:
    """The array with every masked value replaced by a valid one.

    Short runs continue the value before them.  Long ones within planes, such as land on a map of
    the sea, take one value all over: a flat area costs next to nothing, streaks do not.
    """
    if mask is None:
        return array
    flat, where = array.reshape(-1), mask.where.reshape(-1)
    valid = np.flatnonzero(~where)
    if not valid.size:
        return np.zeros_like(array)
    hidden = flat.copy()
    if array.ndim > 1 and array.shape[-2] > 1:
        long = _in_long_runs(mask.where).reshape(-1)
        seen = np.sort(flat[valid[:: -(-valid.size // _SAMPLES)]])
        hidden[long] = seen[seen.size // 2]
        where = where & ~long
    short = np.flatnonzero(where)
    before = np.searchsorted(valid, short) - 1
    hidden[short] = flat[valid[np.maximum(before, 0)]]
    return hidden.reshape(array.shape)


def _in_long_runs(where: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which samples belong to at least `_LONG_RUN` in a row."""
    rows = where.reshape(-1, where.shape[-1])
    found = np.zeros_like(rows)
    if rows.shape[1] >= _LONG_RUN:
        starts = rows
        shifts = [1 << i for i in range(_LONG_RUN.bit_length() - 1)]
        for shift in shifts:  # doubles the length of the runs that start at a sample
            starts = starts[:, :-shift] & starts[:, shift:]
        found[:, : starts.shape[1]] = starts
        for shift in shifts:
            found[:, shift:] |= found[:, :-shift]
    return found.reshape(where.shape)


def read(reader: Reader, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Mask:
    n = int(np.prod(shape, dtype=np.int64))
    bits = np.dtype(_BITS[dtype.itemsize]).newbyteorder("<")
    patterns = native(reader.array(bits, reader.varint()))
    packed = np.frombuffer(_unsqueezed(reader, (n + 7) // 8), np.uint8)
    where = np.unpackbits(packed, count=n).astype(bool)
    count = int(where.sum())
    if len(patterns) > 1:
        index = np.frombuffer(_unsqueezed(reader, 4 * count), "<u4")
    else:
        index = np.zeros(count, "<u4")
    if count and (not len(patterns) or int(index.max()) >= len(patterns)):
        raise CodecError("frame is damaged: its mask names a value that is not there")
    return Mask(where.reshape(shape), patterns, index)


def restore(array: Array, mask: Mask) -> None:
    """Put the masked bit patterns back, in place."""
    array.view(_BITS[array.dtype.itemsize])[mask.where] = mask.patterns[mask.index]


def exceptions(array: Array, positions: npt.NDArray[np.int64]) -> bytes:
    """Single values by position, stored as they are; nothing for no positions."""
    if not positions.size:
        return b""
    gaps = np.diff(positions, prepend=-1) - 1
    values = array.reshape(-1)[positions]
    body = gaps.astype("<u4").tobytes() + little_endian(values)
    return pack_varint(positions.size) + _squeezed(body)


def read_exceptions(
    reader: Reader, n: int, dtype: np.dtype[Any]
) -> tuple[npt.NDArray[np.int64], Array]:
    count = reader.varint()
    if count > n:
        raise CodecError(f"frame is damaged: {count} exceptions in {n} values")
    body = _unsqueezed(reader, count * (4 + dtype.itemsize))
    positions = np.cumsum(np.frombuffer(body[: 4 * count], "<u4").astype(np.int64) + 1) - 1
    if count and int(positions[-1]) >= n:
        raise CodecError("frame is damaged: an exception lies outside of its chunk")
    return positions, native(np.frombuffer(body[4 * count :], dtype.newbyteorder("<")))


def _squeezed(data: bytes) -> bytes:
    packed = bytes(Zstd(9).encode(data)) if data else b""
    return pack_varint(len(packed)) + packed


def _unsqueezed(reader: Reader, nbytes: int) -> bytes:
    from ..fallback.payload import ZSTD, unpack_checked

    packed = bytes(reader.take(reader.varint()))
    return unpack_checked(ZSTD, packed, nbytes) if nbytes or packed else b""
