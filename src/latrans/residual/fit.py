"""Linear prediction fitted to a chunk: robust least squares in exact arithmetic (FORMAT.md 6.6).

The decoder only needs the weights; how they are found is the encoder's business.  Still every
engine and machine must find the same ones, so the normal equations are integer sums (small
enough to be exact in doubles, in any order) and the solver is element-wise doubles in a fixed
order.  Weighting by inverse error, refined in rounds, keeps borders from ruining the fit.

Taps come in groups: the plane's own, and those of each plane that it might refer to.  One set of
normal equations serves every choice of groups, weighted by the errors of all of them together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints, floor_log2, log2

MAX_SHIFT = 14
_LIMIT = 1 << 13  # of a difference after scaling: products of two, times a weight, stay exact
_MAX_ERROR = 1 << 22  # of a row after scaling: sums of all errors stay below 2**63
_RIDGE = 1e-5
_MOST_NOISE = 1 << 60  # of the square of a floor of errors

Solution = tuple[npt.NDArray[np.int64], int]


@dataclass(frozen=True)
class Noise:
    """How much the error of a prediction grows where its taps are noisy.

    A prediction from what comes back, not from what was, is off by the noise of its taps times
    their weights; ordinary least squares, which does not know, picks large weights of opposite
    sign.  Method: errors in variables, as a ridge on the effective weight of every sample.

    Attributes
    ----------
    own, others : quadratic forms in the weights (and, last, the target's) of the plane's own taps
        and of those of a reference plane.
    power, parts : power / parts is a quarter of the noise's variance.
    """

    own: npt.NDArray[np.int64]
    others: npt.NDArray[np.int64]
    power: int
    parts: int

    def floor(self, weights: Ints, shift: int) -> int:
        """What errors of a predictor are hidden by: a quarter of a step, and its taps' noise."""
        n = len(self.own) - 1
        own = np.zeros(n + 1, object)
        own[: len(weights[:n])] = weights[:n].tolist()
        own[n] = -(1 << shift)
        total = own @ self.own @ own
        for start in range(n, len(weights), len(self.others)):
            part = np.array(weights[start : start + len(self.others)].tolist(), object)
            total += part @ self.others @ part
        scaled = int(total) * self.power
        # What exceeds the limit hides everything.
        square = _MOST_NOISE
        if total <= _MOST_NOISE // max(1, self.power) and (scaled << 16) >> 2 * shift <= square:
            square = (scaled << 16) // (self.parts << 2 * shift)
        return 64 * math.isqrt(self.power) + math.isqrt(square)


def fit(
    groups: Sequence[Ints],
    target: Ints,
    activity: Ints,
    choices: Sequence[tuple[int, ...]],
    rounds: int,
    noise: Noise | None = None,
) -> list[Solution | None]:
    """Weights, and their fraction bits, so that weights . differences is near target; by choice.

    Parameters
    ----------
    groups : each (taps, n) int64
        Differences; the first group, the plane's own, belongs to every choice.
    target : (n,) int64
        Sample minus reference level.
    activity : (n,) int64, at least 1
        First guess of the error's size, 8 fraction bits.
    choices : indices of the other groups that weights are wanted for, each in the order wanted.
    rounds : how often rows are weighted, at least 1.
    noise : of the taps, where these will be what comes back and not what is known here.

    Returns
    -------
    (weights, shift) per choice, or None where there is nothing to fit.
    """
    own = np.concatenate([groups[0], target[None]])
    drops = [_drop(own), *(_drop(g) for g in groups[1:])]
    own = own >> drops[0]
    others = [
        np.clip(g >> drop, 1 - _LIMIT, _LIMIT - 1)
        for g, drop in zip(groups[1:], drops[1:], strict=True)
    ]
    keep = np.abs(own).max(0) < _LIMIT
    rows = np.concatenate([own[:-1], *others, own[-1:]])[:, keep]
    n_taps = len(rows) - 1
    if rows.shape[1] < 2 * n_taps:
        return [None] * len(choices)
    exact, scale = rows.astype(np.float64), activity[keep]
    error = scale
    for _ in range(rounds - 1):
        moments = _moments(exact, error, noise, drops, groups)
        solution = _solve(moments)
        if solution is None:
            return [None] * len(choices)
        weights, shift = quantise(solution)
        predicted = (weights.astype(np.float64) @ exact[:-1]).astype(np.int64)
        predicted = predicted >> (shift - 8) if shift >= 8 else predicted << (8 - shift)
        off = np.minimum(np.abs((rows[-1] << 8) - predicted), _MAX_ERROR)
        error = (off << drops[0]) + (scale >> 3)
    moments = _moments(exact, error, noise, drops, groups)
    starts = np.cumsum([0, *(len(g) for g in groups)])
    found: list[Solution | None] = []
    for choice in choices:
        parts = [np.arange(starts[g], starts[g + 1]) for g in (0, *choice)]
        gains = np.concatenate(
            [np.full(len(groups[g]), 2.0 ** (drops[0] - drops[g])) for g in (0, *choice)]
        )
        chosen = np.concatenate([*parts, [n_taps]])
        solution = _solve(moments[np.ix_(chosen, chosen)])
        found.append(None if solution is None else quantise(solution * gains))
    return found


def _drop(rows: Ints) -> int:
    """Bits to drop so that typical values keep about eight."""
    typical = int(np.abs(rows).sum() // rows.size)
    return max(0, (16 * typical).bit_length() - 12)


def _moments(
    exact: npt.NDArray[np.float64],
    error: Ints,
    noise: Noise | None,
    drops: Sequence[int],
    groups: Sequence[Ints],
) -> npt.NDArray[np.float64]:
    """Sums of products, rows weighted by powers of two near 1 / error, eight octaves of them."""
    floor = max(1, int(error.sum()) // error.size // 8)
    octave = floor_log2(error + floor + 8)
    octave = np.minimum(octave - octave.min(), 8)
    weights = np.exp2(8 - octave)
    moments: npt.NDArray[np.float64] = (exact * weights) @ exact.T  # exact: below 2**53
    if noise is not None:
        power = int(weights.sum()) * noise.power
        start = 0
        for i, (group, drop) in enumerate(zip(groups, drops, strict=True)):
            gram, columns = noise.others, np.arange(start, start + len(group))
            if i == 0:
                gram, columns = noise.own, np.append(columns, len(exact) - 1)
            moments[np.ix_(columns, columns)] += gram * (power // noise.parts >> 2 * drop)
            start += len(group)
    return moments


def quantise(solution: npt.NDArray[np.float64]) -> Solution:
    """16-bit weights with as many fraction bits as fit."""
    largest = float(np.abs(solution).max())
    bits = math.frexp(largest)[1] if largest > 0 else 0
    shift = max(0, min(MAX_SHIFT, 15 - max(bits, 0)))
    weights = np.clip(np.rint(solution * float(1 << shift)), -32768, 32767)
    return weights.astype(np.int64), shift


def _solve(moments: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """Solve a symmetric positive definite system by elimination, the same way everywhere.

    The last column is the right side.  Only the upper triangle is looked at.
    """
    n = len(moments) - 1
    work = moments[:-1].copy()
    work[np.arange(n), np.arange(n)] += moments.diagonal()[:-1] * _RIDGE + 1.0
    for k in range(n):
        if work[k, k] <= 0:
            return None
        factor = work[k, k + 1 : n] / work[k, k]
        work[k + 1 :, k + 1 :] -= factor[:, None] * work[k, k + 1 :]
    solution = np.zeros(n)
    column = work[:, n].copy()
    for k in range(n - 1, -1, -1):
        solution[k] = column[k] / work[k, k]
        column[:k] -= work[:k, k] * solution[k]
    return solution


def estimate(error: Ints, floor: int = 64) -> int:
    """Cost of errors (8 fraction bits) in 1/32 bit, for choosing between predictors.

    Errors well below the floor cost nothing.
    """
    return int(log2(np.abs(error) + floor).sum())
