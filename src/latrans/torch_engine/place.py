"""Places on tensors: from a network's answer to a class, and from a token to a sample.

What `residual.classes` says of every scale, phase and tail, and of every token, is laid out in
tables here, so that each takes one look-up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from ..coding.fixed_point import LOG_STEPS, log2
from ..coding.tokens import ESCAPE, N_TOKENS, raw_length, untokenise
from ..residual.classes import MAX_SCALE, N_PHASES, N_TAILS, STEPS_PER_OCTAVE, place
from ..residual.predictor import Predictor
from .describe import Described

Tensor = Any  # torch.Tensor; mypy does not see the package

_LOW_SHIFT = 8  # of a class and its raw low bits in one number
ESCAPED = 64  # more raw bits than any token has


@dataclass
class Places:
    """Where samples are expected, as `residual.classes.Placed`: (lanes, items) each."""

    anchor: Tensor | None
    centre: Tensor
    flip: Tensor
    table: Tensor
    low_bits: Tensor


class Placer:
    """Places samples of one predictor that lie `step` apart, between `lo` and `hi` (items,)."""

    def __init__(self, predictor: Predictor, step: int, lo: Tensor, hi: Tensor) -> None:
        self.step, self.lo, self.hi = step, lo, hi
        self._low, self._high = lo << 8, hi << 8
        self._classes = classes(lo.device)
        self._tails = torch.tensor(sorted(predictor.tails), device=lo.device)
        self._flat = predictor.flat
        self._log_step = int(log2(step))
        self._lengths, self._values = tokens(lo.device).unbind()

    def __call__(self, seen: Described, outputs: Tensor) -> Places:
        """Places for network outputs (3 + gates, lanes, items)."""
        moved = (seen.moves * outputs[3:]).sum(0) >> 6
        mean = seen.prediction + moved + ((seen.energy * outputs[0]) >> 6)
        if self._flat:
            mean = torch.where(seen.flat, seen.level, mean)
        mean = mean.clamp(self._low, self._high)
        anchor = None
        if self.step > 1:
            expected = seen.prediction
            if self._flat:
                expected = torch.where(seen.flat, seen.level, expected)
            anchor = (expected.clamp(self._low, self._high) + 128) >> 8
            mean = _in_steps(mean - (anchor << 8), self.step)
        centre = (mean + 128) >> 8
        fraction = mean - (centre << 8)
        phase = (fraction.abs() >> 5).clamp_(max=N_PHASES - 1)
        octaves = seen.log_energy + outputs[1] - (96 + self._log_step)
        scale = ((octaves * STEPS_PER_OCTAVE) >> 5).clamp_(0, MAX_SCALE)
        tail = torch.bucketize(outputs[2], self._tails, right=True)
        found = self._classes[(tail * (MAX_SCALE + 1) + scale) * N_PHASES + phase]
        if self._flat:
            found = found.masked_fill(seen.flat, 0)
        # Where surroundings are flat the mean is whole, and so there is nothing to flip.
        return Places(anchor, centre, fraction < 0, found & 255, found >> _LOW_SHIFT)

    def raw_bits(self, token: Tensor, low_bits: Tensor) -> Tensor:
        """Raw bits that follow tokens; `ESCAPED` and more for the escape."""
        return self._lengths[token] + low_bits

    def samples(self, places: Places, token: Tensor, raw: Tensor) -> Tensor:
        """Samples of tokens and their raw bits."""
        low = places.low_bits
        high = raw >> low
        zigzag = self._values[token] | (high << 1)
        quotient = (zigzag >> 1) ^ -(zigzag & 1)
        offset = (quotient << low) | (raw - (high << low))
        value = torch.where(places.flip, places.centre - offset, places.centre + offset)
        if places.anchor is not None:
            value = places.anchor + self.step * value
        # Modulo 2**32, signed.
        return value.int().long()

    def limited(self, samples: Tensor) -> Tensor:
        return samples.clamp(self.lo, self.hi)


def _in_steps(distance: Tensor, step: int) -> Tensor:
    per_step = ((1 << 16) + step // 2) // step
    return ((distance >> 8) * per_step + (((distance & 255) * per_step) >> 8)) >> 8


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
