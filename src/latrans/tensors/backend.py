"""Residual backend on tensors."""

from __future__ import annotations

from functools import partial

import torch

from ..residual import reference
from ..residual.backend import ReferenceBackend
from ..residual.fixed import Ints
from ..residual.gather import Coded
from ..residual.job import Classes, Job
from ..residual.predictor import Predictor
from . import programs


class TorchBackend(ReferenceBackend):
    """The reference, whose networks run on the device."""

    def __init__(self, predictor: Predictor, device: torch.device) -> None:
        super().__init__(predictor)
        self.run = partial(programs.run, device)

    def classify(self, job: Job, plane: Ints) -> tuple[Classes, Coded]:
        return reference.classify(self.predictor, job, plane, self.run)
