"""Apply: arrays to integers and back (FORMAT.md section 5).

A *map* turns the values of an array into int32 integers that a predictor can work on, and back,
every bit of it in lossless mode.  `candidate_maps` says which maps may suit, `apply` makes the most
of one; which is taken is decided by estimated cost (`estimate`).  Values that no map should see
(NaN, infinities, fill values, negative zeros) are masked before and restored after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CodecError
from ..format.varint import Reader
from . import kernels
from . import mask as masks
from .base import MAPS, Identity, Lossless, Map, Offset, Palette, Quantised, Stored
from .decimals import Divided, decimals_of
from .grid import Grid
from .kernels import LIMIT
from .two_layer import TwoLayer

Array = npt.NDArray[Any]

_MOST_MISSED = 16  # one in so many values may be an exception
_PIECE = 1 << 15
_SINGLE, _MISSED = 64, 128  # FORMAT.md 5.1: values are float32, exceptions follow


@dataclass(frozen=True)
class Mapped:
    """An array as integers.

    Attributes
    ----------
    integers : int32 or a narrower type, shape of the array; perhaps the array itself
    section : bytes that `unmap` needs, empty where nothing needs saying
    """

    integers: Array
    section: bytes


def suits(dtype: np.dtype[Any]) -> bool:
    """Whether maps know the dtype; other arrays are stored by the fallback."""
    return dtype.kind in "iu" or (dtype.kind == "f" and dtype.itemsize <= 8)


def candidate_maps(values: Array) -> Iterator[Lossless]:
    """Maps that may suit finite values, any of them exactly or but for a few."""
    if values.dtype.kind in "iu":
        yield from _of_integers(values)
        return
    values = _narrow(values)
    tried = decimals_of(values)
    for decimals in tried:
        yield from Divided.of(values, decimals)
    grid = Grid.of(values)
    if grid is not None:
        yield grid
    palette = Palette.of(values, tried[-1] if tried else None)
    if palette is not None:
        yield palette
    if values.dtype.itemsize == 4:
        for exponent in TwoLayer.exponents(values):
            yield TwoLayer(exponent)


def is_identity(values: Array) -> bool:
    """Whether integers are their own map."""
    return int(values.min()) >= -LIMIT and int(values.max()) < LIMIT


def _of_integers(values: Array) -> Iterator[Lossless]:
    lo, hi = int(values.min()), int(values.max())
    if hi >= 1 << 62 or lo < -(1 << 62):
        return
    if is_identity(values):
        yield Identity()
    elif hi - lo < LIMIT:
        yield Offset(lo)
    for divided in Divided.of(values, 0):
        if divided.divisor > 1:
            yield divided
    palette = Palette.of(values) if hi - lo < 1 << 32 else None
    if palette is not None:
        yield palette


def apply(map_: Lossless, values: Array) -> Mapped | None:
    """Values mapped so that every bit comes back, or None where too many would not."""
    work = values if values.dtype.kind in "iu" else _narrow(values)
    done = map_.forward(work)
    if done is None:
        return None
    integers, map_ = done
    if not np.can_cast(integers.dtype, np.int32):
        if max(-int(integers.min()), int(integers.max())) >= 1 << 31:
            return None
        integers = integers.astype(np.int32)
    if isinstance(map_, Identity):
        return Mapped(integers, b"")
    missed = b""
    if values.dtype.kind == "f" and not isinstance(map_, (TwoLayer, Stored)):
        found = map_.invert(integers, work.dtype)
        wrong = np.flatnonzero(_bits(found) != _bits(work))
        if wrong.size > values.size // _MOST_MISSED:
            return None
        missed = masks.exceptions(values, wrong)
    return Mapped(integers, _section(map_, values.dtype != work.dtype, missed))


def lossless(array: Array, fill_value: Any) -> Iterator[Mapped]:
    """Ways to map an array so that every bit comes back but those of its mask."""
    values = array
    if array.dtype.kind == "f":
        values = masks.hide(array, masks.find(array, fill_value, exact=True))
    for map_ in candidate_maps(values):
        mapped = apply(map_, values)
        if mapped is not None:
            yield mapped


def is_stored(section: bytes) -> bool:
    """Whether a map leaves nothing to predict."""
    return bool(section) and MAPS[section[0] & 63] is Stored


def _missed(
    values: Array, integers: kernels.Int32, step: float, max_error: float
) -> npt.NDArray[np.int64]:
    """Which values are further than the bound from what comes back."""
    found = []
    for start in range(0, values.size, _PIECE):
        part, whole = values[start : start + _PIECE], integers[start : start + _PIECE]
        if not kernels.compare(part, whole, step, max_error).missed:
            continue
        back = kernels.restore(whole, step, values.dtype)
        with np.errstate(invalid="ignore"):
            error = np.abs(back.astype(np.float64) - part.astype(np.float64))
        found.append(np.flatnonzero(~(error <= max_error)) + start)
    return np.concatenate(found)


def grid_of(
    section: bytes, n_samples: int, dtype: np.dtype[Any]
) -> tuple[float, npt.NDArray[np.int64]] | None:
    """Step of a map that quantises, and where its exceptions are; None for any other map."""
    if not section or MAPS[section[0] & 63] is not Quantised:
        return None
    reader = Reader(section[1:])
    step = Quantised.read(reader).step
    if not section[0] & _MISSED:
        return step, np.zeros(0, np.int64)
    return step, masks.read_exceptions(reader, n_samples, dtype.newbyteorder("="))[0]


def bounded(array: Array, max_error: float, fill_value: Any) -> Mapped | None:
    """Map an array to multiples of a step so that no value is off by more than `max_error`.

    Values of the mask may be off by anything.  None where the step is too fine for 32-bit integers
    or too many values would miss the bound.
    """
    return quantised(masks.hide(array, masks.find(array, fill_value, exact=False)), max_error)


def quantised(values: Array, max_error: float) -> Mapped | None:
    """Multiples of a step, as `bounded`, for finite values of which none is masked."""
    found = Quantised.of(values, max_error)
    if found is None:
        return None
    integers, map_, compared = found
    if not compared.missed:
        return Mapped(integers, _section(map_, False))
    if compared.missed > values.size // _MOST_MISSED:
        return None
    missed = _missed(values.reshape(-1), integers.reshape(-1), map_.step, max_error)
    return Mapped(integers, _section(map_, False, masks.exceptions(values, missed)))


def unmap(
    integers: Array, section: bytes, dtype: np.dtype[Any], approximate: bool = False
) -> Array:
    """The values that a map was made of, in native byte order.

    `approximate` integers are those of a reconstruction.
    """
    inverse = Inverse(section, dtype, integers.size, approximate)
    out = np.empty(integers.shape, inverse.dtype)
    inverse.into(integers, out)
    inverse.finish(out)
    return out


class Inverse:
    """The way back from one map's integers; many at once, or part by part if it is `pointwise`.

    Attributes
    ----------
    dtype : of the values, native byte order.
    pointwise : whether parts may be given to `into` on their own.
    """

    def __init__(
        self, section: bytes, dtype: np.dtype[Any], n_samples: int, approximate: bool = False
    ) -> None:
        self.dtype = dtype.newbyteorder("=")
        self._approximate = approximate
        self._map: Map = Identity()
        self._work = self.dtype
        self._missed: tuple[npt.NDArray[np.int64], Array] | None = None
        if section:
            reader = Reader(section)
            kind = reader.byte()
            if kind & 63 >= len(MAPS):
                raise CodecError(f"frame has unknown value map {kind & 63}; update latrans")
            self._map = MAPS[kind & 63].read(reader)
            if kind & _MISSED:
                self._missed = masks.read_exceptions(reader, n_samples, self.dtype)
            if self.dtype.kind == "f" and (kind & _SINGLE or self.dtype.itemsize < 4):
                self._work = np.dtype(np.float32)
        nothing = np.zeros(0, np.int32)
        used = self._map.approximate(nothing)[1] if approximate else self._map
        self.pointwise = used.pointwise

    @property
    def has_exceptions(self) -> bool:
        return self._missed is not None

    def into(self, integers: Array, out: Array) -> None:
        """Values of integers, into a contiguous array; exceptions are for `finish`."""
        map_ = self._map
        if self._approximate:
            integers, map_ = map_.approximate(integers)
        if isinstance(map_, Identity):
            values = integers
        else:
            if integers.dtype.itemsize < 4:
                integers = integers.astype(np.int32)  # maps reckon with it
            with np.errstate(over="ignore"):
                values = map_.invert(integers, self._work)
        if self.dtype.kind in "iu":
            _fit(values, self.dtype, out, self._approximate)
        else:
            if self._approximate:  # what overshoots the largest value is no infinity
                most = np.finfo(self.dtype).max
                values = np.clip(values, -most, most)
            if values.dtype == out.dtype:
                out[...] = values
                return
            with np.errstate(over="ignore"):
                out[...] = values

    def finish(self, out: Array) -> None:
        """Put exceptions in their places among all values."""
        if self._missed is not None:
            out.reshape(-1)[self._missed[0]] = self._missed[1]


def _section(map_: Map, single: bool, exceptions: bytes = b"") -> bytes:
    kind = MAPS.index(type(map_)) | single * _SINGLE | bool(exceptions) * _MISSED
    return bytes((kind,)) + map_.write() + exceptions


def _narrow(values: Array) -> Array:
    """Floats as float32 where that loses nothing."""
    if values.dtype.itemsize == 4:
        return values
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    return single if (single == values).all() else values


def _bits(values: Array) -> Array:
    return values.view(np.uint32 if values.dtype.itemsize == 4 else np.uint64)


def _fit(integers: Array, dtype: np.dtype[Any], out: Array, clip: bool) -> None:
    """Integers to their dtype; exact ones that do not fit can only come from a damaged frame."""
    info = np.iinfo(dtype)
    if clip:
        # Limits within the integers' own type, so that they keep it with every NumPy.
        own = np.iinfo(integers.dtype)
        integers = np.clip(integers, max(info.min, own.min), min(info.max, own.max))
    if np.can_cast(integers.dtype, dtype):
        out[...] = integers
        return
    given, taken = integers.reshape(-1), out.reshape(-1)
    for start in range(0, given.size, _PIECE):  # thrice from the nearest cache, not from memory
        part = given[start : start + _PIECE]
        if int(part.min()) < info.min or int(part.max()) > info.max:
            raise CodecError(f"frame is damaged: decoded integers do not fit {dtype}")
        np.copyto(taken[start : start + _PIECE], part, casting="unsafe")
