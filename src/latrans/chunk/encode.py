"""Chunk: one array through value maps, networks and residual coder, and back.

Encoding: axes arrange the array as planes, a value map makes them integers, the analysis network
makes latents, the synthesis network a reconstruction, and the residual coder stores what is
missing.  Decoding walks the same path back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from ..engine import select
from ..errors import CodecError
from ..format import axes
from ..format.dtypes import PART_OF_BOUND, carrier_of, carrier_shape
from ..format.frame import Frame
from ..maps import apply
from ..maps import mask as masks
from ..maps.inverse import Inversion, inverted
from ..maps.mapping import Mapping, read_mapping
from ..missing.missing import Missing
from ..models.autoencoder import LATENT_LIMITS
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

    The array is in its carrier dtype; of complex values it has the parts (`carrier.parts_of`).
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
    latents, pictures, residual, latent_dtype = b"", None, b"", "none"
    if model.transform is not None:
        latents = lossy.encode(model, task.engine, layout, mapping, task.rate)
        latent_dtype = lossy.LATENT_DTYPE
    elif auto is not None and (task.mode == "lossy" or model.has_reconstruction):
        latents, pictures = analyse(task, mapping.integers)
        latent_dtype = auto.latent_dtype
    if model.by_value and task.mode != "lossy":
        assert pictures is not None
        residual = model.value_coder(task.engine).encode(mapping.integers, pictures)
    elif task.mode != "lossy":
        residual, mapping = _code(task, layout, planes, mapping, pictures)
    if task.fill_value is not None and task.mode != "lossless":
        mapping = _sparing(task, planes, mapping, latents, pictures)
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
    return frame if _earned(mapping.integers.shape, frame) else None


def _code(
    task: Task, layout: axes.Layout, planes: Array, mapping: Mapping, pictures: Ints | None
) -> tuple[bytes, Mapping]:
    """Residual section, and the mapping that it belongs to."""
    model = task.model
    backend = model.backend(task.engine)
    plan = arrange(model.geometry, layout, mapping.integers.shape, mapping.integers)
    if task.max_error is not None and pictures is None:
        closed = closed_loop.code(
            backend, plan, layout, planes, mapping, task.max_error, task.fill_value
        )
        if closed is not None:
            return closed
    under = None if pictures is None else plan.cut(pictures)
    pieces = plan.cut(mapping.integers)
    return coder.encode(backend, plan.infos, pieces, under, plan.horizon).section, mapping


def _sparing(
    task: Task, planes: Array, mapping: Mapping, latents: bytes, pictures: Ints | None
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
        assert pictures is not None
        after = inverted(mapping, pictures, dtype, approximate=True)
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


def decode(model: Model, frame: Frame, carrier: np.dtype[Any], engine: str | None) -> Array:
    """The array of a frame, C-ordered, in its carrier dtype."""
    layout, mapping = _read_maps(model, frame)
    shape, whole = (layout.n_planes, *layout.shape), carrier_shape(frame)
    pictures = None
    if model.lossy_only and frame.mode != "lossy":
        raise CodecError(f"frame is damaged: model {model.name!r} has no mode {frame.mode!r}")
    if frame.mode == "lossy" and frame.latent_dtype == lossy.LATENT_DTYPE:
        planes = lossy.decode(model, engine, frame.latents, shape, mapping, carrier)
        return layout.join(planes, whole)
    if frame.mode == "lossy" or model.has_reconstruction:
        pictures = _reconstruct(model, frame, shape, engine)
    if frame.mode == "lossy" or model.by_value:
        assert pictures is not None
        integers = pictures
        if frame.mode != "lossy":
            integers = model.value_coder(engine).decode(frame.residual, pictures)
        values = inverted(mapping, integers, carrier, approximate=frame.mode == "lossy")
        return layout.join(values, whole)
    plan = arrange(model.geometry, layout, shape, None)
    inversion = Inversion(mapping, shape, carrier)
    parts = coder.decoded(
        model.backend(engine),
        plan.infos,
        None if pictures is None else plan.cut(pictures),
        plan.horizon,
        frame.residual,
    )
    for (plane, start), info, part in zip(plan.places, plan.infos, parts, strict=True):
        inversion.put(plane, start, part.reshape(-1)[: info.n_samples])
    return layout.join(inversion.finish(), whole)


def preview(model: Model, frame: Frame, carrier: np.dtype[Any], engine: str | None) -> Array:
    """What the latents of a frame alone look like."""
    layout, mapping = _read_maps(model, frame)
    shape = (layout.n_planes, *layout.shape)
    if frame.latent_dtype == lossy.LATENT_DTYPE:
        planes = lossy.decode(model, engine, frame.latents, shape, mapping, carrier)
        return layout.join(planes, carrier_shape(frame))
    pictures = _reconstruct(model, frame, shape, engine)
    return layout.join(inverted(mapping, pictures, carrier, approximate=True), carrier_shape(frame))


def latents_of(model: Model, frame: Frame, engine: str | None) -> Array:
    """Latents (planes, ...) of a frame, in their dtype."""
    layout, _ = _read_maps(model, frame)
    shape = (layout.n_planes, *layout.shape)
    if frame.latent_dtype == lossy.LATENT_DTYPE:
        return lossy.latents(model, engine, frame.latents, shape)
    latents, _ = _read_latents(model, frame, shape, engine)
    return latents.astype(frame.latent_dtype)


def _read_maps(model: Model, frame: Frame) -> tuple[axes.Layout, Mapping]:
    stored, rest = read_mapping(frame.maps, carrier_of(frame))
    default = axes.default(model.axes, frame.shape, model.geometry)
    named = axes.checked_from_frame(stored or default, len(frame.shape), model.geometry)
    letters = axes.of_parts(named) if frame.dtype.kind == "c" else named
    layout = axes.layout(letters, carrier_shape(frame), model.geometry)
    _check_earned((layout.n_planes, *layout.shape), frame)
    return layout, rest(layout)


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
    pictures = auto.synthesise(select(task.engine), latents, integers.shape[1:], statistics)
    return model.latent_coder(task.engine).encode(latents, statistics), pictures.astype(np.int64)


def _read_latents(
    model: Model, frame: Frame, shape: tuple[int, int, int], engine: str | None
) -> tuple[Array, Array]:
    auto = model.autoencoder
    if auto is None or frame.latent_dtype == "none":
        raise CodecError(f"frame holds no latents: model {model.name!r} has no autoencoder")
    if frame.latent_dtype != auto.latent_dtype:
        raise CodecError(f"frame is damaged: its latents are {frame.latent_dtype}")
    if auto.sample_shape not in (None, shape[1:]):
        raise CodecError(f"frame is damaged: samples of {shape[1:]}, not {auto.sample_shape}")
    return model.latent_coder(engine).decode(
        frame.latents,
        (shape[0], *auto.latent_shape(shape[1:])),
        auto.normalise == "affine",
        LATENT_LIMITS[auto.latent_dtype],
    )


def _reconstruct(
    model: Model, frame: Frame, shape: tuple[int, int, int], engine: str | None
) -> Ints:
    """What the latents of a frame alone say of its planes."""
    latents, statistics = _read_latents(model, frame, shape, engine)
    return _synthesise(model, latents, statistics, shape, engine)


def _synthesise(
    model: Model, latents: Array, statistics: Array, shape: tuple[int, int, int], engine: str | None
) -> Ints:
    assert model.autoencoder is not None
    pictures = model.autoencoder.synthesise(
        select(engine), latents.astype(np.int32), shape[1:], statistics
    )
    return pictures.astype(np.int64)


def _check_earned(shape: Sequence[int], frame: Frame) -> None:
    """Refuse a claimed size that the bytes cannot hold, before memory is taken for it."""
    if not _earned(shape, frame):
        raise CodecError(f"frame is damaged: {tuple(shape)} samples in {_held(frame)} bytes")


def _earned(shape: Sequence[int], frame: Frame) -> bool:
    return 0 < math.prod(shape) <= (64 + _held(frame)) << 13  # FORMAT.md 2.4


def _held(frame: Frame) -> int:
    return len(frame.maps) + len(frame.latents) + len(frame.residual)
