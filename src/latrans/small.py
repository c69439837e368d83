"""Small chunks: one sample of a model that codes by value, many of them in one compiled call.

A 28 x 28 digit is coded in less time than Python takes to look at its axes.  So what all chunks of
one shape have in common, the head of their frames, is made once, and everything behind it is left
to compiled code.  Whatever is unusual goes the long way, which writes the same bytes and knows how
to complain.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import axes
from .autoencoder import LATENT_LIMITS
from .engine import select
from .errors import CodecError
from .frame import Frame, head, sealed
from .model import Model
from .store import is_loaded
from .wire import pack_varint

Array = npt.NDArray[Any]
Sections = tuple[bytes, bytes]  # latents, residual

_MOST_PLACES = 1024  # that are remembered

_lock = threading.Lock()
_places: dict[bytes, Place] = {}  # by head
_lengths: tuple[int, ...] = ()  # of heads


@dataclass(frozen=True, eq=False)
class Place:
    """What all small chunks of a model and a shape have in common."""

    coder: SmallCoder
    shape: tuple[int, ...]
    head: bytes  # of their frames


def encoded(model: Model, engine: str | None, arrays: Sequence[Any]) -> list[bytes | None]:
    """Frames of those arrays that are small chunks, None for others."""
    frames: list[bytes | None] = [None] * len(arrays)
    coder = _coder(model, engine)
    if coder is not None:
        for members in _groups([coder.place(array) for array in arrays]).values():
            found = coder.encode([arrays[i] for i in members])
            for i, frame in zip(members, found, strict=True):
                frames[i] = frame
    return frames


def decoded(frames: Sequence[bytes], engine: str | None) -> list[Array | None]:
    """Arrays of those frames that are intact and of a known place, None for others."""
    arrays: list[Array | None] = [None] * len(frames)
    if not _lengths:
        return arrays
    opened = [_opened(frame) for frame in frames]
    groups = _groups([place for place, _ in opened])
    if not groups or select(engine).name != "native":
        return arrays
    for place, members in groups.items():
        try:
            found = place.coder.decode(place, [opened[i][1] for i in members])
        except CodecError:
            continue  # one of them is damaged; which one will show
        for i, array in zip(members, found, strict=True):
            arrays[i] = array
    return arrays


def learn(model: Model, frame: Frame, engine: str | None) -> None:
    """Prepare for more frames like one that has been decoded."""
    coder = _coder(model, engine)
    if coder is not None and frame.dtype == np.uint8:
        coder.learn(frame.shape)


class SmallCoder:
    """Codes chunks that are one sample each, by a model that codes by value."""

    def __init__(self, model: Model) -> None:
        from .residual.values_native import chunk_coder

        auto, tables = model.autoencoder, model.latent_tables
        assert auto is not None
        assert auto.sample_shape is not None
        assert tables is not None
        self.digest = model.digest
        self._model = model
        self._sample = auto.sample_shape
        self._latent_dtype = auto.latent_dtype
        self._shapes: dict[tuple[int, ...], Place | None] = {}
        limit = LATENT_LIMITS[auto.latent_dtype]
        values = model.value_coder("native")
        self._native = chunk_coder(values, auto.analysis, auto.synthesis, tables, limit)

    def place(self, array: Any) -> Place | None:
        """Where a chunk belongs; None if it is not one sample of bytes in C order."""
        if type(array) is not np.ndarray or array.dtype != np.uint8:
            return None
        if not array.flags.c_contiguous:
            return None
        return self.learn(array.shape)

    def learn(self, shape: tuple[int, ...]) -> Place | None:
        """The place of chunks of a shape, made when it is first met."""
        global _lengths
        if shape in self._shapes:
            return self._shapes[shape]
        place = self._place(shape)
        with _lock:
            if max(len(self._shapes), len(_places)) >= _MOST_PLACES:
                return None
            if place is not None:
                place = _places.setdefault(place.head, place)
                _lengths = tuple(sorted({*_lengths, len(place.head)}))
            self._shapes[shape] = place
        return place

    def encode(self, arrays: Sequence[Array]) -> list[bytes]:
        """Frames of arrays that have one place."""
        place = self._shapes[arrays[0].shape]
        assert place is not None
        items = np.concatenate(arrays, axis=None).reshape(-1, *self._sample)
        return [
            sealed(place.head + pack_varint(len(latents)) + latents + residual)
            for latents, residual in self._native.encode(items)
        ]

    def decode(self, place: Place, sections: Sequence[Sections]) -> list[Array]:
        """Arrays of frames that have one place, each with memory of its own."""
        items: Array = self._native.decode(sections).reshape(-1, *place.shape)
        return [items[0]] if len(items) == 1 else [item.copy() for item in items]

    def _place(self, shape: tuple[int, ...]) -> Place | None:
        model = self._model
        if self._native is None or not shape or 0 in shape:
            return None
        default = axes.default(model.axes, shape, model.geometry)
        layout = axes.layout(default, shape, model.geometry)
        if layout.n_planes != 1 or layout.shape != self._sample:
            return None
        frame = Frame(
            "lossless",
            np.dtype(np.uint8),
            shape,
            model_digest=bytes.fromhex(model.digest[:16]),
            model_version=model.version,
            latent_dtype=self._latent_dtype,
        )
        return Place(self, shape, head(frame))


def _coder(model: Model, engine: str | None) -> SmallCoder | None:
    """What codes a model's small chunks on an engine, prepared once; None if nothing does."""
    if not model.by_value or select(engine).name != "native":
        return None
    return model.prepared("small chunks", lambda: SmallCoder(model))


def _opened(frame: bytes) -> tuple[Place | None, Sections]:
    """A frame's place and sections; no place if it is not known, or the frame is unusual."""
    place, nothing = None, (None, (b"", b""))
    for n in _lengths:
        place = _places.get(frame[:n])
        if place is not None:
            break
    if place is None or len(frame) < n + 5 or frame[n] >= 128 or not is_loaded(place.coder.digest):
        return nothing
    start, view = n + 1 + frame[n], memoryview(frame)
    if start > len(frame) - 4 or zlib.crc32(view[:-4]) != int.from_bytes(view[-4:], "little"):
        return nothing
    return place, (frame[n + 1 : start], frame[start:-4])


def _groups(places: Sequence[Place | None]) -> dict[Place, list[int]]:
    """Indices of chunks that have the same place."""
    found: dict[Place, list[int]] = {}
    for i, place in enumerate(places):
        if place is not None:
            found.setdefault(place, []).append(i)
    return found
