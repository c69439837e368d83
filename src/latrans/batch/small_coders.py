"""Small coders: what codes small chunks of each kind of model (see `small_chunks`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CodecError
from ..format import axes
from ..format.frame import Frame, head, sealed
from ..format.varint import pack_varint
from ..models.autoencoder import LATENT_LIMITS
from ..models.model import Model
from ..residual.header import deflate
from ..residual.plan import MIN_SAMPLES
from .frame_template import FrameTemplate, Sections, SmallCoder

Array = npt.NDArray[Any]

_TAKEN = frozenset(np.dtype(t) for t in (np.uint8, np.int8, np.uint16, np.int16, np.int32))


def coder_of(model: Model) -> SmallCoder | None:
    """What codes a model's small chunks, in compiled code; None if nothing does."""
    if model.by_value:
        return ValueChunkCoder(model)
    auto = model.autoencoder
    if model.lossy_only or model.has_reconstruction or model.transform is not None:
        return None
    return PlaneCoder(model) if auto is None or auto.normalise == "affine" else None


class ValueChunkCoder(SmallCoder):
    """Codes chunks that are one sample each, by a model that codes by value."""

    def __init__(self, model: Model) -> None:
        from ..residual.values.native import chunk_coder

        super().__init__(model)
        auto, tables = model.autoencoder, model.latent_tables
        assert auto is not None
        assert auto.sample_shape is not None
        assert tables is not None
        self._sample = auto.sample_shape
        self._latent_dtype = auto.latent_dtype
        limit = LATENT_LIMITS[auto.latent_dtype]
        values = model.value_coder("native")
        self._native = chunk_coder(values, auto.analysis, auto.synthesis, tables, limit)

    def takes(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
        return dtype == np.uint8

    def encode(self, template: FrameTemplate, arrays: Sequence[Array]) -> list[bytes]:
        items = np.concatenate(arrays, axis=None).reshape(-1, *self._sample)
        return [
            sealed(template.head + pack_varint(len(latents)) + latents + residual)
            for latents, residual in self._native.encode(items)
        ]

    def decode(self, template: FrameTemplate, sections: Sequence[Sections]) -> list[Array]:
        items: Array = self._native.decode(sections).reshape(-1, *template.shape)
        return [items[0]] if len(items) == 1 else [item.copy() for item in items]

    def make(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> FrameTemplate | None:
        sample = None if self._native is None else _alone(self.model, shape)
        if sample != self._sample:
            return None
        return _template(self, dtype, shape, self._sample, self._latent_dtype)


class PlaneCoder(SmallCoder):
    """Codes chunks of integers that are one small plane or track each."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        backend: Any = model.backend("native")
        self._native, self._sections = backend.alone, backend.sections

    def takes(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
        return dtype in _TAKEN and _size(shape) < MIN_SAMPLES

    def encode(self, template: FrameTemplate, arrays: Sequence[Array]) -> list[bytes | None]:
        planes = np.empty((len(arrays), *template.sample), np.int32)
        for plane, array in zip(planes, arrays, strict=True):
            plane[...] = array.reshape(template.sample)
        return [
            None if found is None else sealed(template.head + deflate(found[0]) + found[1])
            for found in self._native.encode_plain(planes)
        ]

    def decode(self, template: FrameTemplate, sections: Sequence[Sections]) -> list[Array | None]:
        planes = np.empty((len(sections), *template.sample), np.int32)
        done = self._sections.decode_alone_each([residual for _, residual in sections], planes)
        if not all(done):
            raise CodecError("a frame is damaged, or unusual")
        arrays: list[Array | None] = []
        for plane in planes:
            array = plane.astype(template.dtype)
            fits = template.dtype == np.int32 or bool((array == plane).all())
            arrays.append(array.reshape(template.shape) if fits else None)
        return arrays

    def make(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> FrameTemplate | None:
        sample = None if self._native is None else _alone(self.model, shape)
        return None if sample is None else _template(self, dtype, shape, sample, "none")


def _size(shape: tuple[int, ...]) -> int:
    """Number of samples; at least one."""
    n = 1
    for size in shape:
        n *= size
    return n


def _alone(model: Model, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Rows and columns of chunks that are one plane, in its own order; None for others."""
    default = axes.default(model.axes, shape, model.geometry)
    layout = axes.layout(default, shape, model.geometry)
    in_order = layout.order == tuple(range(len(shape)))
    return layout.shape if in_order and layout.n_planes == 1 else None


def _template(
    coder: SmallCoder,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    sample: tuple[int, int],
    latent_dtype: str,
) -> FrameTemplate:
    frame = Frame(
        "lossless",
        dtype,
        shape,
        model_digest=bytes.fromhex(coder.digest[:16]),
        model_version=coder.model.version,
        latent_dtype=latent_dtype,
    )
    return FrameTemplate(coder, dtype, shape, head(frame), latent_dtype != "none", sample)
