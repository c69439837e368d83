"""Classes: from the network's answer to a probability table (FORMAT.md 6.5).

The network says where the sample is expected and how sure it is.  Sureness becomes a class; each
class owns a static table over tokens (`coding.tokens`).  Wide classes drop low bits into raw bits
first, so that one table serves every octave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..coding.array_ops import namespace
from ..coding.fixed_point import Ints, log2

STEPS_PER_OCTAVE = 3
N_PHASED = 15  # scales below 1: the fraction of the mean matters
N_SCALES = 27  # distinct tables; wider scales repeat the last octave with raw low bits
N_PHASES = 4
N_TAILS = 3
TABLES_PER_TAIL = N_PHASED * N_PHASES + N_SCALES - N_PHASED
N_TABLES = 1 + N_TAILS * TABLES_PER_TAIL  # table 0 belongs to flat surroundings
MAX_SCALE = N_SCALES + 3 * 25 - 1

# Network outputs: shift of the mean, scale, weight of the tail, and gates.
MEAN_LIMIT, SCALE_LIMIT, TAIL_LIMIT, GATE_LIMIT = 255, 255, 127, 127


def limited(outputs: Ints) -> Ints:
    """Network outputs (3 + gates, ...), clamped to their ranges."""
    limits = [MEAN_LIMIT, SCALE_LIMIT, TAIL_LIMIT] + [GATE_LIMIT] * (len(outputs) - 3)
    clamped = [o.clip(-most, most) for o, most in zip(outputs, limits, strict=True)]
    return namespace(outputs).stack(clamped)


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
    xp = namespace(prediction)
    low, high = lo << 8, hi << 8
    mean = (prediction + moved + ((energy * outputs[0]) >> 6)).clip(low, high)
    anchor = xp.zeros_like(mean)
    if step > 1:
        anchor = (prediction.clip(low, high) + 128) >> 8
        mean = _in_steps(mean - (anchor << 8), step)
    centre = (mean + 128) >> 8
    fraction = mean - (centre << 8)
    flip = xp.where(fraction < 0, 1, 0)
    phase = (abs(fraction) >> 5).clip(0, N_PHASES - 1)
    octaves = log2(energy) + outputs[1] - 96 - int(log2(step))
    scale = ((octaves * STEPS_PER_OCTAVE) >> 5).clip(0, MAX_SCALE)
    over = (scale - (N_SCALES - STEPS_PER_OCTAVE)).clip(0)
    low_bits = over // STEPS_PER_OCTAVE
    narrow = xp.where(
        scale >= N_SCALES - STEPS_PER_OCTAVE,
        N_SCALES - STEPS_PER_OCTAVE + over % STEPS_PER_OCTAVE,
        scale,
    )
    tail = xp.where(outputs[2] >= tails[0], 1, 0) + xp.where(outputs[2] >= tails[1], 1, 0)
    column = xp.where(
        narrow < N_PHASED,
        narrow * N_PHASES + phase,
        N_PHASED * N_PHASES + narrow - N_PHASED,
    )
    table = xp.where(flat, 0, 1 + tail * TABLES_PER_TAIL + column)
    return Placed(anchor, centre, xp.where(flat, 0, flip), table, xp.where(flat, 0, low_bits))


def offsets(placed: Placed, value: Ints) -> Ints:
    """Mirrored offsets of coded values from where they are expected, modulo 2**32."""
    difference = wrap32(value - placed.centre)
    return namespace(value).where(placed.flip == 1, wrap32(-difference), difference)


def _in_steps(distance: Ints, step: int) -> Ints:
    """A distance in steps, by the step's rounded reciprocal; 8 fraction bits both."""
    per_step = ((1 << 16) + step // 2) // step
    return ((distance >> 8) * per_step + (((distance & 255) * per_step) >> 8)) >> 8


def wrap32(value: Ints) -> Ints:
    """Value modulo 2**32 as a signed 32-bit integer."""
    return ((value + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
