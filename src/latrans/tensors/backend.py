"""Residual backend of engine "torch"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..residual.fixed import Ints
from ..residual.job import Job
from ..residual.native import NativeBackend
from ..residual.predictor import Predictor
from .batching import batched


class TorchBackend(NativeBackend):
    """The compiled coder, called in batches."""

    def __init__(self, predictor: Predictor, device: torch.device) -> None:
        super().__init__(predictor)

    def classify(self, job: Job, plane: Ints) -> tuple[Any, Any]:
        plain = super().classify
        return batched(("classify", self), lambda items: [plain(*i) for i in items], (job, plane))

    def costs(self, job: Job, plane: Ints, experts: Sequence[int]) -> list[int]:
        plain = super().costs
        return batched(
            ("costs", self), lambda items: [plain(*i) for i in items], (job, plane, experts)
        )
