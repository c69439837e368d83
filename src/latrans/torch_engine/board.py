"""Board: planes of one shape side by side on a device, and what their lanes are given.

Strip after strip is decoded on it, in all planes of a batch, see `launch`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..coding.fixed_point import sigma_from_code
from ..coding.schedule import LANES
from ..residual.job import Job
from ..residual.predictor import Predictor
from .experts import Span
from .layout import Layout, Strip
from .streams import StreamBatch

Tensor = Any  # torch.Tensor; mypy does not see the package


@dataclass(frozen=True)
class Coder:
    """What a predictor does with planes of one kind, on one device."""

    predictor: Predictor
    layout: Layout
    entries: Tensor  # of all probability tables, see `tables.entries`
    prepared: Any  # `launch.Prepared`


@dataclass(frozen=True)
class Lanes:
    """What the lanes of a strip are given.

    Attributes
    ----------
    weights : (taps, lanes, items) of the coefficient set.
    sigma : (lanes, items) mean absolute error of the coefficient set.
    """

    weights: Tensor
    sigma: Tensor


@dataclass(frozen=True)
class Finished:
    """Cells of decoded planes, (samples, items) int64: samples, errors, and energies if kept.

    `bad` (items,) marks planes of which a sample was out of range.
    """

    samples: Tensor
    errors: Tensor
    energy: Tensor
    bad: Tensor


class Board(ABC):
    """Decodes the planes of some jobs that differ in their contents alone.

    Parameters
    ----------
    spans : which expert serves which of the jobs.
    begins : (tables, items) where the slots of each class's table begin among the entries.
    lane_first_samples : (rows, items) of a track's lanes, or None.
    known : (cells, items) of finished planes on the board, in the layout's order, or None.
    """

    def __init__(
        self,
        coder: Coder,
        jobs: Sequence[Job],
        spans: Sequence[Span],
        streams: StreamBatch,
        begins: Tensor,
        lane_first_samples: Tensor | None,
        known: Sequence[Tensor],
    ) -> None:
        self._coder, self._spans, self._streams, self._begins = coder, spans, streams, begins
        self._layout = layout = coder.layout
        device = self._device = begins.device
        self._sets = Sets(coder.predictor, jobs, device)
        lo, hi = (torch.tensor([getattr(j, k) for j in jobs], device=device) for k in ("lo", "hi"))
        self._step, self._lo, self._hi = jobs[0].step, lo, hi
        shape = layout.shape
        n = shape.rows * shape.columns
        self._board = board = lo.new_zeros((layout.n_cells, len(jobs)))
        board[layout.samples : layout.errors] = torch.minimum(lo.clamp(min=0), hi)
        self._first_sigma = self._sets.sigma(0, 1)[0]
        board[layout.errors : layout.sums] = self._first_sigma
        board[layout.energy : layout.trash] = 1
        self._n = n
        if known:
            torch.cat(list(known), out=board[layout.finished :])
        self._bad = torch.zeros((LANES, len(jobs)), dtype=torch.bool, device=device)
        if lane_first_samples is not None:
            self._start_lanes(lane_first_samples)

    def _start_lanes(self, lane_first_samples: Tensor) -> None:
        """The first sample of every lane of a track, and what stands for the errors before it."""
        layout, board = self._layout, self._board
        rows, columns = layout.shape.rows, layout.shape.columns
        sigma = self._sets.sigma(0, rows)
        board[layout.samples :][: self._n : columns] = lane_first_samples
        board[layout.errors :][: self._n : columns] = sigma
        if layout.shape.keep:
            board[layout.energy :][: self._n : columns] = sigma
        sums = board[layout.sums :][: rows * layout.sum_stride].unflatten(0, (rows, -1))
        count = torch.arange(layout.sum_lead + 1, device=self._device)[None, :, None]
        sums[:, : layout.sum_lead + 1] = sigma[:, None] * count

    def run(self) -> Finished:
        """Decode all."""
        layout, n, board = self._layout, self._n, self._board
        self._decode()
        samples, errors = (board[at : at + n] for at in (layout.samples, layout.errors))
        return Finished(samples, errors, board[layout.energy : layout.trash], self._bad.any(0))

    def _decode(self) -> None:
        for top in range(0, self._layout.shape.rows, LANES):
            strip = self._layout.strip(top)
            if strip.kept:
                self._strip(strip, top)

    @abstractmethod
    def _strip(self, strip: Strip, top: int) -> None:
        """Decode the rows of a strip in all planes."""


class Sets:
    """Coefficient sets of all jobs, handed out to the lanes they serve."""

    def __init__(self, predictor: Predictor, jobs: Sequence[Job], device: Any) -> None:
        g = predictor.geometry
        n_taps = predictor.n_own_taps + len(g.reference_taps) * len(jobs[0].references)
        most = max(len(job.bands) for job in jobs)
        weights = np.zeros((most, n_taps, len(jobs)), np.int64)
        shifts, sigmas = np.zeros((2, most, len(jobs)), np.int64)
        which = np.zeros((jobs[0].rows, len(jobs)), np.int64)
        for i, job in enumerate(jobs):
            which[:, i] = np.arange(job.rows) // job.band_rows
            for band, set_ in enumerate(job.bands):
                weights[band, : len(set_.weights), i] = set_.weights
                shifts[band, i], sigmas[band, i] = set_.shift, sigma_from_code(set_.sigma_code)
        trained = np.zeros(n_taps, np.int64)
        trained[: predictor.n_own_taps] = predictor.linear
        found = (weights, shifts, sigmas, which, trained)
        self._weights, self._shifts, self._sigmas, self._which, self.trained = (
            torch.from_numpy(f).to(device) for f in found
        )

    def sigma(self, top: int, n: int) -> Tensor:
        """Mean absolute error of the sets of some rows, (rows, items)."""
        return self._sigmas.gather(0, self._which[top : top + n])

    def shifts(self, top: int, n: int) -> Tensor:
        """Fraction bits of the weights of some rows, (rows, items)."""
        return self._shifts.gather(0, self._which[top : top + n])

    def lanes(self, top: int, n: int) -> Lanes:
        """What is given for some rows."""
        which = self._which[top : top + n]
        index = which[:, None].expand(-1, self._weights.shape[1], -1)
        return Lanes(self._weights.gather(0, index).transpose(0, 1), self.sigma(top, n))
