"""Crop: the middle of an array, small enough to try codecs on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..format.axes import MAX_CHANNELS_LAST

_MAX_CHANNELS = {"plane": 4, "track": 8}
_MIN_SIDE = 16
_LONG_RATIO = 4


def crop(array: Any, axes: str | None, max_samples: int) -> npt.NDArray[Any]:
    """The middle of an array: whole planes or a window of time while they fit, else part of them.

    Parameters
    ----------
    array : array, or anything with `shape` that takes slices
    axes : str or None
        One letter per dimension; without, the last two are taken for a plane, or for a
        recording where there are no others and one is far longer.
    max_samples : int
        Most samples of the result; channels and a second plane are kept before a plane's size.

    Returns
    -------
    numpy.ndarray, C-ordered, with as many dimensions as the array.

    Examples
    --------
    >>> crop(np.zeros((100, 512, 512), np.uint8), "zyx", 1 << 14).shape
    (2, 90, 91)
    >>> crop(np.zeros((650_000, 2), np.int16), "tc", 1 << 14).shape
    (8192, 2)
    """
    return np.asarray(array[window(tuple(array.shape), axes, max_samples)], order="C")


def window(shape: tuple[int, ...], axes: str | None, max_samples: int) -> tuple[slice, ...]:
    """Slices of what `crop` takes."""
    if axes is not None and len(axes) != len(shape):
        raise ConfigError(f"axes {axes!r} name {len(axes)} dimensions, the array has {len(shape)}")
    inner, channels, geometry = _roles(shape, axes)
    sizes = list(shape)
    for d in channels:
        sizes[d] = min(sizes[d], _MAX_CHANNELS[geometry])
    counted = [d for d in range(len(shape)) if d not in inner and d not in channels]
    whole = math.prod(sizes[d] for d in (*inner, *channels))
    # Two planes at least, since one may refer to the other.
    room = max(2, max_samples // max(1, whole))
    for d in reversed(counted):
        sizes[d] = min(sizes[d], room)
        room = max(1, room // max(1, sizes[d]))
    others = math.prod(sizes[d] for d in range(len(shape)) if d not in inner)
    left = max(1, max_samples // max(1, others))
    if len(inner) == 2 and sizes[inner[0]] * sizes[inner[1]] > left:
        a, b = sizes[inner[0]], sizes[inner[1]]  # both are cut by the same share, if they can be
        rows = min(a, max(_MIN_SIDE, math.isqrt(left * a // b)))
        columns = min(b, max(_MIN_SIDE, left // rows))
        sizes[inner[0]], sizes[inner[1]] = min(a, max(1, left // columns)), columns
    elif len(inner) == 1:
        sizes[inner[0]] = min(sizes[inner[0]], left)
    return tuple(
        slice((n - size) // 2, (n - size) // 2 + size) for n, size in zip(shape, sizes, strict=True)
    )


def is_long(shape: tuple[int, ...]) -> bool:
    """Whether two dimensions without names are rather those of a recording than of a picture."""
    return len(shape) == 2 and max(shape) >= _LONG_RATIO * min(shape)


def _roles(shape: tuple[int, ...], axes: str | None) -> tuple[list[int], list[int], str]:
    """Dimensions that span planes or tracks, those that are channels, and the geometry."""
    dims = list(range(len(shape)))
    if axes is None and is_long(shape):
        return [int(shape[1] > shape[0])], [int(shape[1] <= shape[0])], "track"
    if axes is None:
        last = dims[-1:] if len(dims) > 2 and shape[-1] <= MAX_CHANNELS_LAST else []
        return dims[: len(dims) - len(last)][-2:], last, "plane"
    geometry = "plane" if "x" in axes else "track"
    letters = "yx" if geometry == "plane" else "t"
    inner = [axes.index(letter) for letter in letters if letter in axes]
    return inner, [d for d, letter in enumerate(axes) if letter == "c"], geometry
