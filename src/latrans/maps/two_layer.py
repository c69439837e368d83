"""Two layers: the order of floats as integers, and the map for those on no grid (FORMAT.md 5.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CodecError
from ..format.varint import Reader, pack_varint
from ..process.dependencies import Zstd
from . import integer_lists

try:
    from .. import _native
except ImportError:  # the reference engine runs without
    _native = None

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

_MANTISSA = 23
_WRONG_LENGTH = "frame is damaged: second layer of a float map has the wrong length"


@dataclass(frozen=True)
class TwoLayer:
    """Floats as a fixed-point layer to predict and, raw, their place among the cell's floats.

    The cell of q is [q * 2**k, (q + 1) * 2**k).  Where every value lies on the grid itself the
    second layer is empty.  The two cells at zero hold floats of every smaller exponent; there the
    exponent is stored apart, since the small ones are rare.
    """

    exponent: int
    low: bytes = b""
    near: bytes = b""  # of samples in the cells at zero: 0 for zero, else 1 + octaves below 2**k

    @property
    def pointwise(self) -> bool:
        return not self.low and not self.near

    @staticmethod
    def exponents(values: Array) -> Iterator[int]:
        """Grids worth trying for finite values: coarse to fine, then their own one."""
        magnitude = float(np.abs(values.astype(np.float64)).max(initial=0))
        if magnitude == 0:
            yield 0
            return
        top = int(np.frexp(magnitude)[1])
        span = float(values.max()) - float(values.min())
        spread = int(np.frexp(span)[1]) if span > 0 else top
        finest = max(top - 30, -149)
        grid = _grid(values)
        for bits in (11, 14, 17, 20, 23):
            exponent = spread - bits
            if finest <= exponent and exponent > grid:
                yield exponent
        if grid >= finest:
            yield grid

    def forward(self, values: Array) -> tuple[Array, TwoLayer]:
        """Cells of the values, and the map that holds the second layer."""
        k = self.exponent
        if _native is not None:
            q = np.empty(values.shape, np.int64)
            flat = np.ascontiguousarray(values, np.float32).reshape(-1)
            layer = _native.float_split(flat, k, q.reshape(-1))
        else:
            q, layer = split(values, k)
        if layer is None:
            return q, TwoLayer(k)
        low, octaves = layer
        return q, TwoLayer(k, low, integer_lists.pack(octaves))

    def invert(self, integers: Array, dtype: np.dtype[Any]) -> Array:
        integers = np.ascontiguousarray(integers, np.int64)
        octaves = None
        if self.low or self.near:
            flat = integers.reshape(-1)
            n = int(_at_zero(flat).sum()) if _native is None else _native.float_at_zero(flat)
            octaves = integer_lists.unpack(Reader(self.near), n)
            if octaves.size and int(octaves.max()) - 1 > _top_octave(self.exponent):
                raise CodecError("frame is damaged: a float is too close to zero")
        if _native is None:
            return join(integers, self.exponent, self.low, octaves)
        values = np.empty(integers.shape, np.float32)
        if not _native.float_join(
            integers.reshape(-1), self.exponent, self.low, octaves, values.reshape(-1)
        ):
            raise CodecError(_WRONG_LENGTH)
        return values

    def approximate(self, integers: Array) -> tuple[Array, TwoLayer]:
        return integers, TwoLayer(self.exponent)

    def write(self) -> bytes:
        head = struct.pack("<h", self.exponent)
        if not self.low and not self.near:
            return head + b"\0"
        packed = bytes(Zstd(3).encode(self.low)) if self.low else b""
        raw = len(packed) >= len(self.low)
        body = self.low if raw else packed
        return (
            head
            + bytes((2 if raw else 1,))
            + pack_varint(len(self.low))
            + pack_varint(len(body))
            + body
            + pack_varint(len(self.near))
            + self.near
        )

    @classmethod
    def read(cls, reader: Reader) -> TwoLayer:
        from ..fallback.payload import ZSTD, unpack_checked

        exponent, form = struct.unpack("<hB", reader.take(3))
        if form > 2 or not -149 <= exponent <= 128:
            raise CodecError("frame is damaged: unknown float map")
        if form == 0:
            return cls(exponent)
        nbytes = reader.varint()
        body = bytes(reader.take(reader.varint()))
        near = bytes(reader.take(reader.varint()))
        return cls(exponent, body if form == 2 else unpack_checked(ZSTD, body, nbytes), near)


def split(values: Array, exponent: int) -> tuple[Ints, tuple[bytes, Ints] | None]:
    """Cells of values on a grid; and, unless all are the first of their cell, the second layer.

    The definition, of which `_native.float_split` is the compiled twin.
    """
    q = np.floor(np.ldexp(values.astype(np.float64), -exponent)).astype(np.int64)
    start, bits = _cells(q, exponent)
    rest = (ordered(values) - start).reshape(-1)
    if not rest.any():
        return q, None
    inside = _at_zero(q).reshape(-1)
    magnitude = np.abs(ordered(values).reshape(-1)[inside])
    octaves = _top_octave(exponent) - (magnitude >> _MANTISSA)
    rest[inside] = magnitude & ((1 << _MANTISSA) - 1)
    bits = bits.reshape(-1)
    bits[inside] = np.where(magnitude > 0, _MANTISSA, 0)
    return q, (_pack_bits(rest, bits), np.where(magnitude > 0, 1 + octaves, 0))


def join(q: Ints, exponent: int, low: bytes, octaves: Ints | None) -> Array:
    """Inverse of `split`; without octaves there is no second layer."""
    start, bits = _cells(q, exponent)
    if octaves is None:
        return unordered(start)
    bits = bits.reshape(-1)
    inside = _at_zero(q).reshape(-1)
    bits[inside] = np.where(octaves > 0, _MANTISSA, 0)
    rest = _unpack_bits(low, bits)
    found = start.reshape(-1) + rest
    magnitude = (_top_octave(exponent) + 1 - octaves << _MANTISSA) | rest[inside]
    magnitude[octaves == 0] = 0
    found[inside] = np.where(q.reshape(-1)[inside] < 0, -magnitude, magnitude)
    return unordered(found).reshape(q.shape)


def _top_octave(exponent: int) -> int:
    """Biased exponent of the float 2**exponent; 0 where it is below all normal ones."""
    with np.errstate(over="ignore"):
        return int(ordered(np.ldexp(np.ones(1), exponent).astype(np.float32))[0]) >> _MANTISSA


def _cells(q: Ints, exponent: int) -> tuple[Ints, Ints]:
    """First float of each cell as an ordered integer, and the bits that say which of them."""
    with np.errstate(over="ignore"):
        start = ordered(np.ldexp(q.astype(np.float64), exponent).astype(np.float32))
        end = ordered(np.ldexp((q + 1).astype(np.float64), exponent).astype(np.float32))
    # Beyond 24 bits floats are coarser than cells.
    width = np.where(np.abs(q) >= 1 << 24, 1, np.maximum(end - start, 1))
    return start, _bit_length(width - 1)


def _at_zero(q: Ints) -> npt.NDArray[np.bool_]:
    return (q == 0) | (q == -1)


def _grid(values: Array) -> int:
    """Largest k so that every value is a multiple of 2**k."""
    bits = values[values != 0].view(np.uint32).astype(np.int64)
    exponent = np.maximum(bits >> 23 & 255, 1) - 150
    mantissa = (bits & 0x7FFFFF) | np.where(bits >> 23 & 255, 1 << 23, 0)
    trailing = _bit_length(mantissa & -mantissa) - 1
    return int((exponent + trailing).min())


def ordered(values: Array) -> Ints:
    """Float32 (or float64) values as integers of the same order."""
    if values.dtype.itemsize == 8:
        wide: Ints = values.view(np.int64)
        return np.where(wide < 0, np.int64(-(2**63)) - wide, wide)
    bits = values.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def unordered(integers: Ints, dtype: npt.DTypeLike = np.float32) -> Array:
    """Inverse of `ordered` for float32 or float64; integers beyond the type wrap around."""
    if np.dtype(dtype).itemsize == 8:
        return np.where(integers < 0, np.int64(-(2**63)) - integers, integers).view(np.float64)
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
        octets = values[bits == width].astype(">u4").view(np.uint8).reshape(-1, 4)
        out.append(np.unpackbits(octets, axis=1)[:, 32 - width :].reshape(-1))
    return np.packbits(np.concatenate(out)).tobytes() if out else b""


def _unpack_bits(data: bytes, bits: Ints) -> Ints:
    """Inverse of `_pack_bits`; no data stands for zeros."""
    values = np.zeros(bits.shape, np.int64)
    if not data:
        return values
    if len(data) != (int(bits.sum()) + 7) // 8:
        raise CodecError(_WRONG_LENGTH)
    flat = np.unpackbits(np.frombuffer(data, np.uint8))
    at = 0
    for width in range(1, int(bits.max(initial=0)) + 1):
        chosen = bits == width
        n = int(chosen.sum())
        digits = np.zeros((n, 32), np.uint8)
        digits[:, 32 - width :] = flat[at : at + n * width].reshape(n, width)
        values[chosen] = np.packbits(digits, axis=1).view(">u4").reshape(-1)
        at += n * width
    return values
