"""Field: arrays to integers and back (FORMAT.md section 5).

A *map* turns the values of an array into int32 integers that a predictor can work on, and back,
every bit of it in lossless mode.  Which map suits is decided by estimated cost, by the codec:
`candidates` offers, `Mapped` holds one offer.  Values that no map should see (NaN, infinities,
fill values, negative zeros) are masked and restored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import mask as masks
from .errors import CodecError
from .maps import MAPS, Map, Offset, Palette, Quantised, TwoLayer, ordered
from .wire import Reader

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

_LIMIT = 1 << 30  # integers stay below this, so that differences fit 32 bits


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


def lossless(array: Array, fill_value: float | None) -> Iterator[Mapped]:
    """Ways to map an array so that every bit comes back."""
    if array.dtype.kind in "iu":
        lo, hi = int(array.min()), int(array.max())
        if hi - lo >= 1 << 32 or hi >= 1 << 62 or lo < -(1 << 62):
            return
        integers = array.astype(np.int64)
        if lo >= -_LIMIT and hi < _LIMIT:
            yield Mapped(integers, b"")
        elif hi - lo < _LIMIT:
            yield Mapped(integers - lo, _section(Offset(lo), None))
        palette = Palette.of(integers)
        if palette is not None:
            yield Mapped(palette.ranks(integers), _section(palette, None))
        return
    mask = masks.find(array, fill_value, exact=True)
    shown = masks.hide(array, mask)
    with np.errstate(over="ignore"):
        values = shown.astype(np.float32)
    if array.dtype.itemsize == 8 and not (values == shown).all():
        return  # true doubles
    palette = Palette.of(ordered(values))
    if palette is not None:
        yield Mapped(palette.ranks(ordered(values)), _section(palette, mask))
    for exponent in TwoLayer.exponents(values):
        integers, two_layer = TwoLayer.split(values, exponent)
        yield Mapped(integers, _section(two_layer, mask))


def is_palette(mapped: Mapped) -> bool:
    """Whether the integers are ranks among few distinct values."""
    return bool(mapped.section) and MAPS[mapped.section[0] & 63] is Palette


def bounded(array: Array, max_error: float, fill_value: float | None) -> Mapped | None:
    """Map an array to multiples of a step so that no value is off by more than `max_error`.

    None where the step is too fine for 32-bit integers or too many values would miss the bound.
    """
    mask = masks.find(array, fill_value, exact=False)
    values = masks.hide(array, mask)
    quantised = Quantised.of(values, max_error)
    if quantised is None:
        return None
    integers, map_ = quantised
    mapped = _section(map_, mask)
    restored = unmap(integers, mapped, array.dtype)
    with np.errstate(invalid="ignore"):
        error = np.abs(restored.astype(np.float64) - array.astype(np.float64))
    missed = np.flatnonzero(~(error <= max_error) & ~masks.covered(mask, array.shape))
    if missed.size > array.size // 16:
        return None
    return Mapped(integers, _section(map_, mask, masks.exceptions(array, missed)))


def unmap(integers: Ints, section: bytes, dtype: np.dtype[Any], approximate: bool = False) -> Array:
    """The array that a map was made of, in native byte order.

    `approximate` integers are those of a reconstruction: what lies out of range is brought into
    it, and what only exact integers can tell is left out.
    """
    native = dtype.newbyteorder("=")
    if not section:
        return _cast_integers(integers, native, approximate)
    reader = Reader(section)
    kind = reader.byte()
    if kind & 63 >= len(MAPS):
        raise CodecError(f"frame has unknown value map {kind & 63}; update latrans")
    map_ = MAPS[kind & 63].read(reader)
    mask = masks.read(reader, integers.shape, native) if kind & 64 else None
    missed = masks.read_exceptions(reader, integers.size, native) if kind & 128 else None
    if approximate and isinstance(map_, TwoLayer):
        map_ = TwoLayer(map_.exponent)
    elif approximate and isinstance(map_, Palette):
        integers = np.clip(integers, 0, len(map_.values) - 1)
    values = map_.invert(integers, native)
    if native.kind in "iu":
        array = _cast_integers(values, native, approximate)
    else:
        array = values.astype(native)
    if mask is not None:
        masks.restore(array, mask)
    if missed is not None:
        array.reshape(-1)[missed[0]] = missed[1]
    return array


def _section(map_: Map, mask: masks.Mask | None, exceptions: bytes = b"") -> bytes:
    kind = MAPS.index(type(map_)) | bool(mask) << 6 | bool(exceptions) << 7
    return bytes((kind,)) + map_.write() + (mask.write() if mask else b"") + exceptions


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
