"""Pictures: planes to bands of integers with their classes, and back.

A picture is a plane, or the three planes of a colour picture; the later planes of a picture see
the earlier ones.  Encoder and decoder walk the same way: the low band first, then level by level,
each with the picture so far, so that what the decoder will know is all that classes depend on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from . import predict
from .bands import DIAGONAL, HORIZONTAL, LOW, VERTICAL, Subband, bands
from .contexts import Surroundings
from .lifting import sizes
from .low import predicted_sum
from .protocol import Backend

# Gain, code, values and classes of a band that has these coefficients.
Quantise = Callable[[Surroundings, Ints], tuple[int, int, Ints, Ints]]


@dataclass
class CodedBands:
    """A plane's bands, by level and kind, as they become known.

    Attributes
    ----------
    values : quantised coefficients; of the low band the differences to its prediction.
    codes : mean codes.
    """

    values: dict[tuple[int, int], Ints] = field(default_factory=dict)
    codes: dict[tuple[int, int], int] = field(default_factory=dict)

    def note(self, band: Subband, code: int, values: Ints) -> None:
        """A band has become known."""
        self.values[band.level, band.kind], self.codes[band.level, band.kind] = values, code

    def arranged(self, shape: tuple[int, int]) -> npt.NDArray[np.int32]:
        """All values in one plane: coarse bands in the upper left, as is customary."""
        out = np.zeros(shape, np.int32)
        for band in bands(*shape):
            values = self.values[band.level, band.kind]
            low = [sizes(n, band.level)[-1] for n in shape]
            top = low[0] if band.kind in (VERTICAL, DIAGONAL) else 0
            left = low[1] if band.kind in (HORIZONTAL, DIAGONAL) else 0
            out[top : top + band.rows, left : left + band.columns] = (
                predicted_sum(values) if band.kind == LOW else values
            )
        return out


@dataclass(frozen=True)
class BandContext:
    """A band that is to be coded, and all that is known of it.

    Attributes
    ----------
    expected : code that its own is told relative to; None for the low band.
    of_parent : whether that is the code of the coarser band of the same kind.
    """

    around: Surroundings
    expected: int | None = None
    of_parent: bool = False


@dataclass(frozen=True)
class QuantisedBand:
    """What the entropy coder needs of a band.

    Attributes
    ----------
    code : mean code; all values are zero where it is 0.
    expected, of_parent : what the code is told relative to, as in `BandContext`.
    gain : of the prediction; None for bands without.
    values, classes : (rows, columns); of the low band the differences to its prediction.
    """

    band: Subband
    code: int
    expected: int | None
    of_parent: bool
    gain: int | None
    values: Ints
    classes: Ints


# Gain, code, values and classes of the next band.
Take = Callable[[BandContext], tuple[int, int, Ints, Ints]]


def encode_plane(
    plane: Ints, step: int, earlier: Sequence[CodedBands], backend: Backend, quantise: Quantise
) -> tuple[list[QuantisedBand], CodedBands, Callable[[], Ints]]:
    """Bands of a plane (rows, columns) of 1/1024 units, and what a decoder makes of them."""
    shape = plane.shape
    every = bands(*shape)
    given: dict[tuple[int, int], Ints] = {}
    low = plane
    del plane  # split once, and the largest of all
    for level in range(1, every[0].level + 1):
        low, *detail = backend.split(low)
        given |= {(level, kind): part for kind, part in enumerate(detail, 1)}
    given[every[0].level, LOW] = low
    items: list[QuantisedBand] = []

    def take(place: BandContext) -> tuple[int, int, Ints, Ints]:
        band = place.around.band
        found = quantise(place.around, given.pop((band.level, band.kind)))
        gain, code, values, classes = found
        told = gain if predict.is_predicted(band) else None
        items.append(
            QuantisedBand(band, code, place.expected, place.of_parent, told, values, classes)
        )
        return found

    coded, picture = _walk(shape, step, earlier, backend, take)
    return items, coded, picture


def decode_plane(
    shape: tuple[int, int], step: int, earlier: Sequence[CodedBands], backend: Backend, take: Take
) -> tuple[Ints, CodedBands]:
    """A plane in 1/1024 units, from whatever `take` reads of each band."""
    coded, picture = _walk(shape, step, earlier, backend, take)
    return picture(), coded


def _walk(
    shape: tuple[int, ...], step: int, earlier: Sequence[CodedBands], backend: Backend, take: Take
) -> tuple[CodedBands, Callable[[], Ints]]:
    """All bands of a plane, and what makes a picture of them: encoders seldom ask for it."""
    coded = CodedBands()
    every = bands(shape[0], shape[1])
    _, before, values, _ = take(BandContext(_around(every[0], coded, earlier, None, step)))
    coded.note(every[0], before, values)
    low = predicted_sum(values) * every[0].step(step)

    def picture() -> Ints:
        return low

    for group in zip(every[1::3], every[2::3], every[3::3], strict=True):
        low = picture()
        parts: list[Callable[[], Ints]] = []
        for band in group:
            if not band.rows * band.columns:
                empty: Any = np.zeros((band.rows, band.columns), np.int32)
                coded.note(band, 0, empty)
                parts.append(partial(np.asarray, empty))
                continue
            of_parent = (band.level + 1, band.kind) in coded.codes
            expected = coded.codes[band.level + 1, band.kind] if of_parent else before
            around = _around(band, coded, earlier, low, step)
            gain, before, values, classes = take(BandContext(around, expected, of_parent))
            coded.note(band, before, values)
            parts.append(partial(backend.restore, around, gain, values, classes))
        picture = partial(_joined, backend, low, parts)
    return coded, picture


def _joined(backend: Backend, low: Ints, parts: Sequence[Callable[[], Ints]]) -> Ints:
    return backend.join(low, *(part() for part in parts))


def _around(
    band: Subband, coded: CodedBands, earlier: Sequence[CodedBands], low: Ints | None, step: int
) -> Surroundings:
    parent = coded.values.get((band.level + 1, band.kind)) if band.kind != LOW else None
    siblings = [coded.values[band.level, kind] for kind in range(1, band.kind)]
    return Surroundings(
        band,
        parent if parent is not None and parent.size else None,
        coded.codes.get((band.level + 1, band.kind), 0),
        [s for s in siblings if s.size][:2],
        [e.values[band.level, band.kind] for e in earlier][:2],
        low,
        band.step(step),
    )
