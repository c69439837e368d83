"""Piece decoder: frames like one that has been decoded go straight to the compiled coder.

Most of what Python does for a chunk of a few thousand samples is the same for all chunks of an
array: read the head of the frame, arrange its axes as planes, cut these into pieces.  It is
done once and kept in a template.  What is unusual about a frame goes the long way, `chunk.decode`,
which gives the same arrays and knows how to complain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..chunk.pieces import PieceLayout, arrange
from ..format import axes
from ..format.frame import Frame, head
from ..maps.inverse import Inversion
from ..maps.mapping import read_mapping
from ..models.model import Model
from .frame_template import FrameTemplate, Sections, register

Array = npt.NDArray[Any]

_MOST_SAMPLES = 1 << 20  # of more, the way there takes no time
_MOST_LAYOUTS = 256  # of a model
_TAKEN = frozenset(np.dtype(t) for t in "bBhHiIlLqQefd")


@dataclass(frozen=True)
class Prepared:
    """How chunks of one kind are cut."""

    axes: axes.Layout
    pieces: PieceLayout
    shapes: list[tuple[int, int, int]]


class PieceDecoder:
    """Decodes chunks of a model whose planes lie in the chunk's own order."""

    def __init__(self, model: Model) -> None:
        self.digest = model.digest
        self._model = model
        self._backend = model.backend("native")
        self._prepared: dict[bytes, Prepared | None] = {}  # by head

    def remember(self, frame: Frame) -> None:
        """Prepare for more frames like one that has been decoded."""
        first = head(frame)
        if first in self._prepared or len(self._prepared) >= _MOST_LAYOUTS:
            return
        prepared = self._prepared[first] = self._prepare(frame)
        if prepared is not None:
            register(FrameTemplate(self, frame.dtype, frame.shape, first, bool(frame.maps)))

    def _prepare(self, frame: Frame) -> Prepared | None:
        usual = frame.mode != "lossy" and not frame.fortran and frame.latent_dtype == "none"
        n_samples = int(np.prod(frame.shape, dtype=object))
        if not usual or frame.dtype not in _TAKEN or not 0 < n_samples <= _MOST_SAMPLES:
            return None
        geometry, shape = self._model.geometry, frame.shape
        layout = axes.layout(axes.default(self._model.axes, shape, geometry), shape, geometry)
        if layout.order != tuple(range(len(shape))):
            return None
        pieces = arrange(geometry, layout, (layout.n_planes, *layout.shape), None)
        shapes = [(info.rows, info.columns, info.n_samples) for info in pieces.infos]
        return Prepared(layout, pieces, shapes)

    def decode(
        self, template: FrameTemplate, sections: Sequence[Sections]
    ) -> Sequence[Array | None]:
        """Arrays of frames; None for those that go the long way."""
        prepared = self._prepared[template.head]
        assert prepared is not None
        return [self._array(template, prepared, maps, residual) for maps, residual in sections]

    def _array(
        self, template: FrameTemplate, prepared: Prepared, maps: bytes, residual: bytes
    ) -> Array | None:
        pieces, dtype = prepared.pieces, template.dtype
        if not 0 < np.prod(pieces.shape) <= (64 + len(maps) + len(residual)) << 13:  # FORMAT.md 2.4
            return None
        named, place = read_mapping(maps, dtype)
        parts = self._backend.decode_section(
            residual, prepared.shapes, None, pieces.max_reference_distance
        )
        if named or parts is None:
            return None
        if maps or dtype.kind == "f":
            inversion = Inversion(place(prepared.axes), pieces.shape, dtype)
            for (plane, start), info, part in zip(pieces.places, pieces.infos, parts, strict=True):
                inversion.put(plane, start, part.reshape(-1)[: info.n_samples])
            return inversion.finish().reshape(template.shape)
        planes = np.empty(pieces.shape, dtype)
        for (plane, start), info, part in zip(pieces.places, pieces.infos, parts, strict=True):
            run, to = part.reshape(-1)[: info.n_samples], planes[plane].reshape(-1)
            to = to[start : start + info.n_samples]
            to[...] = run
            if not np.can_cast(run.dtype, dtype) and not np.array_equal(to, run):
                return None
        return planes.reshape(template.shape)


def piece_decoder(model: Model) -> PieceDecoder | None:
    """The decoder of a model's chunks; None where latents are a part of these."""
    if model.by_value or model.lossy_only or model.has_reconstruction:
        return None
    return PieceDecoder(model) if model.transform is None else None
