"""Small chunks: one sample or one small plane each, many of them in one compiled call.

A 28 x 28 digit is coded in less time than Python takes to look at its axes.  So what all chunks of
one shape have in common, the head of their frames, is made once, and everything behind it is left
to compiled code.  Whatever is unusual goes the long way, which writes the same bytes and knows how
to complain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from ..engine import select
from ..errors import CodecError
from ..format.frame import Frame
from ..models.model import Model
from . import small_coders
from .frame_template import FrameTemplate, SmallCoder, any_known, opened
from .piece_decoder import piece_decoder

Array = npt.NDArray[Any]


def encoded(model: Model, engine: str | None, arrays: Sequence[Any]) -> list[bytes | None]:
    """Frames of those arrays that are small chunks, None for others."""
    frames: list[bytes | None] = [None] * len(arrays)
    coder = _coder(model, engine)
    if coder is not None:
        for template, members in _groups([coder.template(array) for array in arrays]).items():
            found = coder.encode(template, [arrays[i] for i in members])
            for i, frame in zip(members, found, strict=True):
                frames[i] = frame
    return frames


def decoded(frames: Sequence[bytes], engine: str | None) -> list[Array | None]:
    """Arrays of those frames that are intact and of a known template, None for others."""
    arrays: list[Array | None] = [None] * len(frames)
    if not any_known():
        return arrays
    found_in = [opened(frame) for frame in frames]
    groups = _groups([template for template, _ in found_in])
    if not groups or select(engine).host != "native":
        return arrays
    for template, members in groups.items():
        try:
            found = template.coder.decode(template, [found_in[i][1] for i in members])
        except CodecError:
            continue  # one of them is damaged; which one will show
        for i, array in zip(members, found, strict=True):
            arrays[i] = array
    return arrays


def remember_shape(model: Model, frame: Frame, engine: str | None) -> None:
    """Prepare for more frames like one that has been decoded."""
    coder = _coder(model, engine)
    if coder is not None and frame.mode == "lossless" and coder.takes(frame.dtype, frame.shape):
        coder.remember_shape(frame.dtype, frame.shape)
    if select(engine).host == "native":
        decoder = model.prepared("piece decoder", lambda: piece_decoder(model))
        if decoder is not None:
            decoder.remember(frame)


def _coder(model: Model, engine: str | None) -> SmallCoder | None:
    """What codes a model's small chunks on an engine, prepared once; None if nothing does."""
    if select(engine).host != "native":
        return None
    return model.prepared("small chunks", lambda: small_coders.coder_of(model))


def _groups(templates: Sequence[FrameTemplate | None]) -> dict[FrameTemplate, list[int]]:
    """Indices of chunks that have the same template."""
    found: dict[FrameTemplate, list[int]] = {}
    for i, template in enumerate(templates):
        if template is not None:
            found.setdefault(template, []).append(i)
    return found
