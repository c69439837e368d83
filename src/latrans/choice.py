"""Choice: the value map that promises the fewest bits, judged on small pieces.

What the residual coder will make of integers is guessed from how far each lies from what simple
predictors say.  Maps of the same values compare well by that; it is no estimate of sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import field
from .field import Mapped
from .maps import Lossless, Palette

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

_ROWS, _COLUMNS = 64, 256
_RUNS, _RUN = 4, 2048
_BLOCK = 32  # samples that share a scale
_PLANES = 3


def cheapest(values: Array) -> tuple[Lossless | None, float]:
    """The lossless map of finite values (planes, rows, columns), and the bits it promises."""
    maps = list(field.offers(values))
    pieces = [values[i] for i in _some(len(values), _PLANES)]
    piece = np.concatenate([_cut(p) for p in pieces])
    best, bits = None, float("inf")
    for map_ in maps:
        mapped = field.apply(map_, piece)
        cost = float("inf") if mapped is None else _cost(map_, mapped, values.size)
        if cost < bits:
            best, bits = map_, cost
    return best, bits


def _some(n: int, wanted: int) -> Sequence[int]:
    """Places of `wanted` out of n, evenly spread and away from the ends."""
    return sorted({(2 * i + 1) * n // (2 * wanted) for i in range(wanted)})


def _cut(plane: Array) -> Array:
    """A piece of a plane, or runs of a track, as (1, rows, columns) or (runs, 1, columns)."""
    rows, columns = plane.shape
    if rows == 1:
        width = min(columns, _RUN)
        starts = _some(columns - width + 1, _RUNS)
        return np.stack([plane[:, s : s + width] for s in starts])
    top, left = max(0, rows - _ROWS) // 2, max(0, columns - _COLUMNS) // 2
    return plane[None, top : top + _ROWS, left : left + _COLUMNS]


def _cost(map_: Lossless, mapped: Mapped, n_samples: int) -> float:
    share = n_samples / mapped.integers.size
    side = 8.0 * len(mapped.section)
    # A palette is as large for a piece as for the whole; lists of samples are not.
    side *= 1 if isinstance(map_, Palette) else share
    return side + share * promised(mapped.integers)


def promised(integers: Ints) -> float:
    """Bits that planes (planes, rows, columns) may take, from prediction by neighbours."""
    if integers.shape[1] > 1:
        west, north = integers[:, 1:, :-1], integers[:, :-1, 1:]
        plane = west + north - integers[:, :-1, :-1]
        low, high = np.minimum(west, north), np.maximum(west, north)
        rests = [integers[:, 1:, 1:] - np.clip(plane, low, high)]
    else:
        rests = [np.diff(integers, n, axis=2) for n in (1, 2)]
    return min(_spread(r) for r in rests) * integers.size


def _spread(rests: Ints) -> float:
    """Bits per sample of two-sided geometric variables, their scale known for each block."""
    flat = np.abs(rests.reshape(-1))
    if not flat.size:
        return 1.0
    means = np.add.reduceat(flat, np.arange(0, flat.size, _BLOCK)) / _BLOCK
    return float(np.log2(1 + 2 * np.e * means).mean())
