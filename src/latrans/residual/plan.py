"""Plan: the encoder's choices for a plane: coefficients, bands, reference planes (FORMAT.md 6.6).

Only the outcome is stored, so a better planner needs no new format.  Everything is decided on a
subsample and in integers, so every machine decides alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .canvas import Reference
from .fixed import Ints, code_from_sigma
from .gather import Workspace
from .geometry import RECONSTRUCTION_TAPS
from .job import Job
from .linear import Noise
from .predictor import TRAINED_SHIFT, Coefficients, Predictor
from .reference import fill_samples
from .trials import Trial, Trials, Trier, noise_of, subsample

BAND_SAMPLES = 1 << 16
MIN_SAMPLES = 1 << 10  # smaller planes cannot pay for coefficients of their own
_FIT_SAMPLES = 1 << 13
_ROUNDS = 4
import os
_STRIDE = int(os.environ.get('STRIDE','5'))


@dataclass(frozen=True)
class Plan:
    """How one plane is predicted.

    Attributes
    ----------
    own : whether the plane brings its coefficients; otherwise the model's are used.
    bands, band_rows : coefficient sets and the rows each serves.
    references : indices into the planes coded so far, the networks' first.
    expert : which of the model's experts codes the plane, or `NO_NETWORK`.
    cost_bits : estimate with side information, for comparison between plans only.
    """

    own: bool
    bands: tuple[Coefficients, ...]
    band_rows: int
    references: tuple[int, ...]
    cost_bits: float
    expert: int = 0


@dataclass(frozen=True)
class Surface:
    """A plane to plan for, and what it may refer to.

    With a step, the noise of what comes back counts as a variance of step**2 / noise_parts; 12 is
    that of uniform white noise.
    """

    predictor: Predictor
    plane: Ints  # (rows, columns)
    n_samples: int
    finished: Sequence[Any]  # a backend's own records
    reconstruction: Ints | None
    step: int = 1
    noise_parts: int = 12

    def job(self, plan: Plan, lo: int, hi: int) -> Job:
        rows, columns = self.plane.shape
        return Job(
            rows=rows,
            columns=columns,
            n_samples=self.n_samples,
            bands=plan.bands,
            band_rows=plan.band_rows,
            references=[self.finished[i] for i in plan.references],
            reconstruction=self.reconstruction,
            lo=lo,
            hi=hi,
            expert=plan.expert,
            step=self.step,
        )

    @property
    def noise(self) -> Noise | None:
        """Noise of the samples that come back."""
        n_more = 0 if self.reconstruction is None else len(RECONSTRUCTION_TAPS)
        return noise_of(self.predictor.geometry, n_more, self.step, self.noise_parts)

    def trials(self) -> Trials:
        """What tries predictors on the plane; other backends have twins."""
        p, picture = self.predictor, self.reconstruction
        rows, columns = self.plane.shape
        space = Workspace(
            predictor=p,
            rows=rows,
            columns=columns,
            n_samples=self.n_samples,
            references=(),
            reconstruction=None
            if picture is None
            else Reference(p.geometry, picture, self.n_samples),
            lo=0,
            hi=0,
            first_sigma=0,
        )
        fill_samples(space, self.plane)
        return Trials(space, self.plane, self.finished, self.noise)

    def bands(self, height: int) -> list[Band]:
        """Bands of so many rows; those of a track's end that hold no sample are left out."""
        rows, columns = self.plane.shape
        found = []
        for top in range(0, rows, height):
            start = top * columns
            end = min(start + height * columns, rows * columns, self.n_samples)
            if end > start:
                found.append(Band(subsample(columns, start, end, _FIT_SAMPLES), end - start))
        return found


@dataclass(frozen=True)
class Band:
    """Rows that share a coefficient set: which samples stand for them, and how many they are."""

    look: range
    n_samples: int

    def bits(self, trial: Trial) -> float:
        """Estimated bits of all samples."""
        return trial.bits(self.look, self.n_samples)

    def coefficients(self, trial: Trial) -> Coefficients:
        """The trial's, with its mean error."""
        sigma_code = code_from_sigma(trial.error / len(self.look))
        return Coefficients(trial.weights, trial.shift, sigma_code)


def band_height(surface: Surface) -> int:
    """Rows per coefficient set: about 65,536 samples, whole strips of 16 rows."""
    rows, columns = surface.plane.shape
    n_bands = max(1, round(rows * columns / BAND_SAMPLES))
    return min(rows, max(16, -(-rows // n_bands // 16) * 16))


def plan(
    surface: Surface,
    candidates: Sequence[tuple[int, ...]],
    previous: Plan | None,
    may_fit: bool = True,
    trials: Trier | None = None,
) -> Plan:
    """The cheapest of the trained coefficients, those of the previous plane, and fitted ones.

    Parameters
    ----------
    candidates : reference planes to try, each a tuple of indices; () is always tried.
    previous : plan of the plane before, offered again; its references move along.
    may_fit : whether the plane may bring coefficients of its own.
    trials : the surface's own unless given.
    """
    rows = surface.plane.shape[0]
    small = surface.n_samples < MIN_SAMPLES
    if small and previous is not None and not previous.own and previous.band_rows == rows:
        return previous  # thousands of small items share one guess
    trials = surface.trials() if trials is None else trials
    height = band_height(surface)
    best = _trained(surface, trials, height, previous)
    if not may_fit or small:
        return best
    for trial in _fitted(surface, trials, [(), *candidates], height, _ROUNDS):
        best = _cheaper(best, trial)
    if surface.predictor.geometry.up == 0 and rows == 16 and best.own:
        best = _shorter(surface, trials, best)
    if best.own and surface.predictor.geometry.up:
        best = _coarser(surface, trials, best)
    if previous is not None and previous.own:
        best = _cheaper(best, _again(surface, trials, previous))
    return best


def _cheaper(best: Plan, trial: Plan | None) -> Plan:
    return best if trial is None or trial.cost_bits >= best.cost_bits else trial


def _trained(surface: Surface, trials: Trier, height: int, previous: Plan | None) -> Plan:
    """The model's own coefficients."""
    # Estimates come without the reconstruction that the last weights belong to.
    own = len(surface.predictor.linear) if surface.reconstruction is not None else None
    weights = surface.predictor.linear[:own].astype(np.int64)
    if own is None:
        weights = weights[: len(surface.predictor.geometry.taps)]
    bits = error = 0.0
    bands = surface.bands(height)
    sets = [(weights, TRAINED_SHIFT)] * len(bands)
    measured = trials.measure([band.look for band in bands], (), sets)
    for band, trial in zip(bands, measured, strict=True):
        bits += band.bits(trial)
        error += trial.error * band.n_samples / len(band.look)
    sigma_code = code_from_sigma(error / surface.n_samples)
    if previous is not None and not previous.own:
        # A repeated record costs next to nothing; the value only floors the energy.
        before = previous.bands[0].sigma_code
        if abs(before - sigma_code) <= 12:
            sigma_code = before
    set_ = Coefficients(weights, TRAINED_SHIFT, sigma_code)
    return Plan(False, (set_,), surface.plane.shape[0], (), bits + 8)


def _fitted(
    surface: Surface,
    trials: Trier,
    choices: Sequence[tuple[int, ...]],
    height: int,
    rounds: int,
) -> list[Plan | None]:
    """Plans with coefficients of their own, one for each choice of references."""
    bands = surface.bands(height)
    found = trials.fit([band.look for band in bands], choices, rounds)
    return [
        _assembled(choice, height, bands, of_bands)
        for choice, of_bands in zip(choices, zip(*found, strict=True), strict=True)
    ]


def _assembled(
    references: tuple[int, ...], height: int, bands: list[Band], trials: Sequence[Trial | None]
) -> Plan | None:
    """A plan of fitted bands, if all of them could be fitted."""
    sets = []
    total = 8.0 * len(references)
    for band, trial in zip(bands, trials, strict=True):
        if trial is None:
            return None
        sets.append(band.coefficients(trial))
        total += band.bits(trial) + side_bits(sets[-1])
    return Plan(True, tuple(sets), height, references, total)


def _shorter(surface: Surface, trials: Trier, plan: Plan) -> Plan:
    """A track's plan with coefficients for fewer lanes, which pay for sound that changes.

    The references stay those of the whole, and one round from its errors is enough.  A quarter of
    the bands is fitted first: where they gain nothing, the others are spared.
    """
    for height in (4, 1):
        bands = surface.bands(height)
        guesses = [plan.bands[i * height // plan.band_rows] for i in range(len(bands))]
        known: dict[int, Trial | None] = {}
        order = [*range(0, len(bands), _STRIDE), *range(len(bands))]
        some = list(range(0, len(bands), _STRIDE))
        for part in (some, [i for i in range(len(bands)) if i not in some]):
            if not part:
                continue
            found = trials.fit(
                [bands[i].look for i in part],
                [plan.references],
                1,
                [(guesses[i].weights, guesses[i].shift) for i in part],
            )
            known.update({i: trial for i, (trial,) in zip(part, found, strict=True)})
            if part is some and len(some) < len(bands):
                before = trials.measure(
                    [bands[i].look for i in part],
                    plan.references,
                    [(guesses[i].weights, guesses[i].shift) for i in part],
                )
                gain = 0.0
                for i, old in zip(part, before, strict=True):
                    trial = known[i]
                    if trial is None:
                        return plan
                    gain += bands[i].bits(old) + side_bits(guesses[i]) * height / plan.band_rows
                    gain -= bands[i].bits(trial) + side_bits(bands[i].coefficients(trial))
                if gain <= 0:
                    return plan
        shorter = _assembled(plan.references, height, bands, [known[i] for i in range(len(bands))])
        if shorter is None or shorter.cost_bits >= plan.cost_bits:
            return plan
        plan = shorter
    return plan


def _coarser(surface: Surface, trials: Trier, plan: Plan) -> Plan:
    """The plan with weights of fewer bits, as far as these cost more than what they foretell.

    Those of tracks lean on each other: rounding them cost EEG 0.1 %, and gained sound 0.03 %.
    """
    sets, total = [], 8.0 * len(plan.references)
    bands = surface.bands(plan.band_rows)
    coarse = trials.coarsen(
        [band.look for band in bands],
        [band.n_samples for band in bands],
        plan.references,
        [(set_.weights, set_.shift) for set_ in plan.bands],
    )
    for band, found in zip(bands, coarse, strict=True):
        if found is None:
            return plan
        trial, bits = found
        sets.append(band.coefficients(trial))
        total += bits
    return replace(plan, bands=tuple(sets), cost_bits=total)


def _again(surface: Surface, trials: Trier, previous: Plan) -> Plan | None:
    """The previous plane's plan, one plane later."""
    references = tuple(i + 1 for i in previous.references)
    if any(i >= len(surface.finished) for i in references):
        return None
    if -(-surface.plane.shape[0] // previous.band_rows) != len(previous.bands):
        return None
    extent = (surface.plane.shape, surface.n_samples)
    if any(surface.finished[i].extent != extent for i in references):
        return None  # the last block of a track is shorter than those before
    total = 8.0
    bands = surface.bands(previous.band_rows)
    # Bands that hold no sample come last and cost nothing.
    sets = [(set_.weights, set_.shift) for set_ in previous.bands[: len(bands)]]
    measured = trials.measure([band.look for band in bands], references, sets)
    for band, trial in zip(bands, measured, strict=True):
        total += band.bits(trial)
    return Plan(True, previous.bands, previous.band_rows, references, total)


def side_bits(coefficients: Coefficients) -> int:
    """Bits that a coefficient set takes in the section's header."""
    zigzag = 2 * np.abs(coefficients.weights)
    return 16 + 8 * int((1 + (zigzag >= 128) + (zigzag >= 16384)).sum())
