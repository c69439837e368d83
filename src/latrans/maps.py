"""Value maps: one class each, forward and back (FORMAT.md 5.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from . import fallback, numbers
from .decimals import MAX_DECIMALS, Divided, scaled, unscaled
from .errors import CodecError
from .floats import TwoLayer, ordered, unordered
from .grids import Grid
from .wire import Reader, pack_varint

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

MAX_PALETTE = 1 << 16
_ORDERED = 255  # instead of a number of decimals
_LIMIT = 1 << 30
_EXACT = 1 << 53  # larger integers have no float64 of their own
_LARGEST_BOUND = 8e307  # twice this is still finite


class Map(Protocol):
    """How integers become values again; `write` and `read` move its parameters.

    `approximate` prepares for integers that are those of a reconstruction: what lies out of range
    is brought into it, and what only exact integers can tell is left out.
    """

    def invert(self, integers: Ints, dtype: np.dtype[Any]) -> Array: ...
    def approximate(self, integers: Ints) -> tuple[Ints, Map]: ...
    def write(self) -> bytes: ...


class Lossless(Map, Protocol):
    """A map that gives the values back, or all but a few of them.

    `forward` returns the integers with the map that has all that `invert` needs, or None if the
    values do not suit.
    """

    def forward(self, values: Array) -> tuple[Ints, Lossless] | None: ...


@dataclass(frozen=True)
class Identity:
    """Integers as they are; written only where other maps of the chunk need saying."""

    def forward(self, values: Array) -> tuple[Ints, Identity]:
        return values.astype(np.int64), self

    def approximate(self, integers: Ints) -> tuple[Ints, Identity]:
        return integers, self

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

    def forward(self, values: Array) -> tuple[Ints, Offset]:
        return values.astype(np.int64) - self.offset, self

    def approximate(self, integers: Ints) -> tuple[Ints, Offset]:
        return integers, self

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
    """Ranks among the distinct values, where these are few.

    The values stand as integers: themselves, or floats as decimals, or as ordered integers.
    """

    values: Ints  # sorted
    decimals: int | None = None  # None: ordered integers

    @classmethod
    def of(cls, values: Array, decimals: int | None = None) -> Palette | None:
        """The palette, unless distinct values are a quarter of the range or more."""
        integers = _as_integers(values, decimals)
        lo, hi = int(integers.min()), int(integers.max())
        span = hi - lo + 1
        if span <= 1 << 18:  # counting beats sorting
            found = np.flatnonzero(np.bincount((integers - lo).reshape(-1), minlength=span)) + lo
        else:
            found = np.sort(integers, axis=None)
            found = found[np.concatenate([[True], found[1:] != found[:-1]])]
        few = min(MAX_PALETTE, max(1, span // 4))
        if len(found) > few or (len(found) * 4 > integers.size and len(found) > 1):
            return None
        return cls(found, decimals)

    def forward(self, values: Array) -> tuple[Ints, Palette]:
        ranks = np.searchsorted(self.values, _as_integers(values, self.decimals))
        return ranks.astype(np.int64), self

    def approximate(self, integers: Ints) -> tuple[Ints, Palette]:
        return np.clip(integers, 0, len(self.values) - 1), self

    def invert(self, integers: Ints, dtype: np.dtype[Any]) -> Array:
        if integers.size and not 0 <= int(integers.min()) <= int(integers.max()) < len(self.values):
            raise CodecError("frame is damaged: a rank lies outside of its palette")
        values = self.values[integers]
        if dtype.kind in "iu":
            return values
        if self.decimals is None:
            return unordered(values, dtype)
        return unscaled(values, self.decimals, dtype)

    def write(self) -> bytes:
        # Differences modulo 2**64, since ordered integers of float64 take that much room.
        gaps = np.diff(self.values) - 1
        wide = bool((gaps < 0).any())
        kind = _ORDERED if self.decimals is None else self.decimals
        head = bytes((kind,)) + pack_varint(2 * len(self.values) + wide)
        head += struct.pack("<q", int(self.values[0]))
        return head + (gaps.astype("<i8").tobytes() if wide else numbers.pack(gaps))

    @classmethod
    def read(cls, reader: Reader) -> Palette:
        kind, head = reader.byte(), reader.varint()
        n, wide = head >> 1, head & 1
        if not 0 < n <= MAX_PALETTE:
            raise CodecError(f"frame is damaged: palette of {n} values")
        if kind != _ORDERED and kind > MAX_DECIMALS:
            raise CodecError(f"frame is damaged: palette of {kind} decimals")
        first = struct.unpack("<q", reader.take(8))[0]
        gaps = reader.array("<i8", n - 1) if wide else numbers.unpack(reader, n - 1)
        with np.errstate(over="ignore"):
            values = np.cumsum(np.concatenate([[first], gaps + 1]), dtype=np.int64)
        if (values[1:] <= values[:-1]).any():
            raise CodecError("frame is damaged: palette is not sorted")
        return cls(values, None if kind == _ORDERED else kind)


def _as_integers(values: Array, decimals: int | None) -> Ints:
    if values.dtype.kind == "f" and decimals is None:
        return ordered(values)
    return scaled(values, decimals or 0)


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

    def approximate(self, integers: Ints) -> tuple[Ints, Quantised]:
        return integers, self

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
class Stored:
    """Values as a fallback payload, beside integers that are all 0.

    For parts that nothing else suits, such as one column of true doubles in a table.
    """

    payload: bytes = b""

    def forward(self, values: Array) -> tuple[Ints, Stored]:
        return np.zeros(values.shape, np.int64), Stored(fallback.encode(values))

    def approximate(self, integers: Ints) -> tuple[Ints, Stored]:
        return integers, self

    def invert(self, integers: Ints, dtype: np.dtype[Any]) -> Array:
        return fallback.decode(self.payload, dtype, integers.shape)

    def write(self) -> bytes:
        return pack_varint(len(self.payload)) + self.payload

    @classmethod
    def read(cls, reader: Reader) -> Stored:
        return cls(bytes(reader.take(reader.varint())))


# FORMAT.md 5.1: the position is the code
MAPS = (Identity, Offset, Palette, Quantised, TwoLayer, Divided, Grid, Stored)
