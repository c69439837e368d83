"""Quantisation: coefficients to integers by their cost, and back (FORMAT.md 11.5).

The decoder places a value where the values of its class lie on average.  The encoder takes for
every coefficient the integer that costs least, its bits and squared error weighed against each
other: the nearest, the next towards zero, or zero.  Only exactly rounded operations decide.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints, log2
from ..coding.rans.tables import Frequencies
from .symbols import ESCAPE, N_DIRECT, N_TOKENS, raw_length, tokenise

CENTROID_BITS = 8  # centroids count in 1/256 of a step
N_CENTROIDS = 3  # of magnitudes 1, 2 and above

LAMBDA = 0.1  # squared steps that a bit is worth: a little less than 2 ln 2 / 12, the limit
_DEAD_ZONE = 0.35  # rounding of the first guess

Centroids = npt.NDArray[np.int8]  # (N_CLASSES, N_CENTROIDS)


def dequantise(values: Ints, classes: Ints, centroids: Centroids, step: int) -> Ints:
    """Coefficients of values, in the unit of `step`."""
    magnitude = np.abs(values)
    which = np.clip(magnitude, 1, N_CENTROIDS) - 1
    scaled = ((magnitude << CENTROID_BITS) + centroids[classes, which]) * step >> CENTROID_BITS
    return np.where(values < 0, -scaled, np.where(values > 0, scaled, 0))


def first_guess(ratio: npt.NDArray[np.float64]) -> Ints:
    """Magnitudes of coefficients in steps before any cost is known."""
    return np.floor(ratio + _DEAD_ZONE).astype(np.int64)


def token_costs(tables: Frequencies) -> Ints:
    """Cost of each class's tokens with sign and raw bits, in 1/32 bit, (classes, tokens)."""
    cost = np.where(tables > 0, 12 * 32 - log2(np.maximum(tables, 1)), 0)
    cost = np.where(tables > 0, cost, cost[:, ESCAPE:] + 8 * 32)
    token = np.arange(N_TOKENS)
    return cost[:, :N_TOKENS] + 32 * (raw_length(token) + (token > 0))


def choose(
    ratio: npt.NDArray[np.float64], classes: Ints, centroids: Centroids, costs: Ints
) -> Ints:
    """Magnitudes (same shape) of least cost, for coefficients in steps and their classes."""
    nearest: Ints = np.floor(ratio + 0.5).astype(np.int64).reshape(-1)
    out = np.zeros_like(nearest)
    doubtful = np.flatnonzero(nearest)
    a, v, c = ratio.reshape(-1)[doubtful], nearest[doubtful], classes.reshape(-1)[doubtful]
    best, chosen = a * a + LAMBDA / 32 * costs[c, 0], np.zeros_like(v)
    shifts = centroids.astype(np.float64) / (1 << CENTROID_BITS)
    for candidate in (np.maximum(v - 1, 1), v):
        token = candidate
        if int(candidate.max(initial=0)) >= N_DIRECT:
            token = tokenise(candidate)[0]
        error = a - (candidate + shifts[c, np.minimum(candidate, N_CENTROIDS) - 1])
        cost = error * error + LAMBDA / 32 * costs[c, token]
        chosen = np.where(cost < best, candidate, chosen)
        best = np.minimum(cost, best)
    out[doubtful] = chosen
    return out.reshape(ratio.shape)
