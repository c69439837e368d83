"""The low band: told as differences to what its neighbours predict (FORMAT.md 11.3)."""

from __future__ import annotations

import numpy as np

from ..coding.fixed_point import Ints


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
