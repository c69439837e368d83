"""Linear prediction fitted to a chunk: robust least squares in exact arithmetic (FORMAT.md 6.6).

The decoder only needs the weights; how they are found is the encoder's business.  Still every
engine and machine must find the same ones, so the normal equations are integer sums (small
enough to be exact in doubles, in any order) and the solver is element-wise doubles in a fixed
order.  Weighting by inverse error, refined in rounds, keeps borders from ruining the fit.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .fixed import Ints, floor_log2, log2

MAX_SHIFT = 14
_ROUNDS = 4
_MAX_ROWS = 16384
_LIMIT = 1 << 13  # of a difference after scaling: products of two, times a weight, stay exact
_RIDGE = 1e-5


def fit(
    differences: Ints, target: Ints, activity: Ints
) -> tuple[npt.NDArray[np.int64], int] | None:
    """Weights (taps,) and their fraction bits so that weights . differences is near target.

    Parameters
    ----------
    differences : (taps, n) int64
    target : (n,) int64
        Sample minus reference level.
    activity : (n,) int64, at least 1
        First guess of the error's size, 8 fraction bits.

    Returns
    -------
    (weights, shift) or None where there is nothing to fit.
    """
    step = -(-target.size // _MAX_ROWS)
    rows = np.concatenate([differences, target[None]])[:, ::step]
    typical = int(np.abs(rows).sum() // rows.size)
    drop = max(0, (16 * typical).bit_length() - 12)
    rows = rows >> drop
    keep = np.abs(rows).max(0) < _LIMIT
    rows, scale = rows[:, keep], activity[::step][keep]
    if rows.shape[1] < 2 * len(differences):
        return None
    exact = rows.astype(np.float64)
    weights = shift = None
    error = scale
    for _ in range(_ROUNDS):
        floor = max(1, int(error.sum()) // error.size // 8)
        # Powers of two near 1 / error, eight octaves of them.
        octave = floor_log2(error + floor + 8)
        octave = np.minimum(octave - octave.min(), 8)
        moments = (exact * np.exp2(8 - octave)) @ exact.T  # exact: below 2**53
        solution = _solve(moments[:-1, :-1], moments[:-1, -1])
        if solution is None:
            break
        weights, shift = quantise(solution)
        predicted = (weights.astype(np.float64) @ exact[:-1]).astype(np.int64)
        predicted = predicted >> (shift - 8) if shift >= 8 else predicted << (8 - shift)
        error = (np.abs((rows[-1] << 8) - predicted) << drop) + (scale >> 3)
    return None if weights is None or shift is None else (weights, shift)


def quantise(solution: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], int]:
    """16-bit weights with as many fraction bits as fit."""
    largest = float(np.abs(solution).max())
    bits = math.frexp(largest)[1] if largest > 0 else 0
    shift = max(0, min(MAX_SHIFT, 15 - max(bits, 0)))
    weights = np.clip(np.rint(solution * float(1 << shift)), -32768, 32767)
    return weights.astype(np.int64), shift


def _solve(
    matrix: npt.NDArray[np.float64], right: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64] | None:
    """Solve a symmetric positive definite system by elimination, the same way everywhere."""
    n = len(matrix)
    work = np.concatenate([matrix, right[:, None]], 1)
    work[np.arange(n), np.arange(n)] += matrix.diagonal() * _RIDGE + 1.0
    for k in range(n - 1):
        if work[k, k] <= 0:
            return None
        factor = work[k + 1 :, k : k + 1] / work[k, k]
        work[k + 1 :, k:] -= factor * work[k, k:]
    solution = np.zeros(n)
    column = work[:, n].copy()
    for k in range(n - 1, -1, -1):
        if work[k, k] <= 0:
            return None
        solution[k] = column[k] / work[k, k]
        column[:k] -= work[:k, k] * solution[k]
    return solution


def estimate(error: Ints) -> int:
    """Cost of errors (8 fraction bits) in 1/32 bit, for choosing between predictors."""
    return int(log2(np.abs(error) + 64).sum())
