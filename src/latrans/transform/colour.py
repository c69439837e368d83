"""Colour: three planes of a picture as brightness and two differences (FORMAT.md 11.1).

The orthonormal transform nearest to what pictures of three colours have in common, so that an
error of a given size costs the same in each of the new planes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..coding.fixed_point import Ints

# round(2**14 * basis): (R + G + B) / sqrt 3, (R - B) / sqrt 2, (2 G - R - B) / sqrt 6.
BASIS = ((9459, 9459, 9459), (11585, 0, -11585), (-6689, 13377, -6689))
_BITS = 14
_HALF = 1 << (_BITS - 1)


def forward(planes: Ints) -> Ints:
    """Planes (3, rows, columns) in the new basis."""
    return _weighted(BASIS, planes)


def backward(planes: Ints) -> Ints:
    """Inverse of `forward` but for rounding."""
    return _weighted(tuple(zip(*BASIS, strict=True)), planes)


def _weighted(rows: Sequence[Sequence[int]], planes: Ints) -> Ints:
    out = np.full(planes.shape, _HALF, np.int64)
    for total, weights in zip(out, rows, strict=True):
        for weight, plane in zip(weights, planes, strict=True):
            if weight:
                total += weight * plane.astype(np.int64, copy=False)
    out >>= _BITS
    return out
