"""Plan: the encoder's choices for a plane: coefficients, bands, reference planes (FORMAT.md 6.6).

Only the outcome is stored, so a better planner needs no new format.  Everything is decided on a
subsample and in integers, so every machine decides alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .canvas import Reference
from .features import activity
from .fixed import Ints, code_from_sigma
from .gather import Coded, Samples, Workspace, predict
from .linear import estimate, fit
from .predictor import TRAINED_SHIFT, Coefficients, Predictor
from .reference import Job, fill_samples

BAND_SAMPLES = 1 << 16
MIN_SAMPLES = 1 << 10  # smaller planes cannot pay for coefficients of their own
_FIT_SAMPLES = 1 << 13


@dataclass(frozen=True)
class Plan:
    """How one plane is predicted.

    Attributes
    ----------
    own : whether the plane brings its coefficients; otherwise the model's are used.
    bands, band_rows : coefficient sets and the rows each serves.
    references : indices into the planes coded so far, the network's first.
    cost_bits : estimate with side information, for comparison between plans only.
    """

    own: bool
    bands: tuple[Coefficients, ...]
    band_rows: int
    references: tuple[int, ...]
    cost_bits: float


@dataclass(frozen=True)
class Surface:
    """A plane to plan for, and what it may refer to."""

    predictor: Predictor
    plane: Ints  # (rows, columns)
    n_samples: int
    finished: Sequence[Coded]
    reconstruction: Ints | None

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
        )

    def workspace(self, references: Sequence[int]) -> Workspace:
        p = self.predictor
        rows, columns = self.plane.shape
        picture = self.reconstruction
        space = Workspace(
            predictor=p,
            rows=rows,
            columns=columns,
            n_samples=self.n_samples,
            references=[self.finished[i] for i in references],
            reconstruction=None
            if picture is None
            else Reference(p.geometry, picture, self.n_samples),
            lo=0,
            hi=0,
            first_sigma=0,
        )
        fill_samples(space, self.plane)
        return space

    def gathered(self, space: Workspace, top: int, n: int) -> tuple[Ints, Ints, Ints]:
        """(base, differences, target) of a subsample of rows top .. top + n."""
        columns = self.plane.shape[1]
        end = min((top + n) * columns, self.n_samples)
        step = max(1, -(-(end - top * columns) // _FIT_SAMPLES))
        while step > 1 and math.gcd(step, columns) > 1:
            step += 1  # a common divisor would skip whole columns
        position = np.arange(top * columns, end, step)
        look = Samples(position // columns, position % columns)
        base, differences = space.differences(look)
        return base, differences, self.plane[look.y, look.x] - base


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
) -> Plan:
    """The cheapest of the trained coefficients, those of the previous plane, and fitted ones.

    Parameters
    ----------
    candidates : reference planes to try, each a tuple of indices; () is always tried.
    previous : plan of the plane before, offered again; its references move along.
    """
    rows = surface.plane.shape[0]
    small = surface.n_samples < MIN_SAMPLES
    if small and previous is not None and not previous.own and previous.band_rows == rows:
        return previous  # thousands of small items share one guess
    best = _trained(surface, rows, previous)
    if not may_fit or small:
        return best
    height = band_height(surface)
    for references in [(), *candidates]:
        best = _cheaper(best, _fitted(surface, references, height))
    if surface.predictor.geometry.up == 0 and rows == 16 and best.own:
        # Shorter blocks pay for sound that changes; the references stay those of the whole.
        for lanes in (4, 1):
            best = _cheaper(best, _fitted(surface, best.references, lanes))
    if previous is not None and previous.own:
        best = _cheaper(best, _again(surface, previous))
    return best


def _cheaper(best: Plan, trial: Plan | None) -> Plan:
    return best if trial is None or trial.cost_bits >= best.cost_bits else trial


def _trained(surface: Surface, rows: int, previous: Plan | None) -> Plan:
    space = surface.workspace(())
    base, differences, target = surface.gathered(space, 0, rows)
    # Estimates come without the reconstruction that the last weights belong to.
    weights = surface.predictor.linear[: len(differences)].astype(np.int64)
    set_, cost = _measured(weights, TRAINED_SHIFT, base, differences, target)
    if previous is not None and not previous.own:
        # A repeated record costs next to nothing; the value only floors the energy.
        before = previous.bands[0].sigma_code
        if abs(before - set_.sigma_code) <= 12:
            set_ = replace(set_, sigma_code=before)
    scale = surface.n_samples / target.size
    return Plan(False, (set_,), rows, (), cost * scale + 8)


def _fitted(surface: Surface, references: tuple[int, ...], band_rows: int) -> Plan | None:
    rows, columns = surface.plane.shape
    space = surface.workspace(references)
    sets, total = [], 0.0
    for top in range(0, rows, band_rows):
        n = min(band_rows, rows - top)
        base, differences, target = surface.gathered(space, top, n)
        if target.size == 0:
            break
        solved = fit(differences, target, activity(differences))
        if solved is None:
            return None
        weights, shift = solved
        set_, cost = _measured(weights, shift, base, differences, target)
        sets.append(set_)
        n_here = min((top + n) * columns, surface.n_samples) - top * columns
        total += cost * n_here / target.size + side_bits(set_)
    return Plan(True, tuple(sets), band_rows, references, total + 8 * len(references))


def _again(surface: Surface, previous: Plan) -> Plan | None:
    """The previous plane's plan, one plane later."""
    references = tuple(i + 1 for i in previous.references)
    if any(i >= len(surface.finished) for i in references):
        return None
    rows, columns = surface.plane.shape
    if -(-rows // previous.band_rows) != len(previous.bands):
        return None
    seen = [surface.finished[i].samples for i in references]
    same = (surface.plane.shape, surface.n_samples)
    if any((s.values.shape, s.n_samples) != same for s in seen):
        return None  # the last block of a track is shorter than those before
    space = surface.workspace(references)
    total = 8.0
    for i, set_ in enumerate(previous.bands):
        top = i * previous.band_rows
        n = min(previous.band_rows, rows - top)
        base, differences, target = surface.gathered(space, top, n)
        _, cost = _measured(set_.weights, set_.shift, base, differences, target)
        n_here = min((top + n) * columns, surface.n_samples) - top * columns
        total += cost * n_here / max(1, target.size)
    return Plan(True, previous.bands, previous.band_rows, references, total)


def _measured(
    weights: Ints, shift: int, base: Ints, differences: Ints, target: Ints
) -> tuple[Coefficients, float]:
    error = ((target + base) << 8) - predict(base, differences, weights, shift)
    sigma = int(np.abs(error).sum()) / max(1, error.size)
    return Coefficients(weights, shift, code_from_sigma(sigma)), estimate(error) / 32


def side_bits(coefficients: Coefficients) -> int:
    """Bits that a coefficient set takes in the section's header."""
    zigzag = 2 * np.abs(coefficients.weights)
    return 16 + 8 * int((1 + (zigzag >= 128) + (zigzag >= 16384)).sum())
