"""Wavefront: planes of one shape decoded side by side, step after step.

A step decodes one sample of each lane of a strip, in all planes of a batch: neighbours are
gathered from the board, described, shown to the networks, and placed; then symbols and raw bits are
popped, and the samples entered.  `residual.reference` defines all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..coding.fixed_point import sigma_from_code
from ..coding.schedule import LANES
from ..coding.tokens import N_TOKENS
from ..residual.job import Job
from ..residual.predictor import TRAINED_SHIFT, Predictor
from .describe import Describer, Lanes
from .experts import Experts, Span
from .layout import Layout, Strip
from .place import ESCAPED, Placer, Places
from .rans import Popper
from .units import Filter, tables

Tensor = Any  # torch.Tensor; mypy does not see the package


@dataclass(frozen=True)
class Coder:
    """What a predictor does with planes of one kind, on one device."""

    predictor: Predictor
    layout: Layout
    describer: Describer
    experts: Experts
    entries: Tensor  # of all probability tables, see `rans.entries`
    prepared: Any = None  # `launch.Prepared` where the kernel decodes


@dataclass(frozen=True)
class Finished:
    """Cells of decoded planes, (samples, items) int64: samples, errors, and energies if kept.

    `bad` (items,) marks planes of which a sample was out of range.
    """

    samples: Tensor
    errors: Tensor
    energy: Tensor
    bad: Tensor


class Wavefront:
    """Decodes the planes of some jobs that differ in their contents alone.

    Parameters
    ----------
    spans : which expert serves which of the jobs.
    begins : (tables, items) where the slots of each class's table begin among the entries.
    firsts : (rows, items) first samples of a track's lanes, or None.
    known : (cells, items) of finished planes on the board, in the layout's order, or None.
    """

    def __init__(
        self,
        coder: Coder,
        jobs: Sequence[Job],
        spans: Sequence[Span],
        popper: Popper,
        begins: Tensor,
        lane_first_samples: Tensor | None,
        known: Sequence[Tensor],
    ) -> None:
        self._coder, self._spans, self._popper, self._begins = coder, spans, popper, begins
        self._layout = layout = coder.layout
        device = self._device = begins.device
        self._sets = _Sets(coder.predictor, jobs, device)
        lo, hi = (torch.tensor([getattr(j, k) for j in jobs], device=device) for k in ("lo", "hi"))
        self._placer = Placer(coder.predictor, jobs[0].step, lo, hi)
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

    def run(self, most_rows: int | None = None) -> Finished:
        """Decode all, or the strips of the first rows."""
        layout, n, board = self._layout, self._n, self._board
        self._decode(layout.shape.rows if most_rows is None else most_rows)
        samples, errors = (board[at : at + n] for at in (layout.samples, layout.errors))
        return Finished(samples, errors, board[layout.energy : layout.trash], self._bad.any(0))

    def _decode(self, n_rows: int) -> None:
        for top in range(0, min(n_rows, self._layout.shape.rows), LANES):
            strip = self._layout.strip(top)
            if strip.kept:
                self._strip(strip, top)

    def _strip(self, strip: Strip, top: int) -> None:
        layout, device = self._layout, self._device
        rise = top - strip.top
        cells, active, writes = self._on_device(strip, rise)
        lanes = self._sets.lanes(top, strip.n_lanes)
        adaptive = None
        if layout.geometry.n_adaptive:
            adaptive = Filter(tables(device), layout.geometry.n_adaptive, lanes.sigma)
        full: list[bool] = np.all(strip.active, 1).tolist()
        for step, (kept, shift) in enumerate(zip(strip.kept, strip.shift, strict=True)):
            here = cells[kept] + shift if shift else cells[kept]
            first = top == step == 0 and layout.geometry.is_plane
            some = None if full[step] else active[step]
            self._step(here, lanes, adaptive, some, writes[step], first)

    def _on_device(self, strip: Strip, rise: int) -> tuple[Tensor, Tensor, Tensor]:
        """Cells (kept, neighbours * lanes), active (steps, lanes, 1), writes (steps, ...)."""
        layout = self._layout
        cells = strip.cells + rise * strip.rises if rise else strip.cells
        sample = strip.sample + rise * layout.shape.columns
        targets = [layout.samples + sample, layout.errors + sample]
        if not layout.geometry.is_plane:
            row, x = np.divmod(sample, layout.shape.columns)
            targets.append(layout.sums + row * layout.sum_stride + layout.sum_lead + x)
        if layout.shape.keep:
            targets.append(layout.energy + sample)
        writes = np.where(strip.active[:, None], np.stack(targets, 1), layout.trash)
        found = (cells, strip.active[..., None], writes.reshape(len(writes), -1))
        return tuple(torch.from_numpy(f).to(self._device) for f in found)  # type: ignore[return-value]

    def _step(
        self,
        cells: Tensor,
        lanes: Lanes,
        adaptive: Filter | None,
        active: Tensor | None,
        writes: Tensor,
        first: bool,
    ) -> None:
        board, n_lanes = self._board, len(lanes.sigma)
        near = board.index_select(0, cells).unflatten(0, (-1, n_lanes))
        seen = self._coder.describer(near, lanes, adaptive)
        places = self._placer(seen, self._coder.experts(seen.inputs, self._spans))
        sample = self._pop(places, active)
        limited = self._placer.limited(sample)
        wrong = limited != sample
        if active is not None:
            wrong &= active
        self._bad[:n_lanes] |= wrong
        error = (limited << 8) - seen.prediction
        if first:
            error[0] = self._first_sigma
        values = [limited, error]
        if adaptive is not None:
            before = near[self._coder.describer.last_sum]
            values.append(before + error.abs())
        if self._layout.shape.keep:
            values.append(seen.energy)
        board.index_copy_(0, writes, torch.cat(values))

    def _pop(self, places: Places, active: Tensor | None) -> Tensor:
        """Next sample of every lane."""
        popper, placer = self._popper, self._placer
        begin = self._begins.gather(0, places.table)
        token = popper.symbols(self._coder.entries, begin, active)
        bits = placer.raw_bits(token, places.low_bits)
        if active is not None:
            bits = bits * active
        most = int(bits.max())
        if most >= ESCAPED:
            escaped = bits >= ESCAPED
            number = popper.raw(escaped * 8).clamp_(max=N_TOKENS - 1)
            token = torch.where(escaped, number, token)
            bits = placer.raw_bits(token, places.low_bits)
            if active is not None:
                # Elsewhere a token may be anything, the escape included.
                token = torch.where(active, token, 0)
                bits = bits * active
            most = int(bits.max())
        elif active is not None:
            token = token * active
        raw = popper.raw(bits.clamp(max=16)) if most else torch.zeros_like(bits)
        if most > 16:
            raw = raw | (popper.raw((bits - 16).clamp_(min=0)) << 16)
        return placer.samples(places, token, raw)


class _Sets:
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
        n_taps = self._weights.shape[1]
        index = which[:, None].expand(-1, n_taps, -1)
        mine = self._weights.gather(0, index).transpose(0, 1)
        trained = self.trained[:, None, None].expand_as(mine)
        shift = self.shifts(top, n)
        shifts = torch.stack([shift, torch.full_like(shift, TRAINED_SHIFT)])
        return Lanes(
            weights=torch.stack([mine, trained]),
            left=(8 - shifts).clamp(min=0),
            right=(shifts - 8).clamp(min=0),
            sigma=self.sigma(top, n),
        )
