"""Density: what the residual network says about a sample, as a heavy-tailed mixture.

A narrow and a wide discretised logistic; the tables of classes take its place after training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from .rows import Rows

_FLOOR = 1e-6


@dataclass(frozen=True)
class Targets:
    """What a density is asked about, (n,) each but `gates` (n, gates), in units of what is coded.

    Attributes
    ----------
    offset : sample minus prediction.
    energy : local error energy.
    gates : alternative predictions minus prediction.
    """

    offset: torch.Tensor
    energy: torch.Tensor
    gates: torch.Tensor

    @classmethod
    def of(cls, rows: Rows) -> Targets:
        unit = 256.0 * rows.step
        offset = ((rows.sample << 8) - rows.prediction) / unit
        return cls(
            *(
                torch.from_numpy(values.astype(np.float32))
                for values in (offset, rows.energy / unit, rows.gates / unit[:, None])
            )
        )

    def __getitem__(self, pick: torch.Tensor) -> Targets:
        return Targets(self.offset[pick], self.energy[pick], self.gates[pick])


def density_bits(outputs: torch.Tensor, targets: Targets) -> torch.Tensor:
    """Bits (n,) that a mixture density gives to samples, from outputs (n, 3 + gates)."""
    energy = targets.energy
    gated = (outputs[:, 3:].clamp(-2, 2) * targets.gates).sum(1)
    mean = outputs[:, 0].clamp(-4, 4) * energy + gated
    log_scale = torch.log(0.5 * energy) + math.log(2) * outputs[:, 1].clamp(-8, 8)
    distance = (targets.offset - mean).abs()
    narrow = _logistic(distance, log_scale)
    wide = _logistic(distance, log_scale + 1.5)
    tail = outputs[:, 2].clamp(-8, 8) - 2
    mixture = torch.logaddexp(
        narrow + torch.nn.functional.logsigmoid(-tail), wide + torch.nn.functional.logsigmoid(tail)
    )
    return -torch.logaddexp(mixture, torch.full_like(mixture, math.log(_FLOOR))) / math.log(2)


def _logistic(distance: torch.Tensor, log_scale: torch.Tensor) -> torch.Tensor:
    """Log probability of the unit interval around `distance` from the mean."""
    inverse = torch.exp(-log_scale)
    upper, lower_ = (distance + 0.5) * inverse, (distance - 0.5) * inverse
    # log(sigmoid(a) - sigmoid(b)) without cancellation.
    width = inverse.clamp(min=1e-12)
    return (
        torch.nn.functional.logsigmoid(upper)
        + torch.nn.functional.logsigmoid(-lower_)
        + torch.log(-torch.expm1(-width))
    )
