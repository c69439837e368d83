"""The mapping that an encoder chooses: the value maps that promise the fewest bits.

A chunk has one map, or one per index of a dimension or per plane where that is cheaper.  Three
colours may be stored as green and differences to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..format.axes import Layout
from ..maps import apply, kernels
from ..maps import mask as masks
from ..maps.base import Lossless, Stored
from ..maps.estimate import bands, cheaper_lossless_map, cheapest, estimate_bits, sampled
from ..maps.mapping import EVERY_PLANE, Array, Mapping, channels, groups_along, members_of
from ..maps.mask import Mask
from ..missing.missing import Missing
from ..models.model import Model

_MAX_PARTS = 4096
_MIN_PART = 64  # samples; smaller parts cannot pay for a map
_MAP_NBYTES = 2  # what one more map costs beside its section
_CLEARLY = 0.99  # parts that differ little predict each other better alike
_LOSSY_STEPS = 1 << 14


def choose(
    model: Model,
    layout: Layout,
    planes: Array,
    max_error: float | None,
    fill_value: Missing | None,
) -> Mapping | None:
    """The mapping of planes (planes, rows, columns) that promises the fewest bits."""
    auto = model.autoencoder
    if auto is not None and auto.normalise == "identity":
        return Mapping(planes, (b"",), _whole(planes))
    if max_error is not None:
        return _bounded(layout, planes, max_error, fill_value)
    mask = _find(layout, planes, fill_value, True)
    whole = cheapest(masks.hide(planes, mask), rated=False)
    stored, best = isinstance(whole.map_, Stored), None
    tried = planes.dtype.kind == "f" or stored
    parts = _parts(layout, planes, mask, whole.bits(planes.size)) if tried else None
    if parts is not None:
        if all(isinstance(map_, Stored) for map_ in parts[0]):
            return None
        best = _applied(planes, *parts, mask)
    if best is None:
        if stored:
            return None  # the fallback does the same with less around it
        best = _applied(planes, [whole.map_], 0, _whole(planes), mask)
        if not tried and best is not None and best.sections[0]:
            parts = _parts(layout, planes, mask, whole.bits(planes.size))
            best = (_applied(planes, *parts, mask) if parts is not None else None) or best
    if best is None or all(map(apply.is_stored, best.sections)):
        return None
    if channels(layout) == 3 and not any(best.sections):
        return _with_colour(best)
    return best


def _bounded(
    layout: Layout, planes: Array, max_error: float, fill_value: Missing | None
) -> Mapping | None:
    """Multiples of a step, or ranks among few distinct values where these cost less."""
    mask = _find(layout, planes, fill_value, False)
    shown = masks.hide(planes, mask)
    grid = _quantised(planes, shown, mask, max_error)
    if grid is None:
        return None
    if planes.dtype.kind == "f" and kernels.extent(shown).zeros:
        mask = _find(layout, planes, fill_value, True)  # negative zeros count exactly
        shown = masks.hide(planes, mask)
    exactly = cheaper_lossless_map(shown, grid.integers, 8.0 * len(grid.sections[0]))
    if exactly is not None and not isinstance(exactly.map_, Stored):
        exact = _applied(planes, [exactly.map_], 0, _whole(planes), mask)
        if exact is not None:
            return exact
    return grid


def on_grid(
    layout: Layout, planes: Array, max_error: float, fill_value: Missing | None
) -> Mapping | None:
    """Multiples of a step that miss no value by more than `max_error`."""
    mask = _find(layout, planes, fill_value, False)
    return _quantised(planes, masks.hide(planes, mask), mask, max_error)


def _quantised(planes: Array, shown: Array, mask: Mask | None, max_error: float) -> Mapping | None:
    mapped = apply.quantised(shown, max_error)
    if mapped is None:
        return None
    return Mapping(mapped.integers, (mapped.section,), _whole(planes), mask=mask)


def lossy_mapping(layout: Layout, planes: Array, fill_value: Missing | None) -> Mapping | None:
    """The mapping for latents alone: floats get a step far below what latents can show."""
    mask = _find(layout, planes, fill_value, False)
    shown = masks.hide(planes, mask)
    if planes.dtype.kind in "iu":
        if apply.is_identity(shown):
            return Mapping(shown, (b"",), _whole(planes), mask=mask)
        plain = next(apply.lossless(shown, None), None)
        if plain is None:
            return None
        return Mapping(plain.integers, (plain.section,), _whole(planes), mask=mask)
    step = (float(shown.max()) - float(shown.min())) / _LOSSY_STEPS
    return on_grid(layout, planes, step, fill_value) if step > 0 else None


def _parts(
    layout: Layout, planes: Array, mask: Mask | None, bits: float
) -> tuple[list[Lossless | None], int, npt.NDArray[np.int64]] | None:
    """Maps of parts, where these take clearly less than `bits`; with their axis and groups."""
    axis = _best_axis(layout, planes, mask, bits)
    if axis is None:
        return None
    groups = groups_along(layout, axis)
    return [cheapest(_hidden(planes, mask, m)).map_ for m in members_of(groups)], axis, groups


def _best_axis(layout: Layout, planes: Array, mask: Mask | None, bits: float) -> int | None:
    """Along which dimension maps should differ to take clearly less than `bits`, if any."""
    judged = sampled(len(planes))
    best = None
    for axis in _axes_worth_trying(layout, planes):
        groups, once, rate = groups_along(layout, axis), [], []
        for members in members_of(groups):
            mine = np.flatnonzero(np.isin(members, judged))
            if mine.size:
                promise = cheapest(_hidden(planes, mask, members), mine)
                once.append(promise.once + 8 * _MAP_NBYTES)
                rate.append(promise.rate * mine.size)
        n_maps = int(groups.max()) + 1
        total = float(np.mean(once)) * n_maps + sum(rate) / judged.size * planes.size
        if total < _CLEARLY * bits:
            best, bits = axis, total
    return best


def _applied(
    planes: Array,
    maps: Sequence[Lossless | None],
    axis: int,
    groups: npt.NDArray[np.int64],
    mask: Mask | None,
) -> Mapping | None:
    """The mapping by given maps, one per group; None where one of them does not suit."""
    parts, sections = [], []
    for map_, members in zip(maps, members_of(groups), strict=True):
        if map_ is None:
            return None
        mapped = apply.apply(map_, _hidden(planes, mask, members))
        if mapped is None:
            return None
        parts.append(mapped.integers)
        sections.append(mapped.section)
    integers = parts[0]
    if len(parts) > 1:
        integers = np.empty(planes.shape, np.result_type(*{p.dtype for p in parts}))
        for part, members in zip(parts, members_of(groups), strict=True):
            integers[members] = part
    return Mapping(integers, tuple(sections), groups, mask=mask, axis=axis)


def _hidden(planes: Array, mask: Mask | None, members: npt.NDArray[np.int64]) -> Array:
    """Some planes without what the mask hides."""
    if len(members) == len(planes):
        return masks.hide(planes, mask)
    part = planes[members]
    return part if mask is None else masks.hide(part, mask.part(members))


def _with_colour(mapping: Mapping) -> Mapping:
    part = bands(mapping.integers, 3)
    green = _to_green(part)
    alike, apart = (
        estimate_bits(p[i::3]) + estimate_bits(p[2::3]) for p, i in ((green, 1), (part, 0))
    )
    if alike >= apart:
        return mapping
    return replace(mapping, integers=_to_green(mapping.integers), colour=True)


def _to_green(planes: Array) -> Array:
    out = np.empty(planes.shape, np.int16 if planes.dtype.itemsize == 1 else np.int32)
    green = planes[1::3]
    out[0::3] = green
    for i in (0, 2):
        np.subtract(planes[i::3], green, out=out[(i + 2) // 2 :: 3], dtype=out.dtype)
    return out


def _find(layout: Layout, planes: Array, fill_value: Missing | None, exact: bool) -> Mask | None:
    """The mask of planes; each channel may have a fill value of its own."""
    names = [layout.axes[d] for d in layout.order[: len(layout.counts)]]
    if planes.dtype.kind in "iu" or fill_value is not None or "c" not in names:
        return masks.find(planes, fill_value, exact)
    where = np.zeros(planes.shape, bool)
    for members in members_of(groups_along(layout, names.index("c") + 1)):
        where[members] = masks.special(planes[members], None, exact)
    return masks.of(planes, where)


def _axes_worth_trying(layout: Layout, planes: Array) -> list[int]:
    """Ways to give parts of a chunk maps of their own: each counted dimension, then every plane."""
    names = [layout.axes[d] for d in layout.order[: len(layout.counts)]]
    if planes.dtype.kind in "iu":
        axes = [i + 1 for i, name in enumerate(names) if name == "c"]
    else:
        axes = list(range(1, len(names) + 1)) if len(names) > 1 else [EVERY_PLANE]
        axes += [EVERY_PLANE] if len(names) > 1 else []
    sizes = [layout.n_planes if a == EVERY_PLANE else layout.counts[a - 1] for a in axes]
    return [
        axis
        for axis, n in zip(axes, sizes, strict=True)
        if 1 < n <= _MAX_PARTS and planes.size >= n * _MIN_PART
    ]


def _whole(planes: Array) -> npt.NDArray[np.int64]:
    return np.zeros(len(planes), np.int64)
