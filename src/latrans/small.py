"""Small chunks: one sample or one small plane each, many of them in one compiled call.

A 28 x 28 digit is coded in less time than Python takes to look at its axes.  So what all chunks of
one shape have in common, the head of their frames, is made once, and everything behind it is left
to compiled code.  Whatever is unusual goes the long way, which writes the same bytes and knows how
to complain.
"""

from __future__ import annotations

import threading
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .engine import select
from .errors import CodecError
from .frame import Frame
from .model import Model
from .store import is_loaded

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
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    sample: tuple[int, int]  # rows and columns
    head: bytes  # of their frames


def encoded(model: Model, engine: str | None, arrays: Sequence[Any]) -> list[bytes | None]:
    """Frames of those arrays that are small chunks, None for others."""
    frames: list[bytes | None] = [None] * len(arrays)
    coder = _coder(model, engine)
    if coder is not None:
        for place, members in _groups([coder.place(array) for array in arrays]).items():
            found = coder.encode(place, [arrays[i] for i in members])
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
    if not groups or select(engine).host != "native":
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
    if coder is not None and coder.takes(frame.dtype, frame.shape):
        coder.learn(frame.dtype, frame.shape)


class SmallCoder(ABC):
    """Codes small chunks by one model, in memory that threads share."""

    has_latents: bool  # and so their length behind the head

    def __init__(self, model: Model) -> None:
        self.digest = model.digest
        self.model = model
        self._known: dict[tuple[np.dtype[Any], tuple[int, ...]], Place | None] = {}

    @abstractmethod
    def takes(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
        """Whether chunks may be small ones, as far as can be told at a glance."""

    @abstractmethod
    def encode(self, place: Place, arrays: Sequence[Array]) -> Sequence[bytes | None]:
        """Frames of arrays that have one place; None for those that go the long way."""

    @abstractmethod
    def decode(self, place: Place, sections: Sequence[Sections]) -> Sequence[Array | None]:
        """Arrays of frames that have one place, each with memory of its own; None likewise."""

    @abstractmethod
    def make(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Place | None:
        """The place of chunks, if they are small ones."""

    def place(self, array: Any) -> Place | None:
        """Where a chunk belongs; None if it is no small one in C order."""
        if type(array) is not np.ndarray or not self.takes(array.dtype, array.shape):
            return None
        return self.learn(array.dtype, array.shape) if array.flags.c_contiguous else None

    def learn(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Place | None:
        """The place of chunks of a dtype and shape, made when they are first met."""
        global _lengths
        key = dtype, shape
        if key in self._known:
            return self._known[key]
        place = self.make(dtype, shape) if shape and 0 not in shape else None
        with _lock:
            if max(len(self._known), len(_places)) >= _MOST_PLACES:
                return None
            if place is not None:
                place = _places.setdefault(place.head, place)
                _lengths = tuple(sorted({*_lengths, len(place.head)}))
            self._known[key] = place
        return place


def _coder(model: Model, engine: str | None) -> SmallCoder | None:
    """What codes a model's small chunks on an engine, prepared once; None if nothing does."""
    if select(engine).host != "native":
        return None
    from . import small_coders

    return model.prepared("small chunks", lambda: small_coders.coder_of(model))


def _opened(frame: bytes) -> tuple[Place | None, Sections]:
    """A frame's place and sections; no place if it is not known, or the frame is unusual."""
    place, nothing = None, (None, (b"", b""))
    for n in _lengths:
        place = _places.get(frame[:n])
        if place is not None:
            break
    if place is None or len(frame) < n + 5 or not is_loaded(place.coder.digest):
        return nothing
    has_latents = place.coder.has_latents
    if has_latents and frame[n] >= 128:
        return nothing
    first = n + has_latents
    start, view = first + (frame[n] if has_latents else 0), memoryview(frame)
    if start > len(frame) - 4 or zlib.crc32(view[:-4]) != int.from_bytes(view[-4:], "little"):
        return nothing
    return place, (frame[first:start], frame[start:-4])


def _groups(places: Sequence[Place | None]) -> dict[Place, list[int]]:
    """Indices of chunks that have the same place."""
    found: dict[Place, list[int]] = {}
    for i, place in enumerate(places):
        if place is not None:
            found.setdefault(place, []).append(i)
    return found
