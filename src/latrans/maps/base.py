"""Value maps: one class each, forward and back (FORMAT.md 5.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import CodecError
from ..fallback import payload as fallback
from ..format.varint import Reader, native, pack_varint
from . import integer_lists, kernels
from .decimals import MAX_DECIMALS, Divided, scaled, unscaled
from .grid import Grid
from .two_layer import TwoLayer, ordered, unordered

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

MAX_PALETTE = 1 << 16
_ORDERED = 255  # instead of a number of decimals
_EXACT = 1 << 53  # larger integers have no float64 of their own
_SAMPLES = 1 << 14
_NARROW = 1 << 12  # a range in which marking values beats sorting a few
_COUNTED, _PIECE = 1 << 18, 1 << 18
_LARGEST_BOUND = 8e307  # twice this is still finite


class Map(Protocol):
    """How integers become values again; `write` and `read` move its parameters.

    `approximate` prepares for integers that are those of a reconstruction: what lies out of range
    is brought into it, and what only exact integers can tell is left out.  `pointwise` says
    whether a sample's value hangs on its integer alone, so that `invert` may be given any part.
    """

    @property
    def pointwise(self) -> bool: ...
    def invert(self, integers: Array, dtype: np.dtype[Any]) -> Array: ...
    def approximate(self, integers: Array) -> tuple[Array, Map]: ...
    def write(self) -> bytes: ...


class Lossless(Map, Protocol):
    """A map that gives the values back, or all but a few of them.

    `forward` returns the integers with the map that has all that `invert` needs, or None if the
    values do not suit.
    """

    def forward(self, values: Array) -> tuple[Array, Lossless] | None: ...


@dataclass(frozen=True)
class Identity:
    """Integers as they are; written only where other maps of the chunk need saying."""

    pointwise: ClassVar[bool] = True

    def forward(self, values: Array) -> tuple[Array, Identity]:
        return values, self

    def approximate(self, integers: Array) -> tuple[Array, Identity]:
        return integers, self

    def invert(self, integers: Array, dtype: np.dtype[Any]) -> Array:
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
    pointwise: ClassVar[bool] = True

    def forward(self, values: Array) -> tuple[Array, Offset]:
        return values.astype(np.int64) - self.offset, self

    def approximate(self, integers: Array) -> tuple[Array, Offset]:
        return integers, self

    def invert(self, integers: Array, dtype: np.dtype[Any]) -> Array:
        return np.add(integers, self.offset, dtype=np.int64)

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

    pointwise: ClassVar[bool] = True
    values: Ints  # sorted
    decimals: int | None = None  # None: ordered integers

    @classmethod
    def of(cls, values: Array, decimals: int | None = None) -> Palette | None:
        """The palette, unless distinct values are a quarter of the range or more."""
        extremes = np.array([values.min(), values.max()])
        lo, hi = _as_integers(extremes, decimals).tolist()
        few = min(MAX_PALETTE, max(1, (hi - lo + 1) // 4), max(1, values.size // 4))
        flat = values.reshape(-1)
        some = flat[:: -(-flat.size // _SAMPLES)]
        if hi - lo < _NARROW:
            part = _distinct(some, decimals, lo, hi)
        else:
            part = np.unique(_as_integers(some, decimals))
        if len(part) > few:
            return None  # a part has more than all may
        found = _distinct(flat, decimals, lo, hi)
        return None if len(found) > few else cls(found, decimals)

    def forward(self, values: Array) -> tuple[Array, Palette]:
        lo, span = int(self.values[0]), int(self.values[-1]) - int(self.values[0]) + 1
        if span > _COUNTED:
            ranks = np.searchsorted(self.values, _as_integers(values, self.decimals))
            return ranks.astype(np.int32), self
        table = np.zeros(span, np.int32)
        table[self.values - lo] = np.arange(len(self.values))
        return table[_as_integers(values, self.decimals) - lo], self

    def approximate(self, integers: Array) -> tuple[Array, Palette]:
        return np.clip(integers, 0, len(self.values) - 1), self

    def invert(self, integers: Array, dtype: np.dtype[Any]) -> Array:
        if integers.size and not 0 <= int(integers.min()) <= int(integers.max()) < len(self.values):
            raise CodecError("frame is damaged: a rank lies outside of its palette")
        if dtype.kind in "iu":
            return self.values[integers]
        if self.decimals is None:
            return unordered(self.values, dtype)[integers]
        return unscaled(self.values, self.decimals, dtype)[integers]

    def write(self) -> bytes:
        # Differences modulo 2**64, since ordered integers of float64 take that much room.
        gaps = np.diff(self.values) - 1
        wide = bool((gaps < 0).any())
        kind = _ORDERED if self.decimals is None else self.decimals
        head = bytes((kind,)) + pack_varint(2 * len(self.values) + wide)
        head += struct.pack("<q", int(self.values[0]))
        return head + (gaps.astype("<i8").tobytes() if wide else integer_lists.pack(gaps))

    @classmethod
    def read(cls, reader: Reader) -> Palette:
        kind, head = reader.byte(), reader.varint()
        n, wide = head >> 1, head & 1
        if not 0 < n <= MAX_PALETTE:
            raise CodecError(f"frame is damaged: palette of {n} values")
        if kind != _ORDERED and kind > MAX_DECIMALS:
            raise CodecError(f"frame is damaged: palette of {kind} decimals")
        first = struct.unpack("<q", reader.take(8))[0]
        gaps = reader.array("<i8", n - 1) if wide else integer_lists.unpack(reader, n - 1)
        with np.errstate(over="ignore"):
            values = np.cumsum(np.concatenate([[first], gaps + 1]), dtype=np.int64)
        if (values[1:] <= values[:-1]).any():
            raise CodecError("frame is damaged: palette is not sorted")
        return cls(values, None if kind == _ORDERED else kind)


def _distinct(flat: Array, decimals: int | None, lo: int, hi: int) -> Ints:
    """All values that occur, as sorted integers between `lo` and `hi`."""
    span = hi - lo + 1
    if span > _COUNTED:
        found = np.sort(_as_integers(flat, decimals))
        return found[np.concatenate([[True], found[1:] != found[:-1]])]
    seen = np.zeros(span, bool)  # marking beats sorting
    for start in range(0, flat.size, _PIECE):
        seen[_as_integers(flat[start : start + _PIECE], decimals) - lo] = True
    return np.flatnonzero(seen) + lo


def _as_integers(values: Array, decimals: int | None) -> Ints:
    if values.dtype.kind == "f" and decimals is None:
        return ordered(values)
    return scaled(values, decimals or 0)


@dataclass(frozen=True)
class Quantised:
    """Multiples of a step: error-bounded mode."""

    step: float
    pointwise: ClassVar[bool] = True

    @classmethod
    def of(
        cls, values: Array, max_error: float
    ) -> tuple[kernels.Int32, Quantised, kernels.Compared] | None:
        """Nearest multiples, the map, and how values compare with what comes back."""
        whole = values.dtype.kind in "iu"
        if whole and max(-int(values.min()), int(values.max())) >= _EXACT:
            return None
        step = 2.0 * min(max_error, _LARGEST_BOUND)
        if whole:
            step = float(2 * int(min(max_error, _LARGEST_BOUND)) + 1)
        found = kernels.quantise(values, step, max_error)
        return None if found is None else (found[0], cls(step), found[1])

    def approximate(self, integers: Array) -> tuple[Array, Quantised]:
        return integers, self

    def invert(self, integers: Array, dtype: np.dtype[Any]) -> Array:
        return kernels.restore(integers, self.step, dtype)

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
    pointwise: ClassVar[bool] = False

    def forward(self, values: Array) -> tuple[Array, Stored]:
        stored = values.astype(values.dtype.newbyteorder("<"), copy=False)
        return np.zeros(values.shape, np.int32), Stored(fallback.encode(stored))

    def approximate(self, integers: Array) -> tuple[Array, Stored]:
        return integers, self

    def invert(self, integers: Array, dtype: np.dtype[Any]) -> Array:
        return native(fallback.decode(self.payload, dtype.newbyteorder("<"), integers.shape))

    def write(self) -> bytes:
        return pack_varint(len(self.payload)) + self.payload

    @classmethod
    def read(cls, reader: Reader) -> Stored:
        return cls(bytes(reader.take(reader.varint())))


# FORMAT.md 5.1: the position is the code
MAPS = (Identity, Offset, Palette, Quantised, TwoLayer, Divided, Grid, Stored)
