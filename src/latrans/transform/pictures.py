"""Pictures: planes to bands of integers with their classes, and back.

A picture is a plane, or the three planes of a colour picture; the later planes of a picture see
the earlier ones.  Encoder and decoder walk the same way: the low band first, then level by level,
each with the picture so far, so that what the decoder will know is all that classes depend on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

import numpy as np

from ..residual.fixed import Ints
from . import contexts, predict
from .backend import Backend
from .bands import DIAGONAL, HORIZONTAL, LOW, VERTICAL, Band, bands
from .lifting import sizes
from .quantise import Centroids, dequantise

Quantise = Callable[[Band, Ints, int, "Known"], tuple[int, Ints, Ints]]
Known = Callable[[int], contexts.Inputs]


class Learned(Protocol):
    """What of a transform decides where decoded coefficients lie."""

    @property
    def centroids(self) -> Centroids: ...
    @property
    def prediction(self) -> predict.Weights: ...


@dataclass
class Coded:
    """A plane's bands, by level and kind, as they become known.

    Attributes
    ----------
    values : quantised coefficients.
    magnitudes : sizes of what was coded; of the low band those of the differences.
    codes : mean codes.
    """

    values: dict[tuple[int, int], Ints] = field(default_factory=dict)
    magnitudes: dict[tuple[int, int], Ints] = field(default_factory=dict)
    codes: dict[tuple[int, int], int] = field(default_factory=dict)

    def arranged(self, shape: tuple[int, int]) -> Ints:
        """All values in one plane: coarse bands in the upper left, as is customary."""
        out = np.zeros(shape, np.int64)
        for band in bands(*shape):
            low = [sizes(n, band.level)[-1] for n in shape]
            top = low[0] if band.kind in (VERTICAL, DIAGONAL) else 0
            left = low[1] if band.kind in (HORIZONTAL, DIAGONAL) else 0
            out[top : top + band.rows, left : left + band.columns] = self.values[
                band.level, band.kind
            ]
        return out


@dataclass(frozen=True)
class Place:
    """A band that is to be coded, and all that is known of it.

    Attributes
    ----------
    known : its inputs, given its mean code.
    expected : code that its own is told relative to; None for the low band.
    of_parent : whether that is the code of the coarser band of the same kind.
    prediction : what its coefficients should be, for bands that are predicted.
    """

    band: Band
    known: Known
    expected: int | None = None
    of_parent: bool = False
    prediction: Ints | None = None


@dataclass(frozen=True)
class Item:
    """What the entropy coder needs of a band.

    Attributes
    ----------
    code : mean code; all values are zero where it is 0.
    expected, of_parent : what the code is told relative to, as in `Place`.
    gain : of the prediction; None for bands without.
    values, classes : (rows, columns); of the low band the differences to its prediction.
    """

    band: Band
    code: int
    expected: int | None
    of_parent: bool
    gain: int | None
    values: Ints
    classes: Ints


# Code, gain, values and classes of a band.
Take = Callable[[Place], tuple[int, int, Ints, Ints]]


def encode_plane(
    plane: Ints,
    step: int,
    earlier: Sequence[Coded],
    learned: Learned,
    backend: Backend,
    quantise: Quantise,
) -> tuple[list[Item], Coded, Ints]:
    """Bands of a plane (rows, columns) of 1/1024 units, and what a decoder makes of them.

    `quantise(band, coefficients, step, known)` returns the band's code, values and classes for
    coefficients relative to their prediction; `known(code)` are the inputs that it may use.
    """
    every = bands(*plane.shape)
    given: dict[tuple[int, int], Ints] = {}
    low = plane
    for level in range(1, every[0].level + 1):
        low, *detail = backend.split(low)
        given |= {(level, kind): part for kind, part in enumerate(detail, 1)}
    given[every[0].level, LOW] = low
    items: list[Item] = []

    def take(place: Place) -> tuple[int, int, Ints, Ints]:
        band, coefficients, gain = place.band, given[place.band.level, place.band.kind], 0
        if place.prediction is not None:
            gain = predict.best_gain(place.prediction, coefficients, band.step(step))
            coefficients = coefficients - predict.scaled(place.prediction, gain)
        found = quantise(band, coefficients, band.step(step), place.known)
        told = None if place.prediction is None else gain
        items.append(Item(band, found[0], place.expected, place.of_parent, told, *found[1:]))
        return found[0], gain, *found[1:]

    coded, picture = _walk(plane.shape, step, earlier, learned, backend, take)
    return items, coded, picture


def decode_plane(
    shape: tuple[int, int],
    step: int,
    earlier: Sequence[Coded],
    learned: Learned,
    backend: Backend,
    take: Take,
) -> tuple[Ints, Coded]:
    """A plane in 1/1024 units, from whatever `take` reads of each band."""
    coded, picture = _walk(shape, step, earlier, learned, backend, take)
    return picture, coded


def _walk(
    shape: tuple[int, ...],
    step: int,
    earlier: Sequence[Coded],
    learned: Learned,
    backend: Backend,
    take: Take,
) -> tuple[Coded, Ints]:
    coded = Coded()
    every = bands(shape[0], shape[1])
    known = _known(every[0], coded, earlier, None, step, backend)
    code, _, values, _ = take(Place(every[0], known))
    whole = predicted_sum(values)
    _note(coded, every[0], code, whole, values)
    before = code
    low = whole * every[0].step(step)
    for group in zip(every[1::3], every[2::3], every[3::3], strict=True):
        parts = []
        for band in group:
            empty = np.zeros((band.rows, band.columns), np.int64)
            if not empty.size:
                _note(coded, band, 0, empty, empty)
                parts.append(empty)
                continue
            of_parent = (band.level + 1, band.kind) in coded.codes
            expected = coded.codes[band.level + 1, band.kind] if of_parent else before
            known = _known(band, coded, earlier, low, step, backend)
            prediction = None
            if predict.is_predicted(band):
                prediction = predict.expected(band, low, learned.prediction)
            place = Place(band, known, expected, of_parent, prediction)
            code, gain, values, classes = take(place)
            before = code
            _note(coded, band, code, values, values)
            detail = dequantise(values, classes, learned.centroids, band.step(step))
            if prediction is not None:
                detail = detail + predict.scaled(prediction, gain)
            parts.append(detail)
        low = backend.join(low, parts[0], parts[1], parts[2])
    return coded, low


def _known(
    band: Band,
    coded: Coded,
    earlier: Sequence[Coded],
    low: Ints | None,
    step: int,
    backend: Backend,
) -> Known:
    parent = coded.magnitudes.get((band.level + 1, band.kind)) if band.kind != LOW else None
    siblings = [coded.magnitudes[band.level, kind] for kind in range(1, band.kind)]
    surroundings = contexts.Surroundings(
        band,
        parent if parent is not None and parent.size else None,
        coded.codes.get((band.level + 1, band.kind), 0),
        [s for s in siblings if s.size][:2],
        [e.magnitudes[band.level, band.kind] for e in earlier][:2],
        low,
        band.step(step),
    )

    @cache
    def fixed() -> contexts.Inputs:
        inputs = backend.known(surroundings)
        contexts.add_constants(inputs, surroundings)
        return inputs

    def known(code: int) -> contexts.Inputs:
        fixed()[contexts.CODE] = contexts.code_input(code)
        return fixed()

    return known


def _note(coded: Coded, band: Band, code: int, values: Ints, told: Ints) -> None:
    place = (band.level, band.kind)
    coded.values[place], coded.magnitudes[place], coded.codes[place] = values, np.abs(told), code


def predicted_difference(values: Ints) -> Ints:
    """The low band's values minus their prediction; `predicted_sum` is the inverse."""
    padded = np.pad(values, ((1, 0), (1, 0)))
    west, north, north_west = padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]
    prediction = np.clip(
        west + north - north_west, np.minimum(west, north), np.maximum(west, north)
    )
    return values - prediction


def predicted_sum(differences: Ints) -> Ints:
    """The low band's values: each differs so much from W + N - NW, held between W and N."""
    rows, columns = differences.shape
    out = [[0] * (columns + 1) for _ in range(rows + 1)]
    for y, row in enumerate(differences.tolist(), 1):
        above, here = out[y - 1], out[y]
        for x, difference in enumerate(row, 1):
            west, north = here[x - 1], above[x]
            low, high = (west, north) if west < north else (north, west)
            here[x] = difference + min(max(west + north - above[x - 1], low), high)
    return np.array(out, np.int64)[1:, 1:]
