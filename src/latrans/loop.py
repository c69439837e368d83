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
    if _trial_bits(backend, plan, fine.integers, STEP) >= _trial_bits(
        backend, plan, mapping.integers, 1
    ):
        return None
    encoded = coder.encode(backend, plan.infos, plan.cut(fine.integers), None, plan.horizon, STEP)
    restored = fine.invert(plan.paste(encoded.planes), planes.dtype, approximate=False)
    with np.errstate(invalid="ignore"):
        error = np.abs(restored.astype(np.float64) - planes.astype(np.float64))
    held = (error <= max_error) | (restored == planes) | (np.isnan(restored) & np.isnan(planes))
    return (encoded.section, fine) if held.all() else None


def _trial_bits(backend: Backend, plan: Arrangement, integers: Ints, step: int) -> int:
    """What two neighbouring pieces of a chunk take, to compare one step with another."""
    pieces = plan.cut(integers)
    first = max(0, (len(pieces) - 1) // 2)
    chosen: list[Ints] = []
    infos: list[PlaneInfo] = []
    for i in range(first, min(first + 2, len(pieces))):
        info, piece = plan.infos[i], pieces[i]
        rows = min(info.rows, _TRIAL_ROWS)
        top = (info.rows - rows) // 2
        n_samples = min(rows * info.columns, info.n_samples - top * info.columns)
        if n_samples <= 0:
            top, n_samples = 0, min(rows * info.columns, info.n_samples)
        before = ((1,),) if infos and infos[0].rows == rows else ()
        infos.append(PlaneInfo(rows, info.columns, n_samples, before))
        chosen.append(np.ascontiguousarray(piece[top : top + rows]))
    if len(infos) == 2 and infos[0].n_samples != infos[1].n_samples:
        infos[1] = PlaneInfo(infos[1].rows, infos[1].columns, infos[1].n_samples)
    return 8 * len(coder.encode(backend, infos, chosen, None, 1, step).section)
