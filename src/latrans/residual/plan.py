"""Plan: the encoder's choices for a plane: coefficients, bands, reference planes (FORMAT.md 6.6).

Only the outcome is stored, so a better planner needs no new format.  Everything is decided on a
subsample and in integers, so every machine decides alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..coding.fixed_point import code_from_sigma
from ..coding.schedule import LANES
from .plan_input import CoefficientBand, Plan, PlanePlanInput
from .predictor import TRAINED_SHIFT, Coefficients
from .trials import Trial, Trier

BAND_SAMPLES = 1 << 16
MIN_SAMPLES = 1 << 10  # smaller planes cannot pay for coefficients of their own
LARGE_SAMPLES = 1 << 15  # planes from this on are planned in fewer rounds
_ROUNDS = 4
_EVERY = 3  # bands of which one is fitted first


def band_height(plan_input: PlanePlanInput) -> int:
    """Rows per coefficient set: about 65,536 samples, whole strips of 16 rows."""
    rows, columns = plan_input.plane.shape
    n_bands = max(1, round(rows * columns / BAND_SAMPLES))
    return min(rows, max(16, -(-rows // n_bands // 16) * 16))


def plan(
    plan_input: PlanePlanInput,
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
    trials : the input's own unless given.
    """
    rows = plan_input.plane.shape[0]
    small = plan_input.n_samples < MIN_SAMPLES
    if previous is not None and is_shared(plan_input, previous):
        return previous
    trials = plan_input.trials() if trials is None else trials
    height = band_height(plan_input)
    best = _trained(plan_input, trials, height, previous)
    if not may_fit or small:
        return best
    rounds = _rounds(plan_input, len(candidates))
    for trial in _fitted(plan_input, trials, [(), *candidates], height, rounds):
        best = _cheaper(best, trial)
    if best.has_coefficients and plan_input.predictor.geometry.is_plane:
        best = coarsen_weights(plan_input, trials, best)
    if previous is not None and previous.has_coefficients:
        best = _cheaper(best, repeat_plan(plan_input, trials, previous))
    if best.has_coefficients and not plan_input.predictor.geometry.is_plane and rows == LANES:
        best = split_bands(plan_input, trials, best, previous)
    return best


def is_shared(plan_input: PlanePlanInput, previous: Plan) -> bool:
    """Whether a plane has the plan of the one before: thousands of small items share one guess."""
    small = plan_input.n_samples < MIN_SAMPLES
    return (
        small and not previous.has_coefficients and previous.band_rows == plan_input.plane.shape[0]
    )


def reuse_plan(
    plan_input: PlanePlanInput,
    candidates: Sequence[tuple[int, ...]],
    previous: Plan,
    trials: Trier,
) -> Plan | None:
    """The previous plane's plan, one plane later, or refitted from there: a cheap second look.

    None where the plane may not refer as the previous one did, or has another form.
    """
    if not previous.has_coefficients:
        return _trained(plan_input, trials, band_height(plan_input), previous)
    references = tuple(i + 1 for i in previous.references)
    if references and references not in candidates:
        return None
    best = repeat_plan(plan_input, trials, previous)
    if best is None:
        return None
    bands = plan_input.bands(previous.band_rows, 1 << 12)
    guesses = [(set_.weights, set_.shift) for set_ in previous.bands[: len(bands)]]
    found = trials.fit([band.look for band in bands], [references], 1, guesses)
    fitted = _assembled(
        references, previous.band_rows, bands, [of_choices[0] for of_choices in found]
    )
    if fitted is None:
        return best
    return _cheaper(coarsen_weights(plan_input, trials, fitted), best)


def _rounds(plan_input: PlanePlanInput, n_candidates: int) -> int:
    """Rounds of a fit: the noise of the closed loop and small planes need most."""
    if plan_input.step > 1 or plan_input.n_samples < LARGE_SAMPLES:
        return _ROUNDS
    return 3 if n_candidates and plan_input.predictor.geometry.is_plane else 2


def _cheaper(best: Plan, trial: Plan | None) -> Plan:
    return best if trial is None or trial.cost_bits >= best.cost_bits else trial


def _trained(plan_input: PlanePlanInput, trials: Trier, height: int, previous: Plan | None) -> Plan:
    """The model's own coefficients."""
    # Estimates come without the reconstruction that the last weights belong to.
    own = len(plan_input.predictor.linear) if plan_input.reconstruction is not None else None
    weights = plan_input.predictor.linear[:own].astype(np.int64)
    if own is None:
        weights = weights[: len(plan_input.predictor.geometry.taps)]
    bits = error = 0.0
    bands = plan_input.bands(height)
    sets = [(weights, TRAINED_SHIFT)] * len(bands)
    measured = trials.measure([band.look for band in bands], (), sets)
    for band, trial in zip(bands, measured, strict=True):
        bits += band.bits(trial)
        error += trial.error * band.n_samples / len(band.look)
    sigma_code = code_from_sigma(error / plan_input.n_samples)
    if previous is not None and not previous.has_coefficients:
        # A repeated record costs next to nothing; the value only floors the energy.
        before = previous.bands[0].sigma_code
        if abs(before - sigma_code) <= 12:
            sigma_code = before
    set_ = Coefficients(weights, TRAINED_SHIFT, sigma_code)
    return Plan(False, (set_,), plan_input.plane.shape[0], (), bits + 8)


def _fitted(
    plan_input: PlanePlanInput,
    trials: Trier,
    choices: Sequence[tuple[int, ...]],
    height: int,
    rounds: int,
) -> list[Plan | None]:
    """Plans with coefficients of their own, one for each choice of references."""
    bands = plan_input.bands(height)
    found = trials.fit([band.look for band in bands], choices, rounds)
    return [
        _assembled(choice, height, bands, of_bands)
        for choice, of_bands in zip(choices, zip(*found, strict=True), strict=True)
    ]


def _assembled(
    references: tuple[int, ...],
    height: int,
    bands: list[CoefficientBand],
    trials: Sequence[Trial | None],
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


def split_bands(
    plan_input: PlanePlanInput, trials: Trier, plan: Plan, previous: Plan | None
) -> Plan:
    """A track's plan with coefficients for fewer lanes, which pay for sound that changes.

    The references stay those of the whole, and one round from its errors is enough.
    """
    for height in [n for n in (4, 1) if n <= plan.band_rows]:
        known = previous is not None and plan.bands is previous.bands
        shorter = fit_bands(
            plan_input, trials, plan, height, 0 if known else height / plan.band_rows
        )
        if shorter is None or shorter.cost_bits >= plan.cost_bits:
            break
        plan = shorter
    return plan


def fit_bands(
    plan_input: PlanePlanInput, trials: Trier, plan: Plan, height: int, share: float
) -> Plan | None:
    """A plan fitted to bands of so many lanes, unless some of these gain nothing.

    `share` is what part of a coefficient set's bits the plan spends on so many lanes.
    """
    bands = plan_input.bands(height)
    sets = [plan.bands[i * height // plan.band_rows] for i in range(len(bands))]
    found: list[Trial | None] = [None] * len(bands)

    def fit(part: Sequence[int]) -> bool:
        guesses = [(sets[i].weights, sets[i].shift) for i in part]
        looks = [bands[i].look for i in part]
        for i, (trial,) in zip(part, trials.fit(looks, [plan.references], 1, guesses), strict=True):
            found[i] = trial
        return all(found[i] is not None for i in part)

    some = range(0, len(bands), _EVERY)
    if not fit(some):
        return None
    before = trials.measure(
        [bands[i].look for i in some],
        plan.references,
        [(sets[i].weights, sets[i].shift) for i in some],
    )
    gain = 0.0
    for i, old in zip(some, before, strict=True):
        new = found[i]
        assert new is not None
        gain += bands[i].bits(old) + share * side_bits(sets[i])
        gain -= bands[i].bits(new) + side_bits(bands[i].coefficients(new))
        gain -= bands[i].flattery(new)
    if gain <= 0 or not fit([i for i in range(len(bands)) if i % _EVERY]):
        return None
    split = _assembled(plan.references, height, bands, found)
    if split is None:
        return None
    flattery = sum(b.flattery(t) for b, t in zip(bands, found, strict=True) if t is not None)
    return replace(split, cost_bits=split.cost_bits + flattery)


def coarsen_weights(plan_input: PlanePlanInput, trials: Trier, plan: Plan) -> Plan:
    """The plan with weights of fewer bits, as far as these cost more than they gain in prediction.

    Those of tracks lean on each other: rounding them cost EEG 0.1 %, and gained sound 0.03 %.
    """
    sets, total = [], 8.0 * len(plan.references)
    bands = plan_input.bands(plan.band_rows)
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
    return Plan(True, tuple(sets), plan.band_rows, plan.references, total)


def repeat_plan(plan_input: PlanePlanInput, trials: Trier, previous: Plan) -> Plan | None:
    """The previous plane's plan, one plane later."""
    references = tuple(i + 1 for i in previous.references)
    if any(i >= len(plan_input.finished) for i in references):
        return None
    if -(-plan_input.plane.shape[0] // previous.band_rows) != len(previous.bands):
        return None
    extent = (plan_input.plane.shape, plan_input.n_samples)
    if any(plan_input.finished[i].extent != extent for i in references):
        return None  # the last block of a track is shorter than those before
    total = 8.0
    bands = plan_input.bands(previous.band_rows)
    # Bands that hold no sample come last and cost nothing.
    sets = [(set_.weights, set_.shift) for set_ in previous.bands[: len(bands)]]
    measured = trials.measure([band.look for band in bands], references, sets)
    for band, trial in zip(bands, measured, strict=True):
        total += band.bits(trial)
    return Plan(True, previous.bands, previous.band_rows, references, total)


def side_bits(coefficients: Coefficients) -> int:
    """Bits that a coefficient set takes in the section's header."""
    size = np.abs(coefficients.weights)  # as bytes of seven bits, behind the sign
    n_bytes = len(size) + np.count_nonzero(size >= 1 << 6) + np.count_nonzero(size >= 1 << 13)
    return 16 + 8 * int(n_bytes)
