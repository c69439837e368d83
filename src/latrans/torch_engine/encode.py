"""Encoding on tensors: classes and costs of a batch of planes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..coding.tokens import N_TOKENS, tokenise
from ..residual.predictor import Predictor
from ..residual.table_map import COST_UNIT
from .device import to_host
from .planes import Batch, Finished, Item, batches


@dataclass(frozen=True)
class Found:
    """Classes of a plane as in `residual.job.Classes`, on the host: uint8, uint8, int32."""

    table: npt.NDArray[np.uint8]
    low_bits: npt.NDArray[np.uint8]
    offset: npt.NDArray[np.int32]
    finished: Finished | None


def classify(predictor: Predictor, device: torch.device, items: Sequence[Item]) -> list[Found]:
    """Classes of planes of one shape, in their order; without a step.

    Raises
    ------
    ConfigError
        If a sample lies outside of its range.
    """
    order = sorted(range(len(items)), key=lambda i: items[i].job.expert)
    found: dict[int, Found] = {}
    start = 0
    for batch in batches(predictor, device, [items[i] for i in order]):
        for i, one in zip(order[start:], _classified(batch), strict=False):
            found[i] = one
        start += len(batch.jobs)
    return [found[i] for i in range(len(items))]


def _classified(batch: Batch) -> list[Found]:
    batch.check()
    shape, experts = batch.planes.shape, [job.expert for job in batch.jobs]
    kept = any(job.keep for job in batch.jobs)
    described = kept and batch.predictor.n_described_references > 0
    table, low_bits = torch.zeros((2, *shape), dtype=torch.uint8, device=batch.device)
    offset = torch.zeros(shape, dtype=torch.int32, device=batch.device)
    errors = energy = None
    if described:
        errors, energy = torch.empty((2, *shape), dtype=torch.int64, device=batch.device)
    for here, band in batch.described():
        y, x = here
        for to, values in zip(
            (table, low_bits, offset), batch.classes(here, band, experts), strict=True
        ):
            to[:, y, x] = values
        if errors is not None and energy is not None:
            errors[:, y, x], energy[:, y, x] = batch.body(band.errors), band.energy
    found = []
    on_host = to_host([table, low_bits, offset])
    for i, job in enumerate(batch.jobs):
        finished = None
        if job.keep:
            finished = Finished(
                batch.planes[i],
                None if errors is None else errors[i],
                None if energy is None else energy[i],
            )
        tables, low, distances = (values[i] for values in on_host)
        found.append(Found(tables, low, distances, finished))
    return found


def costs(
    predictor: Predictor,
    device: torch.device,
    experts: Sequence[int],
    token_costs: torch.Tensor,
    items: Sequence[Item],
) -> list[list[int]]:
    """What planes take with each expert, in 1/256 bit; `token_costs` is (tables * tokens,)."""
    found: list[list[int]] = []
    for batch in batches(predictor, device, items):
        batch.check()
        n = len(batch.jobs)
        totals = torch.zeros((len(experts), n), dtype=torch.int64, device=device)
        coded = batch.coded
        for here, band in batch.described():
            for i, expert in enumerate(experts):
                table, low_bits, offset = batch.classes(here, band, [expert] * n)
                token, n_raw, _ = tokenise(offset, low_bits)
                bits: Any = token_costs[table * N_TOKENS + token] + COST_UNIT * n_raw
                totals[i] += torch.where(coded[here], bits, 0).sum((1, 2))
        found += totals.T.tolist()
    return found
