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
from .maps import Lossless, Stored

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

_ROWS, _COLUMNS = 64, 96
_RUNS, _RUN = 4, 2048
_BLOCK = 32  # samples that share a scale
_PLANES = 12
_LITTLE = 0.06  # bits per sample


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

    What no map suits is stored.  `judged` are the planes to judge by, a few of all by default.
    """
    maps = list(field.offers(values)) or [Stored()]
    chosen = sampled(len(values)) if judged is None else judged
    piece = np.concatenate([_cut(values[i]) for i in chosen])
    best = Promise(None, 0.0, float("inf"))
    for map_ in maps:
        promise = _promise(map_, piece)
        # Simple maps come first; others must be clearly better.
        if promise.bits(values.size) < best.bits(values.size) - _LITTLE * values.size:
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
        # Runs that overlap would look repetitive.
        starts = _some(columns - width + 1, min(_RUNS, columns // width))
        return np.stack([plane[:, s : s + width] for s in starts])
    top, left = max(0, rows - _ROWS) // 2, max(0, columns - _COLUMNS) // 2
    return plane[None, top : top + _ROWS, left : left + _COLUMNS]


def promised(integers: Ints) -> float:
    """Bits that planes (planes, rows, columns) may take, from prediction by neighbours.

    Each block of samples takes the best of some fixed predictors, as a fitted one would be.
    """
    if integers.shape[1] > 2 and integers.shape[2] > 2:
        west, north = integers[:, 2:, 1:-1], integers[:, 1:-1, 2:]
        low, high = np.minimum(west, north), np.maximum(west, north)
        slope = west + north - integers[:, 1:-1, 1:-1]
        across = np.diff(integers, 2, axis=2)
        rests = [
            integers[:, 2:, 2:] - np.clip(slope, low, high),
            integers[:, 2:, 2:] - slope,
            across[:, 2:],
            np.diff(across, 1, axis=1)[:, 1:],
            np.diff(across, 2, axis=1),
        ]
    else:
        rests = [np.diff(integers, n, axis=2)[..., 3 - n :] for n in (1, 2, 3)]
    if not rests[0].size:
        return float(integers.size)
    starts = np.arange(0, rests[0].size, _BLOCK)
    means = [np.add.reduceat(np.abs(r).reshape(-1), starts) / _BLOCK for r in rests]
    # Two-sided geometric variables of known mean magnitude.
    return float(np.log2(1 + 2 * np.e * np.min(means, axis=0)).mean()) * integers.size
