"""Section: planes of integers to the latents section of a lossy frame, and back (FORMAT.md 11)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine import select
from ..entropy import sequences
from ..errors import CodecError
from ..residual.fixed import Ints
from ..residual.schedule import n_states
from ..wire import Reader, pack_varint
from . import colour
from .backend import Backend, Decoding
from .bands import FRACTION_BITS, LOW, Band
from .contexts import mean_code
from .pictures import Coded, Item, Known, Place, decode_plane, encode_plane, predicted_difference
from .predict import GAIN_BITS
from .quantise import choose, first_guess
from .stream import operations, read_mean
from .transform import Transform

MAX_STEP = 1 << 44
_PASSES = 2  # of the encoder's choice: each changes the classes that it was made with


def encode(
    transform: Transform, engine: str | None, planes: Ints, step: int, colours: bool
) -> tuple[bytes, Ints]:
    """Latents section of planes (planes, rows, columns), and what `decode` makes of it.

    Parameters
    ----------
    step : quantisation step in 1/1024 of the planes' unit, from `least_step` to `MAX_STEP`.
    colours : whether each three planes are the colours of a picture.
    """
    base = _middle(planes)
    backend = transform.backend(engine)
    chooser = Chooser(transform, backend)
    items: list[Item] = []
    out = np.empty(planes.shape, np.int64)
    for part in _pictures(planes.shape[0], colours):
        shown = (planes[part] - base) << FRACTION_BITS
        earlier: list[Coded] = []
        seen = []
        for plane in colour.forward(shown) if colours else shown:
            found, coded, picture = encode_plane(plane, step, earlier, transform, backend, chooser)
            items += found
            earlier.append(coded)
            seen.append(picture)
        out[part] = _shown(seen, base, colours)
    states = n_states(planes.size)
    rans = sequences.on(select(engine).name)
    body: bytes = rans.encode(*operations(items, transform.means, backend, states), states)
    zigzag = 2 * base if base >= 0 else -2 * base - 1
    return bytes((colours,)) + pack_varint(step) + pack_varint(zigzag) + body, out


def decode(
    transform: Transform, engine: str | None, section: bytes, shape: tuple[int, int, int]
) -> tuple[Ints, list[Coded]]:
    """Planes of `shape` from a section, and the bands of each.

    Raises
    ------
    CodecError
        If the section is not that of planes of this shape.
    """
    reader = Reader(section)
    flags, step, zigzag = reader.byte(), reader.varint(), reader.varint()
    if flags > 1 or (flags and shape[0] % 3) or not 1 <= step <= MAX_STEP or zigzag >> 33:
        raise CodecError("frame is damaged: its latents have an impossible header")
    if shape[0] > len(section):
        raise CodecError(f"frame is damaged: {shape[0]} planes in {len(section)} bytes")
    base = -((zigzag + 1) >> 1) if zigzag & 1 else zigzag >> 1
    backend = transform.backend(engine)
    stream = backend.decoding(bytes(reader.rest()), int(np.prod(shape)))
    out = np.empty(shape, np.int64)
    every: list[Coded] = []
    for part in _pictures(shape[0], bool(flags)):
        earlier: list[Coded] = []
        planes = []
        for _ in range(part.stop - part.start):
            taker = Taker(stream)
            plane, coded = decode_plane(shape[1:], step, earlier, transform, backend, taker)
            planes.append(plane)
            earlier.append(coded)
        out[part] = _shown(planes, base, bool(flags))
        every += earlier
    stream.finish()
    return out, every


def _shown(planes: Sequence[Ints], base: int, colours: bool) -> Ints:
    """A picture's planes in 1/1024 units as integers of the data."""
    whole = colour.backward(np.stack(planes)) if colours else np.stack(planes)
    return ((whole + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS) + base


def least_step(planes: Ints) -> int:
    """The finest step at which all coefficients of planes are sure to have a token."""
    span = int(planes.max()) - int(planes.min())
    return max(1, (span << FRACTION_BITS) >> 16)


def _middle(planes: Ints) -> int:
    return (int(planes.min()) + int(planes.max())) >> 1


def _pictures(n_planes: int, colours: bool) -> Iterator[slice]:
    size = 3 if colours else 1
    return (slice(i, i + size) for i in range(0, n_planes, size))


def low_values(coefficients: Ints, ratio: npt.NDArray[np.float64]) -> Ints:
    """The low band's values, from its coefficients and their magnitudes in steps."""
    nearest = np.floor(ratio + 0.5).astype(np.int64)
    return predicted_difference(np.where(coefficients < 0, -nearest, nearest))


@dataclass(frozen=True)
class Chooser:
    """Quantises bands by cost, given the classes that its own choices lead to."""

    transform: Transform
    backend: Backend

    def __call__(
        self, band: Band, coefficients: Ints, step: int, known: Known
    ) -> tuple[int, Ints, Ints]:
        ratio = np.abs(coefficients) / step
        if band.kind == LOW:
            values = low_values(coefficients, ratio)
        else:
            magnitude = self.magnitudes(ratio, known)
            values = np.where(coefficients < 0, -magnitude, magnitude)
        code = mean_code(np.abs(values))
        if not code:
            return 0, values, np.zeros_like(values)
        return code, values, self.backend.classify(known(code), np.abs(values))

    def magnitudes(self, ratio: Any, known: Known) -> Ints:
        """Magnitudes of least cost for coefficients in steps."""
        magnitude = first_guess(ratio)
        doubtful = ratio >= 0.5  # others are zero, whatever it costs
        for _ in range(_PASSES):
            code = mean_code(magnitude)
            if not code:
                break
            classes = self.backend.classify(known(code), magnitude, doubtful)
            transform = self.transform
            magnitude = choose(ratio, classes, transform.centroids, transform.costs)
        return magnitude


@dataclass(frozen=True)
class Taker:
    """Reads bands from a stream."""

    stream: Decoding

    def __call__(self, place: Place) -> tuple[int, int, Ints, Ints]:
        code = read_mean(self.stream, place.expected, place.of_parent)
        gain = 0 if place.prediction is None else self.stream.raw(GAIN_BITS)
        if not code:
            empty = np.zeros((place.band.rows, place.band.columns), np.int64)
            return 0, gain, empty, empty
        return code, gain, *self.stream.band(place.band, place.known(code))
