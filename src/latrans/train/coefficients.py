"""Coefficients to learn from: what the encoder itself meets in pictures.

Rows are coefficients with their network inputs; statistics are sums over all of them that tables
follow from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from ..engine.program import Layer, Program
from ..transform import colour, signs
from ..transform.bands import FRACTION_BITS, HORIZONTAL, LOW, VERTICAL, Subband
from ..transform.contexts import (
    LEFT,
    N_INPUTS,
    RIGHT,
    UP,
    Inputs,
    Surroundings,
    canvas,
    causal,
    gather,
    mean_code,
)
from ..transform.lifting import split
from ..transform.operations import signs_of
from ..transform.planes import CodedBands, QuantisedBand, encode_plane
from ..transform.predict import N_LEVELS, N_WEIGHTS, WEIGHT_BITS, Weights, differences, without
from ..transform.protocol import N_CLASSES, Backend
from ..transform.quantise import N_CENTROIDS, Centroids, first_guess
from ..transform.rdo import Chooser, low_values
from ..transform.stream import (
    MEAN_ESCAPE,
    N_MEAN_SYMBOLS,
    N_MEAN_TABLES,
    mean_symbol,
    mean_table,
)
from ..transform.symbols import ESCAPE, N_SYMBOLS
from ..transform.transform import Transform
from .pictures import Picture

Array = npt.NDArray[np.float64]


@dataclass
class CoefficientRows:
    """Coefficients to learn from: `inputs` (n, N_INPUTS) int8, the others (n,)."""

    inputs: npt.NDArray[np.int8]
    magnitude: Ints
    ratio: Array
    is_low: npt.NDArray[np.bool_]

    @staticmethod
    def joined(parts: Sequence[CoefficientRows]) -> CoefficientRows:
        names = ("inputs", "magnitude", "ratio", "is_low")
        return CoefficientRows(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


class _Recorder:
    """Quantises as the encoder does and keeps some of what it met."""

    def __init__(
        self,
        chooser: Chooser | None,
        prediction: Weights,
        rng: np.random.Generator,
        share: float,
    ) -> None:
        self._chooser, self._prediction = chooser, prediction
        self._rng, self._share = rng, share
        self.parts: list[CoefficientRows] = []

    def __call__(self, around: Surroundings, coefficients: Ints) -> tuple[int, int, Ints, Ints]:
        band = around.band
        wide, low = coefficients.astype(np.int64), around.low
        around = replace(around, low=None if low is None else low.astype(np.int64))
        gain, rest = without(around, wide, self._prediction)
        ratio = np.abs(rest) / around.step
        if band.kind == LOW:
            values = low_values(rest, ratio)
        else:
            chosen = (
                first_guess(ratio) if self._chooser is None
                else self._chooser.magnitudes(ratio, around)
            )  # fmt: skip
            values = np.where(rest < 0, -chosen, chosen)
        magnitude = np.abs(values)
        code = mean_code(magnitude)
        if code:
            self._keep(band, magnitude, ratio, around.inputs(code))
        return gain, code, values.astype(np.int32), np.zeros(values.shape, np.uint8)

    def _keep(self, band: Subband, magnitude: Ints, ratio: Array, known: Inputs) -> None:
        around = canvas(*magnitude.shape)
        around[UP:, LEFT:-RIGHT] = magnitude
        inputs = np.concatenate([causal(gather(around)), known]).reshape(N_INPUTS, -1)
        kept = np.flatnonzero(self._rng.random(magnitude.size) < self._share)
        self.parts.append(
            CoefficientRows(
                inputs[:, kept].T.astype(np.int8),
                magnitude.reshape(-1)[kept],
                ratio.reshape(-1)[kept],
                np.full(kept.size, band.kind == LOW),
            )
        )


@dataclass
class Statistics:
    """Sums over all bands.

    Attributes
    ----------
    means : how often which symbol told a mean.
    moments : products of signs around, and of those with the sign, per row of sign weights.
    sign_counts : how often a sign was as expected, and how often not, by its table.
    """

    means: Array = field(default_factory=lambda: np.zeros((N_MEAN_TABLES, N_MEAN_SYMBOLS)))
    moments: Array = field(
        default_factory=lambda: np.zeros(
            (signs.N_LEVELS * signs.N_KINDS, signs.N_NEIGHBOURS + 1, signs.N_NEIGHBOURS)
        )
    )
    sign_counts: Array = field(default_factory=lambda: np.zeros((signs.N_TABLES, 2)))

    def add(self, item: QuantisedBand, sign_weights: signs.Weights) -> None:
        if item.expected is not None:
            table = mean_table(item.expected, item.of_parent)
            self.means[table, mean_symbol(item.code, item.expected)] += 1
        there = item.values != 0
        if item.band.kind == LOW or not there.any():
            return
        around = canvas(*item.values.shape)
        around[UP:, LEFT:-RIGHT] = signs.clipped(item.values)
        x = gather(around, signs.N_NEIGHBOURS)[:, there].astype(np.float64)
        y = np.sign(item.values[there]).astype(np.float64)
        # A picture counts as much as its bits do, but by its root: no one rules the weights.
        weight = 1 / np.sqrt(y.size)
        self.moments[signs.row_of(item.band)] += weight * (np.vstack([x, y]) @ x.T)
        which, symbol = signs_of(item.band, item.values, sign_weights)
        np.add.at(self.sign_counts, (which[there], symbol[there]), 1.0)

    def sign_weights(self) -> signs.Weights:
        """Weights by least squares."""
        ridge = np.eye(signs.N_NEIGHBOURS)
        solved = [np.linalg.solve(m[:-1] + ridge, m[-1]) for m in self.moments]
        scaled = np.rint(np.stack(solved) * signs.WEIGHT_UNIT)
        return np.clip(scaled, -127, 127).astype(np.int8)


def collect(
    pictures: Sequence[Picture],
    transform: Transform | Start,
    rng: np.random.Generator,
    share: float,
) -> tuple[CoefficientRows, Statistics]:
    """Rows of pictures, a share of their coefficients, and statistics of all of them."""
    chooser = None
    if isinstance(transform, Transform):
        backend = transform.backend(None)
        chooser = Chooser(transform, backend.classify)
    else:
        backend = blank_backend(transform)
    recorder = _Recorder(chooser, transform.prediction, rng, share)
    statistics = Statistics()
    for picture in pictures:
        planes = _fixed_point_planes(picture)
        step = max(1, round(picture.step * 2**FRACTION_BITS))
        earlier: list[CodedBands] = []
        for plane in planes:
            found, coded, _ = encode_plane(plane, step, earlier, backend, recorder)
            for item in found:
                statistics.add(item, transform.sign_weights)
            earlier.append(coded)
    return CoefficientRows.joined(recorder.parts), statistics


def blank_backend(start: Start) -> Backend:
    """A backend whose network and tables mean nothing yet."""
    zero = Layer(
        "dense",
        np.zeros((1, N_INPUTS), np.int8),
        np.zeros(1, np.int32),
        np.ones(1, np.uint8),
        lo=0,
        hi=0,
    )
    escape = np.zeros((N_CLASSES, N_SYMBOLS), np.uint16)
    escape[:, ESCAPE] = 4096
    means = np.zeros((N_MEAN_TABLES, N_MEAN_SYMBOLS), np.uint16)
    means[:, MEAN_ESCAPE] = 4096
    network = Program((zero,), -127, 127, (N_INPUTS,))
    even = np.full((signs.N_TABLES, 2), 2048, np.uint16)
    blank = Transform(
        network, escape, start.centroids, start.prediction, means, start.sign_weights, even
    )
    return blank.backend(None)


def _fixed_point_planes(picture: Picture) -> Ints:
    shown = (picture.planes - int(np.median(picture.planes))) << FRACTION_BITS
    return colour.forward(shown) if len(shown) == 3 else shown


@dataclass(frozen=True)
class Start:
    """What stands in for a transform before there is one."""

    centroids: Centroids
    prediction: Weights

    @property
    def sign_weights(self) -> signs.Weights:
        """No sign is expected yet."""
        return np.zeros((signs.N_LEVELS * signs.N_KINDS, signs.N_NEIGHBOURS), np.int8)

    @classmethod
    def of(cls, pictures: Sequence[Picture]) -> Start:
        """Centroids of no effect, and the prediction by least squares over all bands alike."""
        moments = np.zeros((N_LEVELS, N_WEIGHTS + 1, N_WEIGHTS + 1))
        for picture in pictures:
            for plane in _fixed_point_planes(picture):
                _add_moments(moments, plane)
        weights = [np.linalg.solve(m[:-1, :-1], m[:-1, -1]) for m in moments]
        scaled = np.rint(np.stack(weights) * (1 << WEIGHT_BITS))
        return cls(
            np.zeros((N_CLASSES, N_CENTROIDS), np.int8),
            np.clip(scaled, -32767, 32767).astype(np.int16),
        )


def _add_moments(moments: Array, plane: Ints) -> None:
    """Products of a plane's differences and coefficients, each band weighted by its energy."""
    low = plane
    for level in range(1, N_LEVELS + 1):
        low, *detail = split(low)
        for kind, part in zip((HORIZONTAL, VERTICAL), detail, strict=False):
            band = Subband(level, kind, *part.shape)
            rows = np.concatenate([differences(band, low), part[None]]).reshape(N_WEIGHTS + 1, -1)
            scaled = rows.astype(np.float64) / (1 << FRACTION_BITS)
            energy = float((scaled[-1] ** 2).mean())
            if energy > 1e-2:
                moments[level - 1] += scaled @ scaled.T / (energy * scaled.shape[1])
    diagonal = np.arange(N_WEIGHTS)
    moments[:, diagonal, diagonal] += 1e-9
