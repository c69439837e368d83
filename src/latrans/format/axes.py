"""Axes: from an array of any shape to an ordered list of planes or tracks (FORMAT.md section 4).

One letter per dimension: `y` `x` spatial, `t` time, `z` depth, `c` channel or band, `n`
independent items.  In the plane geometry `y` and `x` span a plane and `z`, `t`, `c` order the
planes; in the track geometry `t` runs along a track and `c` orders the tracks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CodecError, ConfigError

LETTERS = "ntzcyx"
MAX_CHANNELS_LAST = 4
_REACH, _CHANNEL_REACH = 2, 8
_REMEMBERED = 256


@dataclass(frozen=True)
class Layout:
    """How the items of an array become planes.

    Attributes
    ----------
    axes : str
        One letter per dimension of the array.
    order : tuple of int
        Dimensions in coding order: those that count planes, then rows and columns (plane) or
        time (track).
    counts : tuple of int
        Sizes of the dimensions that count planes; `ordered` says which of them are ordered.
    shape : (rows, columns) of a plane, (1, samples) of a track.
    """

    axes: str
    order: tuple[int, ...]
    counts: tuple[int, ...]
    ordered: tuple[bool, ...]
    shape: tuple[int, int]

    @cached_property
    def n_planes(self) -> int:
        return math.prod(self.counts)

    def split(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The planes of an array, (planes, rows, columns), contiguous."""
        return np.ascontiguousarray(array.transpose(self.order)).reshape(-1, *self.shape)

    def join(self, planes: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Inverse of `split`."""
        moved = planes.reshape(tuple(shape[d] for d in self.order))
        return np.ascontiguousarray(moved.transpose(self._back))

    @cached_property
    def _back(self) -> tuple[int, ...]:
        """The dimensions of `order`, as they were."""
        return tuple(sorted(range(len(self.order)), key=self.order.__getitem__))

    def neighbours(self, index: int) -> list[list[int]]:
        """Distances back to earlier planes along each ordered dimension, nearest first.

        Up to two back in depth and time, up to eight channels or bands.
        """
        distances = []
        for stride, size, reach in self._ordered_strides():
            before = min(index // stride % size, reach)
            if before:
                distances.append([stride * (1 + i) for i in range(before)])
        return distances

    @cached_property
    def max_reference_distance(self) -> int:
        """How far back any plane may refer."""
        reaches = [stride * min(reach, size - 1) for stride, size, reach in self._ordered_strides()]
        return max(reaches, default=0)

    def _ordered_strides(self) -> list[tuple[int, int, int]]:
        """(stride, size, reach) of each ordered dimension of planes, innermost first."""
        out, stride = [], 1
        for dimension in range(len(self.counts) - 1, -1, -1):
            size = self.counts[dimension]
            if self.ordered[dimension] and size > 1:
                channels = self.axes[self.order[dimension]] == "c"
                out.append((stride, size, _CHANNEL_REACH if channels else _REACH))
            stride *= size
        return out


def named(axes: Any) -> str | None:
    """Axes as somebody gave them, whatever array they are for; `ConfigError` unless a string."""
    if axes is None or isinstance(axes, str):
        return axes
    raise ConfigError(f"axes is {axes!r}; expected a string such as 'yx', or None")


def follow(axes: str, before: tuple[int, ...], shape: tuple[int, ...]) -> str | None:
    """Axes of an array of shape `before`, for one that was made of it by transposing or selecting.

    Letters go where sizes have gone: nothing else is known of the dimensions.  They stay where
    sizes are others (a part of the array, a chunk, a longer array).

    Returns
    -------
    str or None
        None where the dimension is gone that planes or tracks cannot be without.

    Examples
    --------
    >>> follow("tyx", (730, 180, 360), (180, 360, 730))  # transposed
    'yxt'
    >>> follow("tyx", (730, 180, 360), (180, 360)), follow("yx", (180, 360), (1, 180, 360))
    ('yx', 'nyx')
    >>> follow("tyx", (730, 180, 360), (1460, 180, 360)), follow("tyx", (9, 8, 7), (9, 56))
    ('tyx', None)
    """
    if len(axes) != len(before):  # a virtual array
        return axes if len(shape) in (len(axes), len(before)) else None
    if len(shape) == len(before) and sorted(shape) != sorted(before):
        return axes
    left = list(range(len(before)))
    found = ["n"] * len(shape)
    # Equal sizes keep their order; dimensions are added and taken away in front.
    for i in reversed(range(len(shape))):
        match = next((d for d in reversed(left) if before[d] == shape[i]), None)
        if match is not None:
            left.remove(match)
            found[i] = axes[match]
    needed = "x" if "x" in axes else "t"
    return "".join(found) if needed in found else None


def around_ones(axes: str, shape: tuple[int, ...]) -> str | None:
    """Axes for a chunk that has more dimensions than `axes`, if those more are of length 1.

    Examples
    --------
    >>> around_ones("yx", (1, 8, 8)), around_ones("yx", (4, 8, 8))
    ('nyx', None)
    """
    spare = len(shape) - len(axes)
    found = ""
    for size in shape:
        is_spare = spare > 0 and size == 1
        found += "n" if is_spare else axes[:1]
        spare, axes = (spare - 1, axes) if is_spare else (spare, axes[1:])
    return found if not spare and not axes else None


# Chunks of one shape come in thousands.
@lru_cache(_REMEMBERED)
def check(axes: str, ndim: int, geometry: str) -> str:
    """Return `axes` if it fits, else raise `ConfigError`."""
    needed = "x" if geometry == "plane" else "t"
    if len(axes) != ndim:
        raise ConfigError(f"axes {axes!r} name {len(axes)} dimensions, the array has {ndim}")
    unknown = sorted(set(axes) - set(LETTERS))
    if unknown:
        raise ConfigError(f"axes {axes!r} have unknown letters {unknown}; known are {LETTERS!r}")
    if any(axes.count(letter) != 1 for letter in needed):
        raise ConfigError(f"axes {axes!r} do not suit this model: it needs {needed!r} once")
    if any(axes.count(letter) > 1 for letter in "tzcy"):
        raise ConfigError(f"axes {axes!r} repeat a letter; only 'n' may appear more than once")
    return axes


@lru_cache(_REMEMBERED)
def default(contract: str, shape: tuple[int, ...], geometry: str) -> str:
    """Axes of an array that came without: the contract's letters last, `n` before them.

    Two shapes are recognised: up to four channels last in an image, and channels in a recording
    of two dimensions (the shorter one).
    """
    ndim = len(shape)
    if geometry == "track":
        if ndim == 2:
            return "tc" if shape[0] > shape[1] else "ct"
        return "n" * (ndim - 1) + "t"
    if contract.endswith("c") and shape[-1:] > (MAX_CHANNELS_LAST,):
        contract = contract[:-1]  # these are no colours
    if ndim >= 3 and contract == "yx" and shape[-1] <= MAX_CHANNELS_LAST < min(shape[-3:-1]):
        return "n" * (ndim - 3) + "yxc"
    if ndim >= len(contract):
        return "n" * (ndim - len(contract)) + contract
    spatial = contract.translate(str.maketrans("", "", "nzc"))
    return spatial[max(0, len(spatial) - ndim) :].rjust(ndim, "n")


def of_parts(axes: str) -> str:
    """Axes of a complex array's parts, which are its last dimension, from those of the array."""
    return axes + ("n" if "c" in axes else "c")  # FORMAT.md 4.1


@lru_cache(_REMEMBERED)
def layout(axes: str, shape: tuple[int, ...], geometry: str) -> Layout:
    """Arrange an array of `shape`; `axes` must have passed `check`."""
    inner = [axes.index(a) for a in ("yx" if geometry == "plane" else "t") if a in axes]
    outer = [d for d in range(len(axes)) if d not in inner]
    # Independent items outermost, so that references stay close.
    outer = [d for d in outer if axes[d] == "n"] + [d for d in outer if axes[d] != "n"]
    sizes = [shape[d] for d in inner]
    return Layout(
        axes=axes,
        order=(*outer, *inner),
        counts=tuple(shape[d] for d in outer),
        ordered=tuple(axes[d] != "n" for d in outer),
        shape=(sizes[0], sizes[1]) if len(sizes) == 2 else (1, sizes[0]),
    )


def checked_from_frame(axes: str, ndim: int, geometry: str) -> str:
    """`check` for axes that came out of a frame."""
    try:
        return check(axes, ndim, geometry)
    except ConfigError as error:
        raise CodecError(f"frame is damaged: {error}") from error
