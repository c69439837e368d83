"""Trials: linear predictors fitted to, and measured on, a subsample of a plane (FORMAT.md 6.6).

The planner's arithmetic.  `Trials` is the definition; the compiled backend has a twin that finds
the same integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np

from ..coding.fixed_point import Ints, floor_log2
from ..coding.geometry import Geometry, Offsets
from .features import activity
from .fit import Noise, estimate, fit
from .neighbours import CodedPlane, Samples, Workspace, predict

_MOST = (1 << 31) - 1
FLOOR = 64  # of errors, a quarter of a unit
_MOST_GUESS = 1 << 28  # of errors that rounds start from
_MIN_SHIFT = 6  # of weights; what is coarser predicts little


@dataclass(frozen=True)
class Trial:
    """A linear predictor and how it did.

    Attributes
    ----------
    weights, shift : as in `Coefficients`.
    error : sum of absolute errors, 8 fraction bits.
    cost : estimated bits of the subsample, in 1/32.
    """

    weights: Ints
    shift: int
    error: int
    cost: int

    def bits(self, look: range, n_samples: int) -> float:
        """Estimated bits of the samples that the subsample stands for."""
        return self.cost / 32 * n_samples / len(look)


WeightSet = tuple[Ints, int]  # weights and shift; they may be fewer than the taps


class Trier(Protocol):
    """Tries linear predictors on one plane; rows of samples are given by their range."""

    def fit(
        self,
        looks: Sequence[range],
        choices: Sequence[tuple[int, ...]],
        rounds: int,
        guesses: Sequence[WeightSet] | None = None,
    ) -> list[list[Trial | None]]:
        """The best weights for each choice of references, by look; None where there are none.

        Rounds start from the errors of guesses, weights for the first choice, if there are any.
        """

    def measure(
        self, looks: Sequence[range], references: tuple[int, ...], sets: Sequence[WeightSet]
    ) -> list[Trial]:
        """Given weights, a set for each look."""

    def coarsen(
        self,
        looks: Sequence[range],
        n_samples: Sequence[int],
        references: tuple[int, ...],
        sets: Sequence[WeightSet],
    ) -> list[tuple[Trial, float] | None]:
        """Given weights with fewer bits, as far as these cost more than they gain in prediction.

        Each with the estimated bits of the samples that its look stands for and of the weights
        themselves; None where they have few bits as it is.
        """


def noise_of(geometry: Geometry, n_more: int, step: int, parts: int) -> Noise | None:
    """The noise of samples that come back in steps, of variance step**2 / parts.

    `n_more` own taps have none.
    """
    if step == 1:
        return None
    own = _noise_form(geometry.taps, geometry.base, n_more, target=True)
    others = _noise_form(geometry.reference_taps, geometry.base, 0, target=False)
    return Noise(own, others, step * step, 4 * parts)


@lru_cache
def _noise_form(taps: Offsets, base: Offsets, n_more: int, target: bool) -> Ints:
    """Sum over samples of the square of twice their effective weight."""
    rows = []
    for place in dict.fromkeys((*taps, *base)):
        share = sum(place == b for b in base)  # of the reference level, in halves
        row = [2 * (place == tap) - share for tap in taps] + [-share] * n_more
        rows.append(row + [-share] * target)
    form = np.array(rows, np.int64)
    return form.T @ form


def subsample(columns: int, start: int, end: int, n: int) -> range:
    """At most n evenly spaced positions, of all columns."""
    step = max(1, -(-(end - start) // n))
    while step > 1 and math.gcd(step, columns) > 1:
        step += 1  # a common divisor would skip whole columns
    return range(start, end, step)


@dataclass
class Trials:
    """NumPy, slow, the definition.

    `space` holds the plane; `finished` are the planes it may refer to; `noise` is that of all of
    them once they have been through the coder.
    """

    space: Workspace
    plane: Ints
    finished: Sequence[CodedPlane]
    noise: Noise | None = None
    _seen: dict[range, tuple[Ints, Ints]] = field(default_factory=dict)

    def fit(
        self,
        looks: Sequence[range],
        choices: Sequence[tuple[int, ...]],
        rounds: int,
        guesses: Sequence[WeightSet] | None = None,
    ) -> list[list[Trial | None]]:
        return [
            self._fit(look, choices, rounds, None if guesses is None else guesses[i])
            for i, look in enumerate(looks)
        ]

    def measure(
        self, looks: Sequence[range], references: tuple[int, ...], sets: Sequence[WeightSet]
    ) -> list[Trial]:
        return [
            self._measure(look, references, *set_) for look, set_ in zip(looks, sets, strict=True)
        ]

    def coarsen(
        self,
        looks: Sequence[range],
        n_samples: Sequence[int],
        references: tuple[int, ...],
        sets: Sequence[WeightSet],
    ) -> list[tuple[Trial, float] | None]:
        return [
            self._coarsen(look, n, references, *set_)
            for look, n, set_ in zip(looks, n_samples, sets, strict=True)
        ]

    def _fit(
        self,
        look: range,
        choices: Sequence[tuple[int, ...]],
        rounds: int,
        guess: WeightSet | None,
    ) -> list[Trial | None]:
        own, target = self.differences(look)
        used = sorted({i for choice in choices for i in choice})
        groups = [own, *(self._other(look, i) for i in used)]
        within = [tuple(1 + used.index(i) for i in choice) for choice in choices]
        errors = activity(own)
        if guess is not None:
            first = np.concatenate([own, *(groups[g] for g in within[0])])
            off = (target << 8) - predict(np.zeros_like(target), first, *guess)
            errors = np.minimum(np.abs(off), _MOST_GUESS) + (errors >> 3)
        found: list[Trial | None] = []
        for choice, solution in zip(
            within, fit(groups, target, errors, within, rounds, self.noise), strict=True
        ):
            if solution is None:
                found.append(None)
            else:
                differences = np.concatenate([own, *(groups[g] for g in choice)])
                found.append(self._measured(differences, target, *solution))
        return found

    def _measure(
        self, look: range, references: tuple[int, ...], weights: Ints, shift: int
    ) -> Trial:
        own, target = self.differences(look)
        differences = np.concatenate([own, *(self._other(look, i) for i in references)])
        return self._measured(differences, target, weights, shift)

    def _coarsen(
        self, look: range, n_samples: int, references: tuple[int, ...], weights: Ints, shift: int
    ) -> tuple[Trial, float] | None:
        best: tuple[Trial, float] | None = None
        while shift > _MIN_SHIFT:
            trial = self._measure(look, references, weights, shift)
            # Bytes of smaller numbers are more alike, which zlib turns into fewer bits.
            side = int(floor_log2(2 * np.abs(weights) + 1).sum())
            bits = trial.bits(look, n_samples) + side
            if best is not None and bits >= best[1]:
                break
            best = trial, bits
            weights, shift = (weights + 1) >> 1, shift - 1
        return best

    def _measured(self, differences: Ints, target: Ints, weights: Ints, shift: int) -> Trial:
        error = (target << 8) - predict(np.zeros_like(target), differences, weights, shift)
        floor = FLOOR if self.noise is None else self.noise.floor(weights, shift)
        return Trial(weights, shift, int(np.abs(error).sum()), estimate(error, floor))

    def differences(self, look: range) -> tuple[Ints, Ints]:
        """The plane's own differences (taps, n) and the samples (n,), minus the reference level."""
        if look not in self._seen:
            samples = self._samples(look)
            base, differences = self.space.differences(samples)
            target = self.plane[samples.y, samples.x] - base
            self._seen = {look: (_clipped(differences), _clipped(target))}
        return self._seen[look]

    def _other(self, look: range, index: int) -> Ints:
        samples = self._samples(look)
        return _clipped(self.space.reference_differences(samples, self.finished[index]))

    def _samples(self, look: range) -> Samples:
        position = np.arange(look.start, look.stop, look.step)
        return Samples(position // self.space.columns, position % self.space.columns)


def _clipped(differences: Ints) -> Ints:
    """What a twin can hold in 32 bits; only the rarest data has more, and it is a trial."""
    return np.clip(differences, -_MOST, _MOST)
