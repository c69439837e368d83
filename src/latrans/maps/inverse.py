"""Inverse: decoded pieces to the values of a chunk, each as it comes (FORMAT.md 5)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import mask as masks
from .apply import Inverse
from .mapping import Mapping, members_of

Array = npt.NDArray[Any]

_PIECE = 1 << 15  # samples that stay in the cache


class Inversion:
    """Planes of values, filled piece after piece.

    Integers are turned at once where a value hangs on its integer alone; those of other maps are
    kept until all of the map's are there.

    Parameters
    ----------
    mapping : what the integers were made by; its own integers are not looked at.
    shape : (planes, rows, columns)
    dtype : of the values.
    approximate : integers are those of a reconstruction, and are brought into range.
    """

    def __init__(
        self,
        mapping: Mapping,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        approximate: bool = False,
    ) -> None:
        self._mapping = mapping
        self._members = members_of(mapping.groups)
        size = shape[1] * shape[2]
        self._inverses = [
            Inverse(section, dtype, len(members) * size, approximate)
            for section, members in zip(mapping.sections, self._members, strict=True)
        ]
        self._out = np.empty(shape, self._inverses[0].dtype)
        self._ranks = np.empty(shape[0], np.int64)
        for members in self._members:
            self._ranks[members] = np.arange(len(members))
        self._kept: dict[int, Array] = {}
        self._colours: list[tuple[int, int, Array]] = []

    def put(self, plane: int, start: int, integers: Array) -> None:
        """Integers of a plane from its sample `start` on; three colours follow each other."""
        run = integers.reshape(-1)
        if not self._mapping.colour:
            self._turn(plane, start, run)
            return
        self._colours.append((plane, start, run))
        if len(self._colours) == 3:
            (i, start, green), (j, _, red), (k, _, blue) = self._colours
            self._colours.clear()
            for at in range(0, green.size, _PIECE):
                here = slice(at, at + _PIECE)
                self._turn(i, start + at, np.add(red[here], green[here], dtype=np.int64))
                self._turn(j, start + at, green[here])
                self._turn(k, start + at, np.add(blue[here], green[here], dtype=np.int64))

    def _turn(self, plane: int, start: int, run: Array) -> None:
        group = int(self._mapping.groups[plane])
        inverse, size = self._inverses[group], self._out[0].size
        if inverse.pointwise:
            inverse.into(run, self._out[plane].reshape(-1)[start : start + run.size])
            return
        if run.size == self._out.size:  # nothing else is waited for
            inverse.into(run, self._out.reshape(-1))
            return
        if group not in self._kept:
            self._kept[group] = np.empty(len(self._members[group]) * size, np.int64)
        first = int(self._ranks[plane]) * size + start
        self._kept[group][first : first + run.size] = run

    def finish(self) -> Array:
        """The planes, once every piece was put."""
        for group, (inverse, members) in enumerate(zip(self._inverses, self._members, strict=True)):
            whole = len(members) == len(self._out)
            if not inverse.pointwise and group in self._kept:
                kept = self._kept.pop(group).reshape(-1, *self._out.shape[1:])
                part = np.empty(kept.shape, self._out.dtype)
                inverse.into(kept, part)
                self._out[members] = part
            if inverse.has_exceptions:
                part = self._out if whole else self._out[members]
                inverse.finish(part)
                self._out[members] = part
        if self._mapping.mask is not None:
            masks.restore(self._out, self._mapping.mask)
        return self._out


def inverted(
    mapping: Mapping, integers: Array, dtype: np.dtype[Any], approximate: bool = False
) -> Array:
    """Values of whole planes of integers."""
    planes, rows, columns = integers.shape
    inversion = Inversion(mapping, (planes, rows, columns), dtype, approximate)
    for plane, part in enumerate(integers):
        inversion.put(plane, 0, part)
    return inversion.finish()
