"""Symbols: magnitudes as tokens and raw bits (FORMAT.md 11.6).

Small magnitudes are tokens of their own, larger ones are told by exponent, one bit of the
mantissa and raw bits.
"""

from __future__ import annotations

import numpy as np

from ..coding.fixed_point import Ints, floor_log2

N_DIRECT = 16
MAX_MAGNITUDE = (1 << 24) - 1
N_TOKENS = N_DIRECT + 2 * 20
ESCAPE = N_TOKENS
N_SYMBOLS = N_TOKENS + 1


def tokenise(magnitude: Ints) -> tuple[Ints, Ints, Ints]:
    """(token, n_raw, raw) of magnitudes: `raw` holds the `n_raw` bits that tokens leave open."""
    exponent = floor_log2(np.maximum(magnitude, 1))
    wide = magnitude >= N_DIRECT
    n_middle = np.where(wide, exponent - 1, 0)
    middle = np.where(wide, magnitude & ((np.int64(1) << n_middle) - 1), 0)
    mantissa = (magnitude >> np.maximum(exponent - 1, 0)) & 1
    token = np.where(wide, N_DIRECT + 2 * (exponent - 4) + mantissa, magnitude)
    return token, n_middle, middle


def raw_length(token: Ints) -> Ints:
    """Raw bits that follow a token."""
    return np.where(token >= N_DIRECT, (token - N_DIRECT) // 2 + 3, 0)


def untokenise(token: Ints, raw: Ints) -> Ints:
    """Inverse of `tokenise`."""
    wide = token >= N_DIRECT
    code = np.where(wide, token - N_DIRECT, 0)
    exponent = code // 2 + 4
    large = (np.int64(1) << exponent) | ((code & 1) << (exponent - 1)) | raw
    return np.where(wide, large, token)
