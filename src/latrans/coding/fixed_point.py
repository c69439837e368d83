"""Fixed-point logarithm and ratio by table (FORMAT.md 6.3).

Every engine must find the same integers, so there is no division and no float here.  All values
are int64 arrays, or tensors (see `namespace`); real quantities carry 8 fraction bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from .array_ops import namespace, take

Ints = npt.NDArray[np.int64]

FRACTION_BITS = 8
LOG_STEPS = 32  # logarithms count in 1/32 octave
RATIO_LIMIT = 127  # ratios count in 1/16 and saturate here

LOG_TABLE = np.array([round(32 * math.log2(1 + i / 64)) for i in range(64)], np.int64)
RECIPROCAL_TABLE = np.array([round(2**14 / (1 + (i + 0.5) / 64)) for i in range(64)], np.int64)


def floor_log2(value: Ints) -> Ints:
    """Position of the highest set bit of value >= 1 (below 2**53)."""
    xp = namespace(value)
    if xp is np:
        return (value.astype(np.float64).view(np.int64) >> 52) - 1023  # a double's exponent
    return xp.floor_log2(value)


def log2(value: Any) -> Ints:
    """Logarithm of value >= 1 in 1/32 octave."""
    value = _ints(value)
    exponent = floor_log2(value)
    return LOG_STEPS * exponent + take(LOG_TABLE, ((value << 6) >> exponent) - 64)


@dataclass(frozen=True)
class Unit:
    """What values are measured by, 1 or more, and what of it all ratios to it have in common.

    Attributes
    ----------
    most : values of this size and more have the largest ratio.
    reciprocal : from a table; drop : bits of values that are not looked at.
    half, shift : of the product with the reciprocal, to round it.
    log : logarithm in 1/32 octave.
    """

    most: Ints
    reciprocal: Ints
    drop: Ints
    half: Ints
    shift: Ints
    log: Ints

    @classmethod
    def of(cls, unit: Any) -> Unit:
        unit = _ints(unit)
        exponent = floor_log2(unit)
        leading = ((unit << 6) >> exponent) - 64
        drop = (exponent - 12).clip(0)  # keeps the product below 2**31
        shift = 10 + exponent - drop
        log = LOG_STEPS * exponent + take(LOG_TABLE, leading)
        reciprocal = take(RECIPROCAL_TABLE, leading)
        return cls(8 * unit, reciprocal, drop, 1 << (shift - 1), shift, log)

    def ratio(self, value: Any) -> Ints:
        """Values by the unit in 1/16, rounded, saturating at +-127."""
        value = _ints(value).clip(-self.most, self.most)
        quotient = ((value >> self.drop) * self.reciprocal + self.half) >> self.shift
        return quotient.clip(-RATIO_LIMIT, RATIO_LIMIT)

    def __getitem__(self, here: Any) -> Unit:
        """The units of some samples."""
        return Unit(*(getattr(self, part.name)[here] for part in fields(self)))


def saturate(value: Ints) -> Ints:
    """Clamp to the network's input range."""
    return value.clip(-RATIO_LIMIT, RATIO_LIMIT)


def _ints(value: Any) -> Any:
    """Numbers as an array."""
    return np.asarray(value, np.int64) if namespace(value) is np else value


SIGMA_TABLE = np.array([round(16 * 2 ** (i / 8)) for i in range(8)], np.int64)


def sigma_from_code(code: int) -> int:
    """Chunk-wide mean absolute error (8 fraction bits) from its byte, 1/8 octave apart."""
    return max(1, int(SIGMA_TABLE[code & 7]) << (code >> 3) >> 4)


def code_from_sigma(sigma: float) -> int:
    """Nearest code of a mean absolute error given with 8 fraction bits."""
    if sigma < 1:
        return 0
    return min(255, max(0, round(8 * math.log2(sigma))))
