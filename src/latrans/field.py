"""Field: arrays to integers and back (FORMAT.md section 5).

A *map* turns the values of an array into int32 integers that a predictor can work on, and back,
every bit of it in lossless mode.  `offers` says which maps may suit, `apply` makes the most of one;
which is taken is decided by estimated cost (`mapping`).  Values that no map should see (NaN,
infinities, fill values, negative zeros) are masked before and restored after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import mask as masks
from .decimals import Divided, decimals_of
from .errors import CodecError
from .floats import TwoLayer
from .grids import Grid
from .maps import MAPS, Identity, Lossless, Map, Offset, Palette, Quantised, Stored
from .wire import Reader

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

_LIMIT = 1 << 30  # integers stay below this, so that differences fit 32 bits
_MOST_MISSED = 16  # one in so many values may be an exception
_SINGLE, _MISSED = 64, 128  # FORMAT.md 5.1: values are float32, exceptions follow


@dataclass(frozen=True)
class Mapped:
    """An array as integers.

    Attributes
    ----------
    integers : int64, shape of the array
    section : bytes that `unmap` needs, empty where nothing needs saying
    """

    integers: Ints
    section: bytes


def suits(dtype: np.dtype[Any]) -> bool:
    """Whether maps know the dtype; other arrays are stored by the fallback."""
    return dtype.kind in "iu" or (dtype.kind == "f" and dtype.itemsize <= 8)


def offers(values: Array) -> Iterator[Lossless]:
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
    return int(values.min()) >= -_LIMIT and int(values.max()) < _LIMIT


def _of_integers(values: Array) -> Iterator[Lossless]:
    lo, hi = int(values.min()), int(values.max())
    if hi >= 1 << 62 or lo < -(1 << 62):
        return
    if is_identity(values):
        yield Identity()
    elif hi - lo < _LIMIT:
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
    if done is None or int(np.abs(done[0]).max(initial=0)) >= 1 << 31:
        return None
    integers, map_ = done
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


def lossless(array: Array, fill_value: float | None) -> Iterator[Mapped]:
    """Ways to map an array so that every bit comes back but those of its mask."""
    values = array
    if array.dtype.kind == "f":
        values = masks.hide(array, masks.find(array, fill_value, exact=True))
    for map_ in offers(values):
        mapped = apply(map_, values)
        if mapped is not None:
            yield mapped


def is_stored(section: bytes) -> bool:
    """Whether a map leaves nothing to predict."""
    return bool(section) and MAPS[section[0] & 63] is Stored


def bounded(array: Array, max_error: float, fill_value: float | None) -> Mapped | None:
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
    integers, map_ = found
    restored = unmap(integers, _section(map_, False), values.dtype)
    with np.errstate(invalid="ignore"):
        error = np.abs(restored.astype(np.float64) - values.astype(np.float64))
    missed = np.flatnonzero(~(error <= max_error))
    if missed.size > values.size // _MOST_MISSED:
        return None
    return Mapped(integers, _section(map_, False, masks.exceptions(values, missed)))


def unmap(integers: Ints, section: bytes, dtype: np.dtype[Any], approximate: bool = False) -> Array:
    """The values that a map was made of, in native byte order.

    `approximate` integers are those of a reconstruction.
    """
    native = dtype.newbyteorder("=")
    if not section:
        return _cast_integers(integers, native, approximate)
    reader = Reader(section)
    kind = reader.byte()
    if kind & 63 >= len(MAPS):
        raise CodecError(f"frame has unknown value map {kind & 63}; update latrans")
    map_: Map = MAPS[kind & 63].read(reader)
    missed = masks.read_exceptions(reader, integers.size, native) if kind & _MISSED else None
    if approximate:
        integers, map_ = map_.approximate(integers)
    if native.kind in "iu":
        array = _cast_integers(map_.invert(integers, native), native, approximate)
    else:
        single = kind & _SINGLE or native.itemsize < 4
        work = np.dtype(np.float32) if single else native
        with np.errstate(over="ignore"):
            array = map_.invert(integers, work).astype(native)
    if missed is not None:
        array.reshape(-1)[missed[0]] = missed[1]
    return array


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


def _cast_integers(integers: Array, dtype: np.dtype[Any], clip: bool) -> Array:
    """Integers to their dtype; exact ones that do not fit can only come from a damaged frame."""
    if dtype.kind == "f":
        return integers.astype(dtype)
    info = np.iinfo(dtype)
    if clip:
        integers = np.clip(integers, info.min, info.max)
    if integers.size and (int(integers.min()) < info.min or int(integers.max()) > info.max):
        raise CodecError(f"frame is damaged: decoded integers do not fit {dtype}")
    return integers.astype(dtype)
