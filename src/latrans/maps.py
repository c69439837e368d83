"""Value maps: one class each, forward and back (FORMAT.md 5.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numcodecs.zstd import Zstd

from .errors import CodecError
from .wire import Reader, pack_varint

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

MAX_PALETTE = 1 << 16
_LIMIT = 1 << 30
_EXACT = 1 << 53  # larger integers have no float64 of their own
_LARGEST_BOUND = 8e307  # twice this is still finite


class Map(Protocol):
    """How integers become values again; `write` and `read` move its parameters."""

    def invert(self, integers: Ints, dtype: np.dtype[Any]) -> Array: ...
    def write(self) -> bytes: ...


@dataclass(frozen=True)
class Identity:
    """Integers as they are; used where only the mask or exceptions need saying."""

    def invert(self, integers: Ints, dtype: np.dtype[Any]) -> Array:
        return integers

    def write(self) -> bytes:
        return b""

    @classmethod
    def read(cls, reader: Reader) -> Identity:
        return cls()


@dataclass(frozen=True)
class Offset:
    """Integers minus a constant, where the values themselves are too large."""

    offset: int

    def invert(self, integers: Ints, dtype: np.dtype[Any]) -> Array:
        return integers + self.offset

    def write(self) -> bytes:
        return struct.pack("<q", self.offset)

    @classmethod
    def read(cls, reader: Reader) -> Offset:
        offset = struct.unpack("<q", reader.take(8))[0]
        if abs(offset) > 1 << 62:
            raise CodecError(f"frame is damaged: offset {offset} is out of range")
        return cls(offset)


@dataclass(frozen=True)
class Palette:
    """Ranks among the distinct values, where these are few (floats: as ordered integers)."""

    values: Ints  # sorted

    @classmethod
    def of(cls, integers: Ints) -> Palette | None:
        """The palette, unless distinct values are a quarter of the range or more."""
        lo, hi = int(integers.min()), int(integers.max())
        span = hi - lo + 1
        if span <= 1 << 18:  # counting beats sorting
            values = np.flatnonzero(np.bincount((integers - lo).reshape(-1), minlength=span)) + lo
        else:
            ranked = np.sort(integers, axis=None)  # many times faster than np.unique
            values = ranked[np.diff(ranked, prepend=ranked[0] - 1) > 0]
        if len(values) > min(MAX_PALETTE, span // 4) or len(values) * 4 > integers.size:
            return None
        return cls(values)

    def ranks(self, integers: Ints) -> Ints:
        return np.searchsorted(self.values, integers).astype(np.int64)

    def invert(self, integers: Ints, dtype: np.dtype[Any]) -> Array:
        if integers.size and not 0 <= int(integers.min()) <= int(integers.max()) < len(self.values):
            raise CodecError("frame is damaged: a rank lies outside of its palette")
        values = self.values[integers]
        if dtype.kind in "iu":
            return values
        return unordered(values)

    def write(self) -> bytes:
        gaps = np.diff(self.values, prepend=0)
        planes = gaps.astype("<i8").view(np.uint8).reshape(-1, 8).T.tobytes()
        packed = bytes(Zstd(19).encode(planes))
        return pack_varint(len(self.values)) + pack_varint(len(packed)) + packed

    @classmethod
    def read(cls, reader: Reader) -> Palette:
        from .fallback import ZSTD, unpack_checked

        n = reader.varint()
        if not 0 < n <= MAX_PALETTE:
            raise CodecError(f"frame is damaged: palette of {n} values")
        planes = unpack_checked(ZSTD, bytes(reader.take(reader.varint())), 8 * n)
        gaps = np.frombuffer(planes, np.uint8).reshape(8, n).T.copy().view("<i8")[:, 0]
        values = np.cumsum(gaps)
        if n > 1 and int(gaps[1:].min()) < 1:
            raise CodecError("frame is damaged: palette is not sorted")
        return cls(values)


@dataclass(frozen=True)
class Quantised:
    """Multiples of a step: error-bounded mode."""

    step: float

    @classmethod
    def of(cls, values: Array, max_error: float) -> tuple[Ints, Quantised] | None:
        whole = values.dtype.kind in "iu"
        if whole and max(-int(values.min()), int(values.max())) >= _EXACT:
            return None
        max_error = min(max_error, _LARGEST_BOUND)
        step = float(2 * int(max_error) + 1) if whole else 2.0 * max_error
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.rint(values.astype(np.float64) / step)
        if not np.isfinite(scaled).all() or float(np.abs(scaled).max(initial=0)) >= _LIMIT:
            return None
        return scaled.astype(np.int64), cls(step)

    def invert(self, integers: Ints, dtype: np.dtype[Any]) -> Array:
        values = integers.astype(np.float64) * self.step
        if dtype.kind in "iu":
            info = np.iinfo(dtype)
            return np.clip(values, max(info.min, -_EXACT), min(info.max, _EXACT)).astype(np.int64)
        with np.errstate(over="ignore"):
            return values.astype(dtype)

    def write(self) -> bytes:
        return struct.pack("<d", self.step)

    @classmethod
    def read(cls, reader: Reader) -> Quantised:
        step = struct.unpack("<d", reader.take(8))[0]
        if not 0 < step < float("inf"):
            raise CodecError(f"frame is damaged: quantisation step {step}")
        return cls(step)


@dataclass(frozen=True)
class TwoLayer:
    """Floats as a fixed-point layer to predict and, raw, their place among the cell's floats.

    The cell of q is [q * 2**k, (q + 1) * 2**k).  Where every value lies on the grid itself the
    second layer is empty.
    """

    exponent: int
    low: bytes = b""

    @staticmethod
    def exponents(values: Array) -> Iterator[int]:
        """Grids worth trying for finite values: their own one first, then coarse to fine."""
        magnitude = float(np.abs(values.astype(np.float64)).max(initial=0))
        if magnitude == 0:
            yield 0
            return
        top = int(np.frexp(magnitude)[1])
        span = float(values.max()) - float(values.min())
        spread = int(np.frexp(span)[1]) if span > 0 else top
        finest = max(top - 30, -149)
        grid = _grid(values)
        if grid >= finest:
            yield grid
        for bits in (10, 13, 16, 19):
            exponent = spread - bits
            if finest <= exponent and exponent > grid:
                yield exponent

    @classmethod
    def split(cls, values: Array, exponent: int) -> tuple[Ints, TwoLayer]:
        """Cells of the values, and the map that holds the second layer."""
        q = np.floor(np.ldexp(values.astype(np.float64), -exponent)).astype(np.int64)
        start, width = cls(exponent)._cells(q)
        bits = _bit_length(width - 1)
        low = _pack_bits((ordered(values) - start).reshape(-1), bits.reshape(-1))
        return q, cls(exponent, low)

    def invert(self, integers: Ints, dtype: np.dtype[Any]) -> Array:
        start, width = self._cells(integers)
        bits = _bit_length(width - 1)
        low = _unpack_bits(self.low, bits.reshape(-1)).reshape(integers.shape)
        return unordered(start + low)

    def _cells(self, q: Ints) -> tuple[Ints, Ints]:
        """First float of each cell as an ordered integer, and the number of floats in it."""
        with np.errstate(over="ignore"):
            start = ordered(np.ldexp(q.astype(np.float64), self.exponent).astype(np.float32))
            end = ordered(np.ldexp((q + 1).astype(np.float64), self.exponent).astype(np.float32))
        # Beyond 24 bits floats are coarser than cells.
        return start, np.where(np.abs(q) >= 1 << 24, 1, np.maximum(end - start, 1))

    def write(self) -> bytes:
        packed = bytes(Zstd(3).encode(self.low)) if any(self.low) else b""
        raw = len(packed) >= len(self.low)
        body = self.low if raw else packed
        return struct.pack("<hB", self.exponent, 2 if any(self.low) and raw else bool(packed)) + (
            pack_varint(len(self.low)) + pack_varint(len(body)) + body if any(self.low) else b""
        )

    @classmethod
    def read(cls, reader: Reader) -> TwoLayer:
        from .fallback import ZSTD, unpack_checked

        exponent, form = struct.unpack("<hB", reader.take(3))
        if form > 2 or not -149 <= exponent <= 128:
            raise CodecError("frame is damaged: unknown float map")
        if form == 0:
            return cls(exponent)
        nbytes = reader.varint()
        body = bytes(reader.take(reader.varint()))
        return cls(exponent, body if form == 2 else unpack_checked(ZSTD, body, nbytes))


def _grid(values: Array) -> int:
    """Largest k so that every value is a multiple of 2**k."""
    bits = values[values != 0].view(np.uint32).astype(np.int64)
    exponent = np.maximum(bits >> 23 & 255, 1) - 150
    mantissa = (bits & 0x7FFFFF) | np.where(bits >> 23 & 255, 1 << 23, 0)
    trailing = _bit_length(mantissa & -mantissa) - 1
    return int((exponent + trailing).min())


def ordered(values: Array) -> Ints:
    """Float32 values as integers of the same order."""
    bits = values.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def unordered(integers: Ints) -> Array:
    """Inverse of `ordered`."""
    bits = np.where(integers < 0, (-integers) | 0x80000000, integers)
    return bits.astype(np.uint32).view(np.float32)


def _bit_length(value: Ints) -> Ints:
    return np.frexp(value.astype(np.float64))[1].astype(np.int64)


def _pack_bits(values: Ints, bits: Ints) -> bytes:
    """Values of `bits` bits each (0 to 31), grouped by width, most significant bit first."""
    if not values.any():
        return b""
    out = []
    for width in range(1, int(bits.max()) + 1):
        chosen = values[bits == width]
        shifts = np.arange(width - 1, -1, -1)
        out.append(((chosen[:, None] >> shifts) & 1).astype(np.uint8).reshape(-1))
    return np.packbits(np.concatenate(out)).tobytes() if out else b""


def _unpack_bits(data: bytes, bits: Ints) -> Ints:
    """Inverse of `_pack_bits`; no data stands for zeros."""
    values = np.zeros(bits.shape, np.int64)
    if not data:
        return values
    if len(data) != (int(bits.sum()) + 7) // 8:
        raise CodecError("frame is damaged: second layer of a float map has the wrong length")
    flat = np.unpackbits(np.frombuffer(data, np.uint8))
    at = 0
    for width in range(1, int(bits.max(initial=0)) + 1):
        chosen = bits == width
        n = int(chosen.sum())
        digits = flat[at : at + n * width].reshape(n, width).astype(np.int64)
        values[chosen] = digits @ (np.int64(1) << np.arange(width - 1, -1, -1))
        at += n * width
    return values


MAPS = (Identity, Offset, Palette, Quantised, TwoLayer)  # FORMAT.md 5.1: the position is the code
