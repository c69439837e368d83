"""Tables on a device: what the kernel looks up of logarithms, classes, tokens and slots.

`coding.fixed_point`, `residual.classes`, `coding.tokens` and `coding.rans` define what is in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from ..coding.fixed_point import LOG_STEPS, LOG_TABLE, RECIPROCAL_TABLE
from ..coding.rans.tables import PROBABILITY_BITS, TOTAL, Frequencies, slots, starts
from ..coding.tokens import ESCAPE, N_TOKENS, raw_length, untokenise
from ..residual.classes import MAX_SCALE, N_PHASES, N_TAILS, STEPS_PER_OCTAVE, place

Tensor = Any  # torch.Tensor; mypy does not see the package

_FRACTION = 6  # leading bits after the first that the tables of numbers look at
_LOW_SHIFT = 8  # of a class and its raw low bits in one number
_SYMBOL_SHIFT = 2 * PROBABILITY_BITS  # of an entry: offset in its interval, its size, symbol
ESCAPED = 64  # more raw bits than any token has


@dataclass(frozen=True)
class NumberTables:
    """Logarithms, and what divides by a unit, by the leading bits of a number."""

    logarithm_table: Tensor
    unit_table: Tensor


@cache
def numbers(device: Any) -> NumberTables:
    """Tables of numbers on a device."""
    exponent, fraction = np.divmod(np.arange(64 << _FRACTION), 1 << _FRACTION)
    drop = np.maximum(exponent - 12, 0)
    shift = 10 + exponent - drop
    half = np.left_shift(np.int64(1), shift - 1)
    logarithms = LOG_STEPS * exponent + LOG_TABLE[fraction]
    units = np.stack([drop, RECIPROCAL_TABLE[fraction], half, shift])
    return NumberTables(torch.from_numpy(logarithms).to(device), torch.from_numpy(units).to(device))


@cache
def classes(device: Any) -> Tensor:
    """Class and raw low bits of every tail, scale and phase, as `place` finds them."""
    tail, scale, phase = np.mgrid[0:N_TAILS, 0 : MAX_SCALE + 1, 0:N_PHASES].reshape(3, -1)
    # An energy of 8 has the logarithm 96: the second output alone makes the scale.
    outputs = np.stack([0 * scale, -(-LOG_STEPS * scale // STEPS_PER_OCTAVE), tail])
    energy = np.full_like(scale, 8)
    lo, hi = -(1 << 31), (1 << 31) - 1
    found = place(outputs, 32 * phase, 0 * scale, energy, False, (1, 2), lo, hi)
    return torch.from_numpy(found.table | found.low_bits << _LOW_SHIFT).to(device)


@cache
def tokens(device: Any) -> Tensor:
    """Raw bits that each token leaves open, and its zigzagged offset without them."""
    token = np.arange(N_TOKENS + 1)
    none = np.zeros_like(token)
    offset = untokenise(token, none, none)
    lengths = np.where(token == ESCAPE, ESCAPED, raw_length(token, none))
    zigzag = np.where(offset >= 0, 2 * offset, -2 * offset - 1)
    return torch.from_numpy(np.stack([lengths, zigzag])).to(device)


def entries(frequencies: Frequencies, device: Any) -> Tensor:
    """What a pop needs of every slot of every table, (tables * 4096,) int64."""
    symbol = slots(frequencies).astype(np.int64)
    size = np.take_along_axis(frequencies.astype(np.int64), symbol, 1)
    start = np.take_along_axis(starts(frequencies).astype(np.int64), symbol, 1)
    offset = np.arange(TOTAL) - start
    # A symbol that is alone has all 4096 slots, one more than 12 bits hold.
    packed = symbol << _SYMBOL_SHIFT + 1 | size << PROBABILITY_BITS | offset
    return torch.from_numpy(packed.reshape(-1)).to(device)
