"""Pictures: an array as images that picture codecs take, and back.

Planes go in one by one, three channels that come last as one colour picture.  Values are shifted
to start at zero where they are signed or need more bits than they span.  Planes of a few hundred
samples are tiled into sheets, or the headers of the pictures would be all that is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from ..format import axes as axis_letters
from .rival import Array, pack, plain, unpack

_FEW_SAMPLES = 4096
_PER_SHEET = 1 << 12  # so that no side of a sheet comes near the limits of the formats


def is_picture(array: Array, axes: str) -> bool:
    """Whether the array consists of planes of integers that span at most 16 bits."""
    if not plain(array) or array.dtype.kind == "f" or not {"y", "x"} <= set(axes):
        return False
    low, high = _range(array)
    return high - low < 1 << 16 and high < 1 << 63


def encode(array: Array, axes: str, encode_one: Callable[[Array], bytes]) -> bytes:
    """Encode every picture of an array with `encode_one`, which takes uint8 or uint16."""
    low, high = _range(array)
    shift = low if low < 0 or high >= 1 << 16 else 0
    bits = array.astype(np.int64) - shift
    pictures = bits.astype(np.uint8 if high - shift < 256 else np.uint16)
    streams = [bytes(encode_one(image)) for image in _images(pictures, axes)]
    return pack(streams, array, axes=axes, shift=shift)


def decode(data: bytes, decode_one: Callable[[bytes], Array]) -> Array:
    """Inverse of `encode`; of grey pictures that come back in colour, one channel counts."""
    streams, header = unpack(data)
    images = [np.asarray(decode_one(stream)) for stream in streams]
    shape, axes = header["shape"], header["axes"]
    if _in_colour(shape, axes):
        order = _colour_order(axes)
        moved = np.stack(images).reshape(tuple(shape[d] for d in order))
        restored = moved.transpose(np.argsort(order))
    else:
        layout = axis_letters.layout(axes, shape, "plane")
        grey = [image if image.ndim == 2 else image[..., 0] for image in images]
        if _small(layout):
            grey = [_from_sheet(image, layout.shape) for image in grey]
            planes = np.concatenate(grey)[: layout.n_planes]
        else:
            planes = np.stack(grey)
        restored = layout.join(planes, shape)
    return (restored.astype(np.int64) + header["shift"]).astype(header["dtype"])


def _images(array: Array, axes: str) -> Iterator[Array]:
    """Pictures in the order in which `decode` lays them out again, contiguous."""
    if _in_colour(array.shape, axes):
        moved = array.transpose(_colour_order(axes))
        yield from np.ascontiguousarray(moved).reshape(-1, *moved.shape[-3:])
        return
    layout = axis_letters.layout(axes, array.shape, "plane")
    planes = layout.split(array)
    if not _small(layout):
        yield from planes
        return
    for start in range(0, len(planes), _PER_SHEET):
        yield _sheet(planes[start : start + _PER_SHEET])


def _small(layout: axis_letters.Layout) -> bool:
    rows, columns = layout.shape
    return layout.n_planes > 1 and rows * columns < _FEW_SAMPLES


def _sheet(planes: Array) -> Array:
    """Planes in rows and columns, about a square of samples, filled up with zeros."""
    n, rows, columns = planes.shape
    across = min(n, max(1, math.isqrt(n * rows // columns)))
    down = -(-n // across)
    full = np.zeros((down * across, rows, columns), planes.dtype)
    full[:n] = planes
    tiles = full.reshape(down, across, rows, columns).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(tiles).reshape(down * rows, across * columns)


def _from_sheet(sheet: Array, shape: tuple[int, int]) -> Array:
    rows, columns = shape
    tiles = sheet.reshape(sheet.shape[0] // rows, rows, -1, columns).transpose(0, 2, 1, 3)
    return tiles.reshape(-1, rows, columns)


def _in_colour(shape: tuple[int, ...], axes: str) -> bool:
    return axes.endswith("yxc") and shape[-1] == 3


def _colour_order(axes: str) -> tuple[int, ...]:
    inner = [axes.index(letter) for letter in "yxc"]
    return (*(d for d in range(len(axes)) if d not in inner), *inner)


def _range(array: Array) -> tuple[int, int]:
    return int(array.min()), int(array.max())
