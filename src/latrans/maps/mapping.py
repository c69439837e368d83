"""Mapping: which value map each part of a chunk has, and the section that says so (FORMAT.md 5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from ..errors import CodecError
from ..format.axes import Layout
from ..format.varint import Reader, pack_varint
from . import mask as masks
from .mask import Mask

Array = npt.NDArray[Any]

_COLOUR, _PARTS, _AXES, _MASK = 1, 2, 4, 8  # FORMAT.md 5
EVERY_PLANE = 0  # instead of a counted dimension


@dataclass(frozen=True)
class Mapping:
    """Planes as integers, and what undoes it.

    Attributes
    ----------
    integers : (planes, rows, columns) int32 or a narrower type, for latents alone as the array has
        them; empty on the decoding side.
    sections : of maps, one for each of the groups.
    groups : which map each plane has.
    colour : whether each three planes are green, red - green, blue - green.
    mask : what the maps have not seen.
    axis : along which counted dimension (from 1) maps differ, or 0: every plane has its own.
    """

    integers: Array
    sections: tuple[bytes, ...]
    groups: npt.NDArray[np.int64]
    colour: bool = False
    mask: Mask | None = None
    axis: int = EVERY_PLANE

    @property
    def is_plain(self) -> bool:
        """Whether each value is the integer itself."""
        return self.sections == (b"",) and not self.colour and self.mask is None

    def section(self, axes: str) -> bytes:
        """The maps section; empty where everything is as expected."""
        parts = len(self.sections) > 1
        kind = self.colour * _COLOUR | parts * _PARTS | bool(axes) * _AXES | bool(self.mask) * _MASK
        if not kind and not self.sections[0]:
            return b""
        out = bytes((kind,))
        if axes:
            out += pack_varint(len(axes)) + axes.encode("ascii")
        if parts:
            out += pack_varint(self.axis)
        out += b"".join(pack_varint(len(s)) + s for s in self.sections)
        return out + (self.mask.write() if self.mask else b"")


def read_mapping(section: bytes, dtype: np.dtype[Any]) -> tuple[str, Callable[[Layout], Mapping]]:
    """Axes named in a maps section (or ""), and the mapping once the layout is known."""
    if not section:
        return "", lambda layout: Mapping(_none(), (b"",), np.zeros(layout.n_planes, np.int64))
    reader = Reader(section)
    kind = reader.byte()
    if kind & ~(_COLOUR | _PARTS | _AXES | _MASK):
        raise CodecError(f"frame is damaged: unknown maps section 0x{kind:02x}")
    named = ""
    if kind & _AXES:
        named = bytes(reader.take(reader.varint())).decode("ascii", "replace")

    def place(layout: Layout) -> Mapping:
        groups, axis = np.zeros(layout.n_planes, np.int64), EVERY_PLANE
        if kind & _PARTS:
            axis = reader.varint()
            if axis > len(layout.counts):
                raise CodecError(f"frame is damaged: maps differ along dimension {axis}")
            groups = groups_along(layout, axis)
        n_maps = int(groups.max(initial=0)) + 1
        if n_maps > reader.remaining:
            raise CodecError("frame is damaged: fewer value maps than parts of the chunk")
        sections = tuple(bytes(reader.take(reader.varint())) for _ in range(n_maps))
        mask = None
        if kind & _MASK:
            mask = masks.read(reader, (layout.n_planes, *layout.shape), dtype)
        if reader.remaining:
            raise CodecError("frame is damaged: bytes are left over in the maps section")
        if kind & _COLOUR and channels(layout) != 3:
            raise CodecError("frame is damaged: colour in a chunk without three channels")
        return Mapping(_none(), sections, groups, bool(kind & _COLOUR), mask, axis)

    return named, place


def channels(layout: Layout) -> int:
    """Size of the channel axis if it is the innermost one that counts planes, else 1."""
    inner = layout.axes[layout.order[len(layout.counts) - 1]] if layout.counts else ""
    return layout.counts[-1] if inner == "c" else 1


def groups_along(layout: Layout, axis: int) -> npt.NDArray[np.int64]:
    """Which map each plane has, where maps differ along a counted dimension (from 1)."""
    planes = np.arange(layout.n_planes)
    if axis == EVERY_PLANE:
        return planes
    inside = int(np.prod(layout.counts[axis:], dtype=np.int64))
    return planes // inside % layout.counts[axis - 1]


def members_of(groups: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """The planes of each group."""
    if len(groups) == 1:
        return [np.zeros(1, np.int64)]
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def _none() -> Ints:
    return np.zeros((0, 0, 0), np.int64)
