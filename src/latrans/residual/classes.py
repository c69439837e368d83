"""Classes and tokens: from the network's answer to a table and a symbol (FORMAT.md 6.5).

The network says where the sample is expected and how sure it is.  Sureness becomes a class; each
class owns a static table over *tokens*, small offsets directly and larger ones as exponent and
raw bits.  Wide classes drop low bits into raw bits first, so that one table serves every octave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .fixed import Ints, floor_log2, log2

STEPS_PER_OCTAVE = 3
N_PHASED = 15  # scales below 1: the fraction of the mean matters
N_SCALES = 27  # distinct tables; wider scales repeat the last octave with raw low bits
N_PHASES = 4
N_TAILS = 3
TABLES_PER_TAIL = N_PHASED * N_PHASES + N_SCALES - N_PHASED
N_TABLES = 1 + N_TAILS * TABLES_PER_TAIL  # table 0 belongs to flat surroundings
MAX_SCALE = N_SCALES + 3 * 25 - 1

N_DIRECT = 32  # zigzagged offsets below this are tokens of their own
N_TOKENS = N_DIRECT + 4 * 27
ESCAPE = N_TOKENS  # tokens a table never saw, their number follows in 8 raw bits
N_SYMBOLS = N_TOKENS + 1

# Network outputs: shift of the mean, scale, weight of the tail, and gates.
MEAN_LIMIT, SCALE_LIMIT, TAIL_LIMIT, GATE_LIMIT = 255, 255, 127, 127


def limited(outputs: Ints) -> Ints:
    """Network outputs (3 + gates, ...), clamped to their ranges."""
    limits = np.full(len(outputs), GATE_LIMIT, np.int64)
    limits[:3] = MEAN_LIMIT, SCALE_LIMIT, TAIL_LIMIT
    limits = limits.reshape(-1, *[1] * (outputs.ndim - 1))
    return np.clip(outputs, -limits, limits)


@dataclass(frozen=True)
class Placed:
    """Where samples are expected, and their classes; all of the samples' shape.

    Attributes
    ----------
    anchor : sample = anchor + step * coded value; 0 where the step is 1.
    centre : integer expected coded value.
    flip : 1 where the offset is mirrored, so that the fraction of the mean is never negative.
    table : class, which is the index of a probability table.
    low_bits : bits of the offset that go raw.
    """

    anchor: Ints
    centre: Ints
    flip: Ints
    table: Ints
    low_bits: Ints


def place(
    outputs: Ints,
    prediction: Ints,
    moved: Ints,
    energy: Ints,
    flat: Any,
    tails: tuple[int, int],
    lo: int | Ints,
    hi: int | Ints,
    step: int = 1,
) -> Placed:
    """Turn network outputs (3 or more, ...) into the samples' places.

    `moved` is how far the gates move the prediction; samples lie within [lo, hi], `step` apart.
    """
    low, high = np.left_shift(lo, 8), np.left_shift(hi, 8)
    mean = np.clip(prediction + moved + ((energy * outputs[0]) >> 6), low, high)
    anchor = np.zeros_like(mean)
    if step > 1:
        anchor = (np.clip(prediction, low, high) + 128) >> 8
        mean = _in_steps(mean - (anchor << 8), step)
    centre = (mean + 128) >> 8
    fraction = mean - (centre << 8)
    flip = (fraction < 0).astype(np.int64)
    phase = np.minimum(np.abs(fraction) >> 5, N_PHASES - 1)
    octaves = log2(energy) + outputs[1] - 96 - log2(step)
    scale = np.clip((octaves * STEPS_PER_OCTAVE) >> 5, 0, MAX_SCALE)
    over = np.maximum(scale - (N_SCALES - STEPS_PER_OCTAVE), 0)
    low_bits = over // STEPS_PER_OCTAVE
    narrow = np.where(
        scale >= N_SCALES - STEPS_PER_OCTAVE,
        N_SCALES - STEPS_PER_OCTAVE + over % STEPS_PER_OCTAVE,
        scale,
    )
    tail = (outputs[2] >= tails[0]).astype(np.int64) + (outputs[2] >= tails[1])
    column = np.where(
        narrow < N_PHASED,
        narrow * N_PHASES + phase,
        N_PHASED * N_PHASES + narrow - N_PHASED,
    )
    table = np.where(flat, 0, 1 + tail * TABLES_PER_TAIL + column)
    return Placed(anchor, centre, np.where(flat, 0, flip), table, np.where(flat, 0, low_bits))


def _in_steps(distance: Ints, step: int) -> Ints:
    """A distance in steps, by the step's rounded reciprocal; 8 fraction bits both."""
    per_step = ((1 << 16) + step // 2) // step
    return ((distance >> 8) * per_step + (((distance & 255) * per_step) >> 8)) >> 8


def wrap32(value: Ints) -> Ints:
    """Value modulo 2**32 as a signed 32-bit integer."""
    return ((value + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)


def tokenise(offset: Ints, low_bits: Ints) -> tuple[Ints, Ints, Ints]:
    """Split offsets into (token, n_raw, raw): raw holds the n_raw bits the token leaves open."""
    low = offset & ((np.int64(1) << low_bits) - 1)
    quotient = offset >> low_bits
    zigzag = np.where(quotient >= 0, 2 * quotient, -2 * quotient - 1)
    exponent = floor_log2(np.maximum(zigzag, 1))
    wide = zigzag >= N_DIRECT
    # Below the leading bit: one mantissa bit and, last, the sign go into the token.
    n_middle = np.where(wide, exponent - 2, 0)
    middle = (zigzag >> 1) & ((np.int64(1) << n_middle) - 1)
    mantissa = (zigzag >> np.maximum(exponent - 1, 0)) & 1
    token = np.where(wide, N_DIRECT + 4 * (exponent - 5) + 2 * mantissa + (zigzag & 1), zigzag)
    return token, n_middle + low_bits, np.where(wide, middle << low_bits, 0) | low


def raw_length(token: Ints, low_bits: Ints) -> Ints:
    """Raw bits that follow a token."""
    return np.where(token >= N_DIRECT, (token - N_DIRECT) // 4 + 3, 0) + low_bits


def untokenise(token: Ints, low_bits: Ints, raw: Ints) -> Ints:
    """Inverse of `tokenise`."""
    wide = token >= N_DIRECT
    code = np.where(wide, token - N_DIRECT, 0)
    exponent = code // 4 + 5
    middle = raw >> low_bits
    large = (
        (np.int64(1) << exponent) | ((code >> 1 & 1) << (exponent - 1)) | middle << 1 | (code & 1)
    )
    zigzag = np.where(wide, large, token)
    quotient = np.where(zigzag & 1, -((zigzag + 1) >> 1), zigzag >> 1)
    return (quotient << low_bits) | (raw & ((np.int64(1) << low_bits) - 1))
