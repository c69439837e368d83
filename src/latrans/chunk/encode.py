"""Encode: one array through value maps, networks and residual coder.

Axes arrange the array as planes, a value map makes them integers, the analysis network makes
latents, the synthesis network a reconstruction, and the residual coder stores what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from ..engine import select
from ..format import axes
from ..format.dtypes import PART_OF_BOUND
from ..format.frame import Frame, size_is_plausible
from ..maps import apply
from ..maps import mask as masks
from ..maps.inverse import inverted
from ..maps.mapping import Mapping
from ..missing.missing import Missing
from ..models.model import Model
from ..residual import coder
from . import closed_loop, lossy
from .choose_map import choose, lossy_mapping
from .pieces import arrange
from .rate import DEFAULT_RATE, Rate

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Task:
    """What is wanted of a chunk."""

    model: Model
    mode: str
    max_error: float | None
    fill_value: Missing | None
    axes: str | None
    engine: str | None
    rate: Rate = DEFAULT_RATE


def suits(model: Model, array: Array, layout: axes.Layout) -> bool:
    """Whether the model can code such an array at all."""
    if array.size == 0 or not apply.suits(array.dtype):
        return False
    auto = model.autoencoder
    if auto is None or auto.normalise == "affine":
        return True
    return array.dtype.kind in "iu" and auto.fits(layout.shape, int(array.min()), int(array.max()))


def encode(task: Task, array: Array, dtype: np.dtype[Any], fortran: bool) -> Frame | None:
    """Frame of a native, C-ordered array that will come back as `dtype`; None if nothing suits.

    The array is in its numeric dtype; of complex values it has the parts (`dtypes.parts_of`).
    """
    model, max_error, shape = task.model, task.max_error, array.shape
    has_parts = dtype.kind == "c"
    if has_parts:
        shape = shape[:-1]
        if max_error is not None:
            task = replace(task, max_error=max_error * PART_OF_BOUND)
    default = axes.default(model.axes, shape, model.geometry)
    named = axes.check(task.axes or default, len(shape), model.geometry)
    letters = axes.of_parts(named) if has_parts else named
    layout = axes.layout(letters, array.shape, model.geometry)
    if not suits(model, array, layout):
        return None
    planes = layout.split(array)
    mapping: Mapping | None
    if task.mode == "lossy":
        if not model.has_latents:
            return None
        mapping = lossy_mapping(layout, planes, task.fill_value)
    else:
        mapping = choose(model, layout, planes, task.max_error, task.fill_value)
    if mapping is None:
        return None
    auto = model.autoencoder
    latents, reconstructions, residual, latent_dtype = b"", None, b"", "none"
    if model.transform is not None:
        latents = lossy.encode(model, task.engine, layout, mapping, task.rate)
        latent_dtype = lossy.LATENT_DTYPE
    elif auto is not None and (task.mode == "lossy" or model.has_reconstruction):
        latents, reconstructions = analyse(task, mapping.integers)
        latent_dtype = auto.latent_dtype
    if model.by_value and task.mode != "lossy":
        assert reconstructions is not None
        residual = model.value_coder(task.engine).encode(mapping.integers, reconstructions)
    elif task.mode != "lossy":
        residual, mapping = _code(task, layout, planes, mapping, reconstructions)
    if task.fill_value is not None and task.mode != "lossless":
        mapping = _sparing(task, planes, mapping, latents, reconstructions)
    maps = mapping.section(named if named != default else "")
    frame = Frame(
        mode=task.mode,
        dtype=dtype,
        shape=shape,
        fortran=fortran,
        model_digest=bytes.fromhex(model.digest[:16]),
        model_version=model.version,
        latent_dtype=latent_dtype,
        max_error=max_error if task.mode == "bounded" else None,
        maps=maps,
        latents=latents,
        residual=residual,
    )
    # What no reader would believe is for the fallback.
    return frame if size_is_plausible(mapping.integers.shape, frame) else None


def _code(
    task: Task, layout: axes.Layout, planes: Array, mapping: Mapping, reconstructions: Ints | None
) -> tuple[bytes, Mapping]:
    """Residual section, and the mapping that it belongs to."""
    model = task.model
    backend = model.backend(task.engine)
    plan = arrange(model.geometry, layout, mapping.integers.shape, mapping.integers)
    if task.max_error is not None and reconstructions is None:
        closed = closed_loop.encode_closed_loop(
            backend, plan, layout, planes, mapping, task.max_error, task.fill_value
        )
        if closed is not None:
            return closed
    under = None if reconstructions is None else plan.cut(reconstructions)
    pieces = plan.cut(mapping.integers)
    return coder.encode(
        backend, plan.infos, pieces, under, plan.max_reference_distance
    ).section, mapping


def _sparing(
    task: Task, planes: Array, mapping: Mapping, latents: bytes, reconstructions: Ints | None
) -> Mapping:
    """The mapping with those values masked, too, that would come back as missing ones.

    What a mask puts back need not be what was there: they come back beside what is missing.
    """
    missing, model, dtype = task.fill_value, task.model, planes.dtype
    assert missing is not None
    if task.mode == "bounded":
        if _is_far(missing, planes, mapping, task.max_error or 0.0):
            return mapping
        after = inverted(mapping, mapping.integers, dtype)
    elif model.transform is not None:
        after = lossy.decode(model, task.engine, latents, planes.shape, mapping, dtype)
    else:
        assert reconstructions is not None
        after = inverted(mapping, reconstructions, dtype, approximate=True)
    found = missing.repaired(planes, after)
    if found is None:
        return mapping
    where, values = found
    if mapping.mask is not None:
        values[mapping.mask.where] = planes[mapping.mask.where]
        where = where | mapping.mask.where
    return replace(mapping, mask=masks.of(values, where))


def _is_far(missing: Missing, planes: Array, mapping: Mapping, max_error: float) -> bool:
    """Whether no valid value can get near a missing one."""
    shown = masks.hide(planes, mapping.mask)
    low, high = float(shown.min()) - max_error, float(shown.max()) + max_error
    return missing.spares(low, high, planes.dtype)


def latents_alone(task: Task, array: Array) -> Array | None:
    """Latents (planes, ...) of a native, C-ordered array, those that its lossy frame would hold.

    No frame is written, and nothing is reconstructed.  None if nothing suits, or the model's
    latents are made otherwise.
    """
    model, auto = task.model, task.model.autoencoder
    default = axes.default(model.axes, array.shape, model.geometry)
    named = axes.check(task.axes or default, array.ndim, model.geometry)
    layout = axes.layout(named, array.shape, model.geometry)
    if auto is None or not suits(model, array, layout):
        return None
    mapping = lossy_mapping(layout, layout.split(array), task.fill_value)
    if mapping is None:
        return None
    latents, _ = _analysed(task, mapping.integers)
    return latents.astype(auto.latent_dtype)


def _analysed(task: Task, integers: Ints) -> tuple[Array, Array]:
    """Latents of all planes, and their statistics."""
    auto = task.model.autoencoder
    assert auto is not None
    planes = integers.astype(np.int32)
    statistics = auto.statistics(planes)
    return auto.analyse(select(task.engine), planes, statistics), statistics


def analyse(task: Task, integers: Ints) -> tuple[bytes, Ints]:
    """Latents section of all planes, and their reconstruction."""
    model, auto = task.model, task.model.autoencoder
    assert auto is not None
    latents, statistics = _analysed(task, integers)
    reconstructions = auto.synthesise(select(task.engine), latents, integers.shape[1:], statistics)
    return model.latent_coder(task.engine).encode(latents, statistics), reconstructions.astype(
        np.int64
    )
