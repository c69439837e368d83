"""Lifting: the 9/7 wavelet in integers, any size down to one sample (FORMAT.md 11.2).

The four lifting steps of Daubechies and Sweldens (1998) for the biorthogonal filters of Cohen,
Daubechies and Feauveau, without the final scaling: quantisation steps carry the norms instead
(`bands.STEPS`).  Coefficients have 14 fraction bits, products floor.  Each step can be undone
exactly, so synthesis after analysis gives back every bit.  Arithmetic is modulo 2**64.
"""

from __future__ import annotations

import numpy as np

from ..coding.fixed_point import Ints

# round(2**14 * coefficient) of predict, update, predict, update.
COEFFICIENTS = (-25987, -868, 14466, 7266)
_STEPS = (COEFFICIENTS[:2], COEFFICIENTS[2:])
_BITS = 14
_HALF = 1 << (_BITS - 1)


def sizes(n: int, levels: int) -> list[int]:
    """Lengths of the low band after 0, 1, ... `levels` splits of `n` samples."""
    out = [n]
    for _ in range(levels):
        out.append((out[-1] + 1) // 2)
    return out


def split(plane: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """One level of analysis.

    Returns
    -------
    low, horizontal, vertical, diagonal
        (rows, columns) each, of ceil or floor of half the plane's sizes; the second is high
        along columns, the third along rows, the last along both.
    """
    low, high = _analyse(plane)
    low_low, low_high = (np.ascontiguousarray(part.T) for part in _analyse(low.T))
    high_low, high_high = (np.ascontiguousarray(part.T) for part in _analyse(high.T))
    return low_low, high_low, low_high, high_high


def join(low: Ints, horizontal: Ints, vertical: Ints, diagonal: Ints) -> Ints:
    """Inverse of `split`."""
    left = _synthesise(low.T, vertical.T).T
    right = _synthesise(horizontal.T, diagonal.T).T
    return _synthesise(left, right)


def _analyse(x: Ints) -> tuple[Ints, Ints]:
    """Low and high halves along the last axis."""
    low, high = x[..., 0::2].astype(np.int64), x[..., 1::2].astype(np.int64)
    if high.shape[-1]:
        for predict, update in _STEPS:
            high += _scaled(predict, _around_high(low, high))
            low += _scaled(update, _around_low(low, high))
    return low, high


def _synthesise(low: Ints, high: Ints) -> Ints:
    low, high = low.astype(np.int64), high.astype(np.int64)  # bands without values are int32
    if high.shape[-1]:
        for predict, update in reversed(_STEPS):
            low -= _scaled(update, _around_low(low, high))
            high -= _scaled(predict, _around_high(low, high))
    out = np.empty((*low.shape[:-1], low.shape[-1] + high.shape[-1]), np.int64)
    out[..., 0::2], out[..., 1::2] = low, high
    return out


def _scaled(coefficient: int, total: Ints) -> Ints:
    return (coefficient * total + _HALF) >> _BITS


def _around_high(low: Ints, high: Ints) -> Ints:
    """Sum of the low samples at both sides of each high one, mirrored at the end."""
    n = high.shape[-1]
    right = low[..., 1:] if low.shape[-1] > n else np.concatenate((low[..., 1:], low[..., -1:]), -1)
    return low[..., :n] + right


def _around_low(low: Ints, high: Ints) -> Ints:
    """Sum of the high samples at both sides of each low one, mirrored at both ends."""
    left = np.concatenate((high[..., :1], high), -1)[..., : low.shape[-1]]
    right = np.concatenate((high, high[..., -1:]), -1)[..., : low.shape[-1]]
    return left + right
