"""Units: logarithms and ratios of a step's values by table, and the filters that need them.

`residual.fixed` and `residual.adaptive` define all of it.  What belongs to a unit is looked up once
for all ratios to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from ..coding.fixed_point import LOG_STEPS, LOG_TABLE, RECIPROCAL_TABLE
from ..residual.nlms import MISS_SHIFT, SHARE_LIMIT, STEP_LIMIT, WEIGHT_LIMIT

Tensor = Any  # torch.Tensor; mypy does not see the package

_FRACTION = 6  # leading bits after the first that the tables look at
_FIRST = 1023 << _FRACTION  # of the exponents of float64


@dataclass
class Unit:
    """What `ratio` makes of a unit: limits of the value, bits to drop, reciprocal, rounding."""

    lo: Tensor
    hi: Tensor
    drop: Tensor
    reciprocal: Tensor
    half: Tensor
    shift: Tensor

    def part(self, i: int) -> Unit:
        """One unit of several."""
        parts = (self.lo, self.hi, self.drop, self.reciprocal, self.half, self.shift)
        return Unit(*(part[i] for part in parts))

    def ratio(self, value: Tensor) -> Tensor:
        """value / unit in 1/16, not yet limited to +-127."""
        value = value.clamp(self.lo, self.hi) >> self.drop
        return torch.addcmul(self.half, value, self.reciprocal) >> self.shift


class Tables:
    """Logarithms and reciprocals by the leading bits of a number."""

    def __init__(self, device: Any) -> None:
        exponent, fraction = np.divmod(np.arange(64 << _FRACTION), 1 << _FRACTION)
        drop = np.maximum(exponent - 12, 0)
        shift = 10 + exponent - drop
        half = np.left_shift(np.int64(1), shift - 1)
        logarithms = LOG_STEPS * exponent + LOG_TABLE[fraction]
        units = np.stack([drop, RECIPROCAL_TABLE[fraction], half, shift])
        self.logarithm_table = torch.from_numpy(logarithms).to(device)
        self.unit_table = torch.from_numpy(units).to(device)

    def leading(self, value: Tensor) -> Tensor:
        """Exponent and leading fraction of values from 1 up to 2**53."""
        return (value.double().view(torch.int64) >> (52 - _FRACTION)) - _FIRST

    def logarithms(self, leading: Tensor) -> Tensor:
        return self.logarithm_table[leading]

    def units(self, unit: Tensor, leading: Tensor | None = None) -> Unit:
        found = self.unit_table[:, self.leading(unit) if leading is None else leading]
        drop, reciprocal, half, shift = found.unbind()
        most = unit << 3
        return Unit(-most, most, drop, reciprocal, half, shift)


@cache
def tables(device: Any) -> Tables:
    """The tables on a device."""
    return Tables(device)


class Filter:
    """`residual.adaptive.Filter` of all lanes of a strip, (taps, lanes, items)."""

    def __init__(self, tables: Tables, n_taps: int, sigma: Tensor) -> None:
        self.weights = sigma.new_zeros((n_taps, *sigma.shape))
        self._inputs = self.weights
        self._unit = tables.units(torch.ones_like(sigma)[None])
        self._predicted_error = torch.zeros_like(sigma)
        self.mean_abs_miss = sigma

    def update(self, error: Tensor) -> None:
        missed = error - self._predicted_error
        step = self._unit.ratio(missed[None]).clamp_(-STEP_LIMIT, STEP_LIMIT)
        bent = torch.addcmul(self.weights, step, self._inputs)
        self.weights = bent.clamp_(-WEIGHT_LIMIT, WEIGHT_LIMIT)
        self.mean_abs_miss = self.mean_abs_miss + (
            (missed.abs() - self.mean_abs_miss) >> MISS_SHIFT
        )

    def predict(self, inputs: Tensor, energy: Tensor, unit: Unit) -> tuple[Tensor, Tensor]:
        share = ((self.weights * inputs).sum(0) >> 11).clamp_(-SHARE_LIMIT, SHARE_LIMIT)
        predicted_error = (energy >> 10) * share + (((energy & 1023) * share) >> 10)
        self._inputs, self._unit, self._predicted_error = inputs, unit, predicted_error
        return predicted_error, share
