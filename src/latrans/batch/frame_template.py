"""Frame templates: what all chunks of a model and a shape have in common, made once.

Each coder makes and keeps its own; all of them are found by the first bytes of a frame.
"""

from __future__ import annotations

import threading
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..models.model import Model
from ..models.store import is_loaded

Array = npt.NDArray[Any]
Sections = tuple[bytes, bytes]  # maps or latents, residual

_MOST_TEMPLATES = 1024  # that are remembered

_lock = threading.Lock()
_templates: dict[bytes, FrameTemplate] = {}  # by head
_lengths: tuple[int, ...] = ()  # of heads


class FrameDecoder(Protocol):
    """What decodes the frames of a template."""

    digest: str  # of its model

    def decode(
        self, template: FrameTemplate, sections: Sequence[Sections]
    ) -> Sequence[Array | None]:
        """Arrays of frames, each with memory of its own; None for those that go the long way."""


@dataclass(frozen=True, eq=False)
class FrameTemplate:
    """What all chunks of a model and a shape have in common.

    Attributes
    ----------
    coder : FrameDecoder
    dtype, shape : of the chunks.
    head : bytes that their frames start with.
    has_section : whether the length of another section, maps or latents, follows the head.
    sample : rows and columns of a small chunk.
    """

    coder: FrameDecoder
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    head: bytes
    has_section: bool
    sample: tuple[int, int] = (0, 0)


def register(template: FrameTemplate) -> FrameTemplate | None:
    """Let frames be found; the template of their head, or None if there are too many."""
    global _lengths
    with _lock:
        if len(_templates) >= _MOST_TEMPLATES:
            return None
        template = _templates.setdefault(template.head, template)
        _lengths = tuple(sorted({*_lengths, len(template.head)}))
        return template


class SmallCoder(ABC):
    """Codes small chunks by one model, in memory that threads share."""

    def __init__(self, model: Model) -> None:
        self.digest = model.digest
        self.model = model
        self._known: dict[tuple[np.dtype[Any], tuple[int, ...]], FrameTemplate | None] = {}

    @abstractmethod
    def takes(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
        """Whether chunks may be small ones, as far as can be told at a glance."""

    @abstractmethod
    def encode(self, template: FrameTemplate, arrays: Sequence[Array]) -> Sequence[bytes | None]:
        """Frames of arrays that have one template; None for those that go the long way."""

    @abstractmethod
    def decode(
        self, template: FrameTemplate, sections: Sequence[Sections]
    ) -> Sequence[Array | None]:
        """Arrays of frames that have one template, each with memory of its own; None likewise."""

    @abstractmethod
    def make(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> FrameTemplate | None:
        """The template of chunks, if they are small ones."""

    def template(self, array: Any) -> FrameTemplate | None:
        """Where a chunk belongs; None if it is no small one in C order."""
        if type(array) is not np.ndarray or not self.takes(array.dtype, array.shape):
            return None
        return self.remember_shape(array.dtype, array.shape) if array.flags.c_contiguous else None

    def remember_shape(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> FrameTemplate | None:
        """The template of chunks of a dtype and shape, made when they are first met."""
        key = dtype, shape
        if key in self._known:
            return self._known[key]
        template = self.make(dtype, shape) if shape and 0 not in shape else None
        if template is not None:
            template = register(template)
        if len(self._known) < _MOST_TEMPLATES:
            self._known[key] = template
        return template


def any_known() -> bool:
    """Whether any template is known, and so whether frames are worth looking at."""
    return bool(_lengths)


def opened(frame: bytes) -> tuple[FrameTemplate | None, Sections]:
    """A frame's template and sections; no template if it is not known, or the frame is unusual."""
    template, nothing = None, (None, (b"", b""))
    for n in _lengths:
        template = _templates.get(frame[:n])
        if template is not None:
            break
    if template is None or len(frame) < n + 5 or not is_loaded(template.coder.digest):
        return nothing
    length, first = 0, n
    if template.has_section:
        for shift in range(0, 28, 7):
            byte = frame[first]
            length, first = length | (byte & 127) << shift, first + 1
            if byte < 128 or first >= len(frame) - 4:
                break
    start, view = first + length, memoryview(frame)
    if start > len(frame) - 4 or zlib.crc32(view[:-4]) != int.from_bytes(view[-4:], "little"):
        return nothing
    return template, (frame[first:start], frame[start:-4])
