"""Section: planes of integers to the latents section of a lossy frame, and back (FORMAT.md 11).

Planes go through one picture at a time, so that a chunk of many takes little more memory than its
integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..coding.fixed_point import Ints
from ..errors import CodecError
from ..format.varint import Reader, pack_varint
from . import colour, predict
from .bands import FRACTION_BITS
from .planes import BandContext, CodedBands, decode_plane, encode_plane
from .predict import GAIN_BITS
from .protocol import Backend, Decoding
from .stream import read_mean, write
from .transform import Transform

MAX_STEP = 1 << 44


def encode(
    transform: Transform, engine: str | None, planes: Ints, step: int, colours: bool
) -> bytes:
    """Latents section of planes (planes, rows, columns) of any integers.

    Parameters
    ----------
    step : quantisation step in 1/1024 of the planes' unit, from `least_step` to `MAX_STEP`.
    colours : whether each three planes are the colours of a picture.
    """
    base = _middle(planes)
    backend = transform.backend(engine)
    encoding = backend.encoding(planes.size)
    for part in reversed(list(_pictures(planes.shape[0], colours))):
        items = []
        earlier: list[CodedBands] = []
        waiting = _fixed_point_planes(planes[part], base, colours, backend)
        while waiting:  # each goes as soon as it is split
            found, coded, _ = encode_plane(waiting.pop(0), step, earlier, backend, backend.quantise)
            items += found
            earlier.append(coded)
        write(items, transform.means, encoding)
    zigzag = 2 * base if base >= 0 else -2 * base - 1
    return bytes((colours,)) + pack_varint(step) + pack_varint(zigzag) + encoding.finish()


def decode(
    transform: Transform, engine: str | None, section: bytes, shape: tuple[int, int, int]
) -> Iterator[tuple[slice, Ints, list[CodedBands]]]:
    """Pictures of a section: where in planes of `shape` they belong, their integers, their bands.

    Raises
    ------
    CodecError
        If the section is not that of planes of this shape, which its end may show.
    """
    reader = Reader(section)
    flags, step, zigzag = reader.byte(), reader.varint(), reader.varint()
    if flags > 1 or (flags and shape[0] % 3) or not 1 <= step <= MAX_STEP or zigzag >> 33:
        raise CodecError("frame is damaged: the header of its latents is invalid")
    if shape[0] > len(section):
        raise CodecError(f"frame is damaged: {shape[0]} planes in {len(section)} bytes")
    base = -((zigzag + 1) >> 1) if zigzag & 1 else zigzag >> 1
    backend = transform.backend(engine)
    stream = backend.decoding(bytes(reader.rest()), int(np.prod(shape)))
    for part in _pictures(shape[0], bool(flags)):
        earlier: list[CodedBands] = []
        planes = []
        for _ in range(part.stop - part.start):
            plane, coded = decode_plane(shape[1:], step, earlier, backend, Taker(stream))
            planes.append(plane)
            earlier.append(coded)
        yield part, _shown(planes, base, bool(flags)), earlier
    stream.finish()


def _fixed_point_planes(planes: Ints, base: int, colours: bool, backend: Backend) -> list[Ints]:
    """A picture's planes in 1/1024 units."""
    largest = max(int(planes.max()) - base, base - int(planes.min())) << FRACTION_BITS
    dtype = backend.working_dtype(2 * largest if colours else largest)
    shown: Any = planes.astype(dtype)
    shown -= base
    shown <<= FRACTION_BITS
    return [p.astype(dtype, copy=False) for p in (colour.forward(shown) if colours else shown)]


def _shown(planes: Sequence[Ints], base: int, colours: bool) -> Ints:
    """A picture's planes in 1/1024 units, which may be overwritten, as integers of the data."""
    whole: Any = colour.backward(np.stack(planes)) if colours else planes[0][None]
    whole += 1 << (FRACTION_BITS - 1)
    whole >>= FRACTION_BITS
    if abs(base) >= 1 << 30:
        whole = whole.astype(np.int64)
    whole += base
    return whole


def least_step(planes: Ints) -> int:
    """The finest step at which all coefficients of planes are sure to have a token."""
    span = int(planes.max()) - int(planes.min())
    return max(1, (span << FRACTION_BITS) >> 16)


def _middle(planes: Ints) -> int:
    return (int(planes.min()) + int(planes.max())) >> 1


def _pictures(n_planes: int, colours: bool) -> Iterator[slice]:
    size = 3 if colours else 1
    return (slice(i, i + size) for i in range(0, n_planes, size))


@dataclass(frozen=True)
class Taker:
    """Reads bands from a stream."""

    stream: Decoding

    def __call__(self, place: BandContext) -> tuple[int, int, Ints, Ints]:
        band = place.around.band
        code = read_mean(self.stream, place.expected, place.of_parent)
        gain = self.stream.raw(GAIN_BITS) if predict.is_predicted(band) else 0
        if not code:
            shape = (band.rows, band.columns)
            return gain, 0, np.zeros(shape, np.int32), np.zeros(shape, np.uint8)
        return gain, code, *self.stream.band(place.around, code)
