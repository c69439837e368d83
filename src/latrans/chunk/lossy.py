"""Lossy: chunks of models with a transform, at the quality that is asked for (FORMAT.md 11)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from ..errors import CodecError
from ..format.axes import Layout
from ..format.varint import Reader
from ..maps import apply
from ..maps.base import MAPS, Quantised
from ..maps.inverse import inverted
from ..maps.mapping import Mapping
from ..models.model import Model
from ..transform import colour, section
from ..transform.bands import FRACTION_BITS
from ..transform.planes import CodedBands
from .rate import Rate

LATENT_DTYPE = "int32"


def encode(model: Model, engine: str | None, layout: Layout, mapping: Mapping, rate: Rate) -> bytes:
    """Latents section of mapped planes."""
    assert model.transform is not None
    planes = mapping.integers
    span = max(1, int(planes.max()) - int(planes.min()))
    step = rate.of(span, _scale(mapping), 1 << FRACTION_BITS, section.MAX_STEP)
    step = max(step, section.least_step(planes))
    colours = _is_picture(layout) and _worth(planes)
    return section.encode(model.transform, engine, planes, step, colours)


def decode(
    model: Model,
    engine: str | None,
    data: bytes,
    shape: tuple[int, int, int],
    mapping: Mapping,
    dtype: np.dtype[Any],
) -> npt.NDArray[Any]:
    """Values of planes of `shape` in their numeric dtype."""
    pictures = _restored_pictures(model, engine, data, shape)
    if mapping.is_plain:
        out = np.empty(shape, dtype)
        for part, integers, _ in pictures:
            out[part] = apply.unmap(integers, b"", dtype, approximate=True)
        return out
    whole = np.empty(shape, np.int64)
    for part, integers, _ in pictures:
        whole[part] = integers
    return inverted(mapping, whole, dtype, approximate=True)


def latents(
    model: Model, engine: str | None, data: bytes, shape: tuple[int, int, int]
) -> npt.NDArray[np.int32]:
    """Latents of planes of `shape`: bands of coefficients, the coarse ones upper left."""
    out = np.empty(shape, np.int32)
    for part, _, coded in _restored_pictures(model, engine, data, shape):
        for plane, c in zip(out[part], coded, strict=True):
            plane[...] = c.arranged(shape[1:])
    return out


def _restored_pictures(
    model: Model, engine: str | None, data: bytes, shape: tuple[int, int, int]
) -> Iterator[tuple[slice, Ints, list[CodedBands]]]:
    if model.transform is None:
        raise CodecError(f"frame is damaged: model {model.name!r} has no transform")
    return section.decode(model.transform, engine, data, shape)


def _scale(mapping: Mapping) -> float:
    """How many units of the data one of the mapped integers is."""
    reader = Reader(mapping.sections[0])
    if not reader.remaining:
        return 1.0
    map_: Any = MAPS[reader.byte() & 63].read(reader)
    return map_.step if isinstance(map_, Quantised) else 1.0


def _is_picture(layout: Layout) -> bool:
    """Whether each three planes are the three channels of something."""
    if not layout.counts or layout.counts[-1] != 3:
        return False
    return layout.axes[layout.order[len(layout.counts) - 1]] == "c"


def _worth(planes: Ints) -> bool:
    """Whether brightness and differences vary less than the three channels do."""
    first = planes[:3].astype(np.int64)
    return _variation(colour.forward(first)) < _variation(first)


def _variation(planes: Ints) -> float:
    """Product of the planes' mean differences, from integer sums."""
    product = 1.0
    for plane in planes:
        along = int(np.abs(np.diff(plane)).sum()) + int(np.abs(np.diff(plane, axis=0)).sum())
        product *= 1.0 + along
    return product
