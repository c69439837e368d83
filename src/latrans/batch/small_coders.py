"""Small coders: what codes small chunks of each kind of model (see `small_chunks`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..chunk.pieces import PieceLayout, arrange
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

_MOST_SAMPLES = 1 << 20  # of more, the way there takes no time
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

    has_latents = True

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
        layout = None if self._native is None else _in_order(self.model, shape)
        if layout is None or (layout.n_planes, layout.shape) != (1, self._sample):
            return None
        return _template(self, dtype, shape, self._sample, self._latent_dtype)


class PlaneCoder(SmallCoder):
    """Codes chunks of integers that are one small plane or track each; decodes larger ones, too.

    Small ones lie in one array together.  Of larger chunks, of one plane or several in their own
    order, it is the way to the compiled decoder and back that is prepared here.
    """

    has_latents = False

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        backend: Any = model.backend("native")
        self._backend, self._native, self._sections = backend, backend.alone, backend.sections
        self._pieces: dict[bytes, PieceLayout] = {}  # of larger chunks, by head

    def takes(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
        return dtype in _TAKEN and _size(shape) <= _MOST_SAMPLES

    def encode(self, template: FrameTemplate, arrays: Sequence[Array]) -> Sequence[bytes | None]:
        if template.head in self._pieces:
            return [None] * len(arrays)
        planes = np.empty((len(arrays), *template.sample), np.int32)
        for plane, array in zip(planes, arrays, strict=True):
            plane[...] = array.reshape(template.sample)
        return [
            None if found is None else sealed(template.head + deflate(found[0]) + found[1])
            for found in self._native.encode_plain(planes)
        ]

    def decode(self, template: FrameTemplate, sections: Sequence[Sections]) -> list[Array | None]:
        if template.head in self._pieces:
            return [self._decode_pieces(template, residual) for _, residual in sections]
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

    def _decode_pieces(self, template: FrameTemplate, residual: bytes) -> Array | None:
        """A larger chunk; None where its values are too large, or more than so few bytes hold."""
        layout, array = self._pieces[template.head], np.empty(template.shape, template.dtype)
        if not 0 < array.size <= (64 + len(residual)) << 13:  # FORMAT.md 2.4
            return None
        planes = array.reshape(layout.shape)
        shapes = [(info.rows, info.columns, info.n_samples) for info in layout.infos]
        parts = self._backend.decode_section(residual, shapes, None, layout.max_reference_distance)
        for (plane, start), info, part in zip(layout.places, layout.infos, parts, strict=True):
            run = part.reshape(-1)[: info.n_samples]
            to = planes[plane].reshape(-1)[start : start + info.n_samples]
            to[...] = run
            if not np.can_cast(run.dtype, to.dtype) and not np.array_equal(to, run):
                return None
        return array

    def make(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> FrameTemplate | None:
        layout = _in_order(self.model, shape)
        if layout is None:
            return None
        template = _template(self, dtype, shape, layout.shape, "none")
        if layout.n_planes == 1 and _size(shape) < MIN_SAMPLES:
            return None if self._native is None else template
        planes = (layout.n_planes, *layout.shape)
        self._pieces[template.head] = arrange(self.model.geometry, layout, planes, None)
        return template


def _size(shape: tuple[int, ...]) -> int:
    """Number of samples; at least one."""
    n = 1
    for size in shape:
        n *= size
    return n


def _in_order(model: Model, shape: tuple[int, ...]) -> axes.Layout | None:
    """How chunks become planes; None where these are not in the chunk's own order."""
    default = axes.default(model.axes, shape, model.geometry)
    layout = axes.layout(default, shape, model.geometry)
    return layout if layout.order == tuple(range(len(shape))) else None


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
    return FrameTemplate(coder, dtype, shape, sample, head(frame))
