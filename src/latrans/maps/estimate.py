"""Estimate: the value map that promises the fewest bits, judged on small pieces.

What the residual coder will make of integers is guessed from how far each lies from what simple
predictors say.  Maps of the same values compare well by that; it is no estimate of sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import apply, kernels
from .base import Identity, Lossless, Stored
from .kernels import GROUP

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

_ROWS, _COLUMNS = 64, 96
_RUNS, _RUN = 4, 2048
_PLANES = 12
_LITTLE = 0.06  # bits per sample
WHOLE = 1 << 18  # samples; of more, some stand for all
_BAND = 16
_FEW_PLANES = 3
_NEAR = 1.1


@dataclass(frozen=True)
class CostEstimate:
    """What a map costs: bits once, and bits per sample."""

    map_: Lossless | None
    once: float
    rate: float

    def bits(self, n_samples: float) -> float:
        return self.once + self.rate * n_samples


def sampled(n_planes: int) -> Ints:
    """The planes to judge by: the same ones for all that is to be compared."""
    return np.array(_some(n_planes, _PLANES))


def cheapest(values: Array, judged: Ints | None = None, rated: bool = True) -> CostEstimate:
    """The lossless map of finite values (planes, rows, columns) that promises the fewest bits.

    What no map suits is stored.  `judged` are the planes to judge by, a few of all by default.
    Unless it shall be `rated`, the identity that has no rival is not.
    """
    maps = list(apply.candidate_maps(values)) or [Stored()]
    if not rated and len(maps) == 1 and isinstance(maps[0], Identity):
        return CostEstimate(maps[0], 0.0, 0.0)
    chosen = sampled(len(values)) if judged is None else judged
    piece = np.concatenate([_cut(values[i]) for i in chosen])
    best = CostEstimate(None, 0.0, float("inf"))
    for map_ in maps:
        promise = _promise(map_, piece)
        # Simple maps come first; others must be clearly better.
        if promise.bits(values.size) < best.bits(values.size) - _LITTLE * values.size:
            best = promise
    return best


def _promise(map_: Lossless, piece: Array) -> CostEstimate:
    mapped = apply.apply(map_, piece)
    if mapped is None:
        return CostEstimate(None, 0.0, float("inf"))
    once = 8.0 * (1 + len(map_.write()))
    lists = max(0.0, 8.0 * len(mapped.section) - once)
    return CostEstimate(map_, once, (lists + estimate_bits(mapped.integers)) / piece.size)


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


def estimate_bits(integers: Array) -> float:
    """Bits that planes (planes, rows, columns) may take, from prediction by neighbours.

    Each block of samples takes the best of some fixed predictors, as a fitted one would be.
    """
    misses = kernels.misses(integers)
    if not misses.size:
        return float(integers.size)
    # Two-sided geometric variables of known mean magnitude.
    return float(np.log2(1 + 2 * np.e * (misses / GROUP)).mean()) * integers.size


def bands(planes: Array, together: int = 1) -> Array:
    """Some rows of some planes, to judge many samples by; all where there are few.

    So many planes `together` stay next to each other.
    """
    n, rows, columns = planes.shape
    if planes.size <= WHOLE:
        return planes
    groups = sampled(n // together) * together
    chosen = (groups[:, None] + np.arange(together)).reshape(-1)
    wanted = max(1, WHOLE // (len(chosen) * columns * _BAND))
    if wanted * _BAND >= rows:
        return planes[chosen]
    tops = _some(rows - _BAND + 1, wanted)
    return np.concatenate([planes[chosen, top : top + _BAND] for top in tops])


def cheaper_lossless_map(values: Array, integers: Array, once: float) -> CostEstimate | None:
    """The lossless map that promises fewer bits than `integers`, the values on a grid; if any.

    `once` is what the grid's own map takes.
    """
    if values.size > WHOLE and not _may_be_cheaper(values, integers):
        return None
    part = bands(integers)
    grid = once + estimate_bits(part) * (integers.size / part.size)
    exactly = cheapest(values)
    return exactly if exactly.bits(values.size) < grid else None


def _may_be_cheaper(values: Array, integers: Array) -> bool:
    """A first look for `cheaper_lossless_map`, at a few pieces."""
    chosen = sampled(len(values))[:: _PLANES // _FEW_PLANES]
    pieces = [_cut(values[i]) for i in chosen], [_cut(integers[i]) for i in chosen]
    piece, on_grid = (np.concatenate(p) for p in pieces)
    distinct = np.unique(piece)
    if 4 * distinct.size > piece.size:
        # Most samples differ within a cell of the grid: no map of the values is as coarse.
        cells = np.unique(on_grid).size
        if 2 * cells < distinct.size:
            return False
    return cheapest(piece).rate <= _NEAR * estimate_bits(on_grid) / piece.size
