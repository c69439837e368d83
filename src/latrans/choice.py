"""Choice: the value map that promises the fewest bits, judged on small pieces.

What the residual coder will make of integers is guessed from how far each lies from what simple
predictors say.  Maps of the same values compare well by that; it is no estimate of sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import field
from .maps import Lossless

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

_ROWS, _COLUMNS = 64, 128
_RUNS, _RUN = 4, 2048
_BLOCK = 32  # samples that share a scale
_PLANES = 16


@dataclass(frozen=True)
class Promise:
    """What a map costs: bits once, and bits per sample."""

    map_: Lossless | None
    once: float
    rate: float

    def bits(self, n_samples: float) -> float:
        return self.once + self.rate * n_samples


def sampled(n_planes: int) -> Ints:
    """The planes to judge by: the same ones for all that is to be compared."""
    return np.array(_some(n_planes, _PLANES))


def cheapest(values: Array, judged: Ints | None = None) -> Promise:
    """The lossless map of finite values (planes, rows, columns) that promises the fewest bits.

    `judged` are the planes to judge by, a few of all by default.
    """
    maps = list(field.offers(values))
    chosen = sampled(len(values)) if judged is None else judged
    piece = np.concatenate([_cut(values[i]) for i in chosen])
    best = Promise(None, 0.0, float("inf"))
    for map_ in maps:
        promise = _promise(map_, piece)
        if promise.bits(values.size) < best.bits(values.size):
            best = promise
    return best


def _promise(map_: Lossless, piece: Array) -> Promise:
    mapped = field.apply(map_, piece)
    if mapped is None:
        return Promise(None, 0.0, float("inf"))
    once = 8.0 * (1 + len(map_.write()))
    lists = max(0.0, 8.0 * len(mapped.section) - once)
    return Promise(map_, once, (lists + promised(mapped.integers)) / piece.size)


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
