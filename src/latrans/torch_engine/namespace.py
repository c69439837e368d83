"""What `residual.namespace` needs of PyTorch: NumPy's functions, on tensors of any device.

Integers stay integers: no result passes through a float that does not hold it exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch

Tensor = Any  # torch.Tensor; mypy does not see the package

minimum = torch.minimum
maximum = torch.maximum
zeros_like = torch.zeros_like
stack = torch.stack
concatenate = torch.cat


def where(condition: Any, yes: Any, no: Any) -> Tensor:
    """As NumPy's; a condition may also be a plain bool."""
    if isinstance(condition, bool):
        return yes if condition else no
    return torch.where(condition, yes, no)


def broadcast_arrays(*tensors: Tensor) -> Sequence[Tensor]:
    found: Sequence[Tensor] = torch.broadcast_tensors(*tensors)
    return found


def floor_log2(value: Tensor) -> Tensor:
    """Position of the highest set bit of int64 from 1 up to 2**53: the exponent as float64."""
    return (value.double().view(torch.int64) >> 52) - 1023


def take(table: Any, index: Tensor) -> Tensor:
    """Entries of a constant NumPy table of int64, of which every device keeps a copy."""
    return _on_device(table.tobytes(), index.device)[index]


@lru_cache(maxsize=64)
def _on_device(table: bytes, device: Any) -> Tensor:
    return torch.from_numpy(np.frombuffer(table, np.int64).copy()).to(device)
