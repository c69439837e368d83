"""Decode: a frame back to its array, or what its latents alone say of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from ..engine import select
from ..errors import CodecError
from ..format import axes
from ..format.dtypes import numeric_dtype_of, numeric_shape_of
from ..format.frame import Frame, payload_nbytes, size_is_plausible
from ..maps.inverse import Inversion, inverted
from ..maps.mapping import Mapping, read_mapping
from ..models.autoencoder import LATENT_LIMITS
from ..models.model import Model
from ..residual import coder
from . import lossy
from .pieces import arrange

Array = npt.NDArray[Any]


def decode(model: Model, frame: Frame, dtype: np.dtype[Any], engine: str | None) -> Array:
    """The array of a frame, C-ordered, in its numeric dtype."""
    layout, mapping = _read_maps(model, frame)
    shape, whole = (layout.n_planes, *layout.shape), numeric_shape_of(frame)
    reconstructions = None
    if model.lossy_only and frame.mode != "lossy":
        raise CodecError(f"frame is damaged: model {model.name!r} has no mode {frame.mode!r}")
    if frame.mode == "lossy" and frame.latent_dtype == lossy.LATENT_DTYPE:
        planes = lossy.decode(model, engine, frame.latents, shape, mapping, dtype)
        return layout.join(planes, whole)
    if frame.mode == "lossy" or model.has_reconstruction:
        reconstructions = _reconstruct(model, frame, shape, engine)
    if frame.mode == "lossy" or model.by_value:
        assert reconstructions is not None
        integers = reconstructions
        if frame.mode != "lossy":
            integers = model.value_coder(engine).decode(frame.residual, reconstructions)
        values = inverted(mapping, integers, dtype, approximate=frame.mode == "lossy")
        return layout.join(values, whole)
    plan = arrange(model.geometry, layout, shape, None)
    inversion = Inversion(mapping, shape, dtype)
    parts = coder.decoded(
        model.backend(engine),
        plan.infos,
        None if reconstructions is None else plan.cut(reconstructions),
        plan.max_reference_distance,
        frame.residual,
    )
    for (plane, start), info, part in zip(plan.places, plan.infos, parts, strict=True):
        inversion.put(plane, start, part.reshape(-1)[: info.n_samples])
    return layout.join(inversion.finish(), whole)


def preview(model: Model, frame: Frame, dtype: np.dtype[Any], engine: str | None) -> Array:
    """What the latents of a frame alone look like."""
    layout, mapping = _read_maps(model, frame)
    shape = (layout.n_planes, *layout.shape)
    if frame.latent_dtype == lossy.LATENT_DTYPE:
        planes = lossy.decode(model, engine, frame.latents, shape, mapping, dtype)
        return layout.join(planes, numeric_shape_of(frame))
    reconstructions = _reconstruct(model, frame, shape, engine)
    return layout.join(
        inverted(mapping, reconstructions, dtype, approximate=True), numeric_shape_of(frame)
    )


def latents_of(model: Model, frame: Frame, engine: str | None) -> Array:
    """Latents (planes, ...) of a frame, in their dtype."""
    layout, _ = _read_maps(model, frame)
    shape = (layout.n_planes, *layout.shape)
    if frame.latent_dtype == lossy.LATENT_DTYPE:
        return lossy.latents(model, engine, frame.latents, shape)
    latents, _ = _read_latents(model, frame, shape, engine)
    return latents.astype(frame.latent_dtype)


def _read_maps(model: Model, frame: Frame) -> tuple[axes.Layout, Mapping]:
    stored, rest = read_mapping(frame.maps, numeric_dtype_of(frame))
    default = axes.default(model.axes, frame.shape, model.geometry)
    named = axes.checked_from_frame(stored or default, len(frame.shape), model.geometry)
    letters = axes.of_parts(named) if frame.dtype.kind == "c" else named
    layout = axes.layout(letters, numeric_shape_of(frame), model.geometry)
    shape = layout.n_planes, *layout.shape
    if not size_is_plausible(shape, frame):  # before memory is taken for it
        raise CodecError(f"frame is damaged: {shape} samples in {payload_nbytes(frame)} bytes")
    return layout, rest(layout)


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
    reconstructions = model.autoencoder.synthesise(
        select(engine), latents.astype(np.int32), shape[1:], statistics
    )
    return reconstructions.astype(np.int64)
