"""Closed loop: bounded mode with the residual coder inside the quantiser's loop (FORMAT.md 6.5).

Quantising first and coding the integers without loss keeps the bound, but predictions then come
from coarse numbers.  Here values lie on a grid 17 times as fine; the coder predicts on that grid,
from what comes back, and codes differences in steps of 17, so that the error is at most 8.5 fine
units: the same bound.  It pays where several coarse cells span little change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from ..format.axes import Layout
from ..maps import apply, kernels
from ..maps.inverse import inverted
from ..maps.mapping import Mapping
from ..missing.missing import Missing
from ..residual import coder
from ..residual.coder import STEP
from ..residual.piece_shape import PieceShape
from ..residual.plan_search import LARGE_SECTION
from ..residual.protocol import Backend
from .choose_map import on_grid
from .pieces import PieceLayout

Array = npt.NDArray[Any]
_TRIAL_ROWS = 64
_TRIAL_COLUMNS = 256  # of large planes
_HOPELESS = 32  # the middle noise is rarely so much of the bits worse than the best
_PRECISION = 512  # values of the dtype within the bound, at least
_SHARE = 8  # of values on it by chance, at most one in so many
_TRIAL_PLACES = (0.3, 0.7)
_NOISE_PARTS = (12, 40, 160)  # what comes back is rarely as noisy as white noise


def fine_grid(
    layout: Layout, planes: Array, max_error: float, fill_value: Missing | None
) -> Mapping | None:
    """The fine grid; None where it is not much coarser than the values' own precision."""
    if planes.dtype.kind != "f":
        return None
    seen = kernels.extent(planes)
    largest = max(0.0, -seen.lo, seen.hi) if seen.wild < planes.size else 0.0
    with np.errstate(over="ignore"):
        # Of what comes back, to the dtype.
        rounding = float(np.spacing(planes.dtype.type(largest)))
    if not max_error > _PRECISION * rounding:
        return None
    # A grid that hangs on the bound alone: what is written again must find itself on it.
    return on_grid(layout, planes, max_error * (1 - 1 / _PRECISION) / STEP, fill_value)


def _plain_grid(planes: Array, grid: Mapping) -> tuple[float, Ints] | None:
    """Step of a grid without a mask, and where it keeps exact values; None for other maps."""
    return None if grid.mask else apply.grid_of(grid.sections[0], planes.size, planes.dtype)


def _came_back_before(planes: Array, grid: Mapping) -> bool:
    """Whether values lie exactly on a grid, where only earlier decoding can have put them.

    Parts of a chunk that is written again must not move another time, or errors add up; another
    grid would move them, and so would steps from other predictions.
    """
    plain = _plain_grid(planes, grid)
    if plain is not None:
        step, exact = plain
        found = kernels.compare(planes, grid.integers, step, 0.0)
        same = found.same + int(np.count_nonzero(grid.integers.reshape(-1)[exact]))
        return same * _SHARE > found.told
    restored = inverted(grid, grid.integers, planes.dtype)
    told = grid.integers != 0
    return int(((restored == planes) & told).sum()) * _SHARE > int(told.sum())


def encode_closed_loop(
    backend: Backend,
    plan: PieceLayout,
    layout: Layout,
    planes: Array,
    mapping: Mapping,
    max_error: float,
    fill_value: Missing | None,
) -> tuple[bytes, Mapping] | None:
    """Residual section and its mapping; None where quantising first, as `mapping` does, is better.

    The mapping's integers are those that come back.  The bound is checked with the decoder's own
    arithmetic.
    """
    if _came_back_before(planes, mapping):
        return None
    fine = fine_grid(layout, planes, max_error, fill_value)
    if fine is None:
        return None
    pieces = plan.cut(fine.integers)
    if _came_back_before(planes, fine):
        return coder.encode(
            backend, plan.infos, pieces, None, plan.max_reference_distance
        ).section, fine
    coarse = plan.cut(mapping.integers)
    parts = _noise_parts(backend, plan, coarse, pieces)
    if parts is None:
        return None
    encoded = coder.encode(
        backend, plan.infos, pieces, None, plan.max_reference_distance, STEP, parts
    )
    integers = plan.paste(encoded.planes)
    if not _is_held(planes, fine, integers, max_error):
        return None
    return encoded.section, replace(fine, integers=integers)


def _noise_parts(
    backend: Backend, plan: PieceLayout, coarse: Sequence[Ints], fine: Sequence[Ints]
) -> int | None:
    """How noisy what comes back is taken to be; None where quantising first takes less."""
    first, _ = _trial_bits(backend, plan, coarse, 1, _NOISE_PARTS[0])
    if sum(info.n_samples for info in plan.infos) <= LARGE_SECTION:
        trials = [_trial_bits(backend, plan, fine, STEP, parts)[0] for parts in _NOISE_PARTS]
        return None if min(trials) >= first else _NOISE_PARTS[trials.index(min(trials))]
    # Of large arrays no more noises than show which way is down, and with the same experts.
    most, middle, least = _NOISE_PARTS
    between, experts = _trial_bits(backend, plan, fine, STEP, middle)
    if between > first + first // _HOPELESS:
        return None
    best, parts = between, middle
    for other in (least, most):
        bits, _ = _trial_bits(backend, plan, fine, STEP, other, experts)
        if bits < best:
            best, parts = bits, other
            break
    return parts if best < first else None


def _is_held(planes: Array, fine: Mapping, integers: Array, max_error: float) -> bool:
    """Whether what comes back from the fine grid keeps the bound everywhere."""
    plain = _plain_grid(planes, fine)
    narrow = integers.astype(np.int32, copy=False)
    if plain is not None and not kernels.compare(planes, narrow, plain[0], max_error).missed:
        return True
    restored = inverted(fine, integers, planes.dtype)
    with np.errstate(invalid="ignore"):
        error = np.abs(restored.astype(np.float64) - planes.astype(np.float64))
    held = (error <= max_error) | (restored == planes) | (np.isnan(restored) & np.isnan(planes))
    return bool(held.all())


def _trial_bits(
    backend: Backend,
    plan: PieceLayout,
    pieces: Sequence[Ints],
    step: int,
    noise_parts: int,
    experts: Sequence[int] | None = None,
) -> tuple[int, Sequence[int] | None]:
    """What pairs of neighbouring pieces of a chunk take, to compare one way with another.

    With the experts that code them where they are told, which may be given.
    """
    chosen: list[Ints] = []
    infos: list[PieceShape] = []
    for i in sorted({j for at in _TRIAL_PLACES for j in _pair(len(pieces), at)}):
        info = plan.infos[i]
        rows, columns = min(info.rows, _TRIAL_ROWS), info.columns
        if backend.predictor.geometry.is_plane and info.n_samples > LARGE_SECTION:
            columns = min(columns, _TRIAL_COLUMNS)
        top = (info.rows - rows) // 2
        left = (info.columns - columns) // 2
        n_samples = min(rows * columns, info.n_samples - top * columns)
        if n_samples <= 0:  # a track's last lanes may be empty
            top, n_samples = 0, min(rows * columns, info.n_samples)
        shape = (rows, columns, n_samples)
        alike = infos and (infos[-1].rows, infos[-1].columns, infos[-1].n_samples) == shape
        infos.append(PieceShape(*shape, candidates=((1,),) if alike else ()))
        chosen.append(np.ascontiguousarray(pieces[i][top : top + rows, left : left + columns]))
    encoded = coder.encode(backend, infos, chosen, None, 1, step, noise_parts, experts)
    return len(encoded.section), encoded.experts


def _pair(n: int, at: float) -> range:
    """A piece and the next one."""
    first = int(at * (n - 1))
    return range(first, min(first + 2, n))
