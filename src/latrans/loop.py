"""Loop: bounded mode with the residual coder inside the quantiser's loop (FORMAT.md 6.5).

Quantising first and coding the integers without loss keeps the bound, but predictions then come
from coarse numbers.  Here values lie on a grid 17 times as fine; the coder predicts on that grid,
from what comes back, and codes differences in steps of 17, so that the error is at most 8.5 fine
units: the same bound.  It pays where several coarse cells span little change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import passes
from .arrange import Arrangement
from .axes import Layout
from .inversion import inverted
from .mapping import Mapping, on_grid
from .residual import coder
from .residual.backend import Backend
from .residual.coder import STEP, PlaneInfo
from .residual.fixed import Ints

Array = npt.NDArray[Any]
_TRIAL_ROWS = 64
_PRECISION = 512  # values of the dtype within the bound, at least
_SHARE = 8  # of values on it by chance, at most one in so many
_TRIAL_PLACES = (0.3, 0.7)
_NOISE_PARTS = (12, 40, 160)  # what comes back is rarely as noisy as white noise


def _offer(
    layout: Layout, planes: Array, max_error: float, fill_value: float | None
) -> Mapping | None:
    """The fine grid; None where it is not much coarser than the values' own precision."""
    if planes.dtype.kind != "f":
        return None
    seen = passes.extent(planes)
    largest = max(0.0, -seen.lo, seen.hi) if seen.wild < planes.size else 0.0
    with np.errstate(over="ignore"):
        # Of what comes back, to the dtype.
        rounding = float(np.spacing(planes.dtype.type(largest)))
    if not max_error > _PRECISION * rounding:
        return None
    # A grid that hangs on the bound alone: what is written again must find itself on it.
    return on_grid(layout, planes, max_error * (1 - 1 / _PRECISION) / STEP, fill_value)


def _came_back_before(planes: Array, grid: Mapping) -> bool:
    """Whether values lie exactly on a grid, where only earlier decoding can have put them.

    Parts of a chunk that is written again must not move another time, or errors add up; another
    grid would move them, and so would steps from other predictions.
    """
    if grid.step is not None:
        found = passes.compare(planes, grid.integers, grid.step, 0.0)
        return found.same * _SHARE > found.told
    restored = inverted(grid, grid.integers, planes.dtype)
    told = grid.integers != 0
    return int(((restored == planes) & told).sum()) * _SHARE > int(told.sum())


def code(
    backend: Backend,
    plan: Arrangement,
    layout: Layout,
    planes: Array,
    mapping: Mapping,
    max_error: float,
    fill_value: float | None,
) -> tuple[bytes, Mapping] | None:
    """Residual section and its mapping; None where quantising first, as `mapping` does, is better.

    The bound is checked with the decoder's own arithmetic.
    """
    if _came_back_before(planes, mapping):
        return None
    fine = _offer(layout, planes, max_error, fill_value)
    if fine is None:
        return None
    pieces = plan.cut(fine.integers)
    if _came_back_before(planes, fine):
        return coder.encode(backend, plan.infos, pieces, None, plan.horizon).section, fine
    first = _trial_bits(backend, plan, plan.cut(mapping.integers), 1, _NOISE_PARTS[0])
    trials = [_trial_bits(backend, plan, pieces, STEP, parts) for parts in _NOISE_PARTS]
    if min(trials) >= first:
        return None
    parts = _NOISE_PARTS[trials.index(min(trials))]
    encoded = coder.encode(backend, plan.infos, pieces, None, plan.horizon, STEP, parts)
    integers = plan.paste(encoded.planes)
    return (encoded.section, fine) if _is_held(planes, fine, integers, max_error) else None


def _is_held(planes: Array, fine: Mapping, integers: Array, max_error: float) -> bool:
    """Whether what comes back from the fine grid keeps the bound everywhere."""
    if fine.step is not None:
        narrow = integers.astype(np.int32, copy=False)
        return not passes.compare(planes, narrow, fine.step, max_error).missed
    restored = inverted(fine, integers, planes.dtype)
    with np.errstate(invalid="ignore"):
        error = np.abs(restored.astype(np.float64) - planes.astype(np.float64))
    held = (error <= max_error) | (restored == planes) | (np.isnan(restored) & np.isnan(planes))
    return bool(held.all())


def _trial_bits(
    backend: Backend, plan: Arrangement, pieces: Sequence[Ints], step: int, noise_parts: int
) -> int:
    """What pairs of neighbouring pieces of a chunk take, to compare one way with another."""
    chosen: list[Ints] = []
    infos: list[PlaneInfo] = []
    for i in sorted({j for at in _TRIAL_PLACES for j in _pair(len(pieces), at)}):
        info = plan.infos[i]
        rows = min(info.rows, _TRIAL_ROWS)
        top = (info.rows - rows) // 2
        n_samples = min(rows * info.columns, info.n_samples - top * info.columns)
        if n_samples <= 0:  # a track's last lanes may be empty
            top, n_samples = 0, min(rows * info.columns, info.n_samples)
        shape = (rows, info.columns, n_samples)
        alike = infos and (infos[-1].rows, infos[-1].columns, infos[-1].n_samples) == shape
        infos.append(PlaneInfo(*shape, candidates=((1,),) if alike else ()))
        chosen.append(np.ascontiguousarray(pieces[i][top : top + rows]))
    return len(coder.encode(backend, infos, chosen, None, 1, step, noise_parts).section)


def _pair(n: int, at: float) -> range:
    """A piece and the next one."""
    first = int(at * (n - 1))
    return range(first, min(first + 2, n))
