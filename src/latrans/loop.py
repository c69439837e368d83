"""Loop: bounded mode with the residual coder inside the quantiser's loop (FORMAT.md 6.5).

Quantising first and coding the integers without loss keeps the bound, but predictions then come
from coarse numbers.  Here values lie on a grid 17 times as fine; the coder predicts on that grid,
from what comes back, and codes differences in steps of 17, so that the error is at most 8.5 fine
units: the same bound.  It pays where several coarse cells span little change.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .arrange import Arrangement
from .axes import Layout
from .mapping import Mapping, on_grid
from .residual import coder
from .residual.backend import Backend
from .residual.coder import STEP, PlaneInfo
from .residual.fixed import Ints

Array = npt.NDArray[Any]
_TRIAL_ROWS = 64
_TRIAL_PLACES = (0.3, 0.7)
_NOISE_PARTS = (12, 40, 160)  # what comes back is rarely as noisy as white noise


def _offer(
    layout: Layout, planes: Array, max_error: float, fill_value: float | None
) -> Mapping | None:
    """The fine grid; None where the values' own precision is too close to the bound."""
    # What comes back is rounded to the dtype once more.
    rounding = 0.0
    if planes.dtype.kind == "f":
        finite = np.abs(planes[np.isfinite(planes)])
        with np.errstate(over="ignore"):
            rounding = float(np.spacing(finite.max(initial=0)))
    if max_error <= 2 * rounding:
        return None
    return on_grid(layout, planes, (max_error - rounding) / STEP, fill_value)


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
    fine = _offer(layout, planes, max_error, fill_value)
    if fine is None:
        return None
    first = _trial_bits(backend, plan, mapping.integers, 1, _NOISE_PARTS[0])
    trials = [_trial_bits(backend, plan, fine.integers, STEP, parts) for parts in _NOISE_PARTS]
    if min(trials) >= first:
        return None
    parts = _NOISE_PARTS[trials.index(min(trials))]
    pieces = plan.cut(fine.integers)
    encoded = coder.encode(backend, plan.infos, pieces, None, plan.horizon, STEP, parts)
    restored = fine.invert(plan.paste(encoded.planes), planes.dtype, approximate=False)
    with np.errstate(invalid="ignore"):
        error = np.abs(restored.astype(np.float64) - planes.astype(np.float64))
    held = (error <= max_error) | (restored == planes) | (np.isnan(restored) & np.isnan(planes))
    return (encoded.section, fine) if held.all() else None


def _trial_bits(
    backend: Backend, plan: Arrangement, integers: Ints, step: int, noise_parts: int
) -> int:
    """What pairs of neighbouring pieces of a chunk take, to compare one way with another."""
    pieces = plan.cut(integers)
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
