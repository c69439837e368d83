"""Planes side by side: a batch of one shape on a device, taken apart into bands.

The arithmetic is that of `residual`; here lies what a batch adds to it: each plane has its own
coefficients, range and expert.  Tensors of samples are (items, rows, columns), and what there is
several of per sample comes in front: (taps, items, rows, columns).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from ..errors import ConfigError
from ..residual.job import Job
from ..residual.nlms import Filter
from ..residual.predictor import Predictor, count_inputs
from . import fused
from .bands import Described, Given, Kind, Tensors
from .canvas import beyond
from .device import product_dtype, room, to_device
from .experts import Experts

Here = tuple[slice, slice]

_SAMPLE_NBYTES = 2048  # that a sample takes in a band, about
_LEAST_ROWS = 32  # of a band of planes: the rows above it are summed up once more
_LEAST_COLUMNS = 64  # of a band of tracks, likewise


@dataclass(frozen=True)
class Finished:
    """A plane as networks see it from later ones, on the device; (rows, columns) each."""

    samples: torch.Tensor
    errors: torch.Tensor | None
    energy: torch.Tensor | None


@dataclass(frozen=True)
class Item:
    """One plane to encode; the references of its job have a `finished` each."""

    job: Job
    plane: npt.NDArray[Any]


@dataclass(frozen=True)
class Coefficients:
    """Of every row of some items: (items, rows, 1), weights (taps, items, rows, 1)."""

    weights: torch.Tensor
    shift: torch.Tensor
    sigma: torch.Tensor

    def rows(self, top: int, n: int) -> Coefficients:
        here = slice(top, top + n)
        return Coefficients(self.weights[:, :, here], self.shift[:, here], self.sigma[:, here])


class Batch:
    """Planes of equal shape, step and number of references, on a device."""

    def __init__(self, predictor: Predictor, device: torch.device, items: Sequence[Item]) -> None:
        self.predictor, self.device = predictor, device
        self.geometry = predictor.geometry
        self.jobs = [item.job for item in items]
        job = self.jobs[0]
        self.rows, self.columns, self.n_samples = job.rows, job.columns, job.n_samples
        self.planes = self._stacked([item.plane for item in items])
        self.lo, self.hi = (
            torch.tensor([[[v]] for v in values], device=device)
            for values in ([j.lo for j in self.jobs], [j.hi for j in self.jobs])
        )
        self.coefficients = self._coefficients()
        self.trained = torch.from_numpy(predictor.linear.astype(np.int64)).to(device)
        # What a job of this backend refers to came out of it.
        finished = [cast("Sequence[Any]", j.references) for j in self.jobs]
        n_references = len(job.references)
        n_inputs = count_inputs(
            self.geometry,
            min(n_references, predictor.n_described_references),
            predictor.has_reconstruction,
        )
        order, dtype = range(n_inputs), product_dtype(device)
        self.experts = Experts(predictor, n_references, order, dtype, device)
        self.references = [[f.finished for f in of_rank] for of_rank in zip(*finished, strict=True)]
        pictures = [j.reconstruction for j in self.jobs if j.reconstruction is not None]
        self.reconstruction = self._stacked(pictures) if pictures else None

    def _stacked(self, planes: Sequence[npt.NDArray[Any]]) -> torch.Tensor:
        """Planes side by side, in a type whose tensors every device can work with."""
        stack = np.stack(planes)
        if stack.dtype == np.uint16:
            return to_device(stack.view(np.int16), self.device).int() & 0xFFFF
        return to_device(stack, self.device)

    def _coefficients(self) -> Coefficients:
        jobs = self.jobs
        n_sets = max(len(job.bands) for job in jobs)
        n_weights = max(len(set_.weights) for job in jobs for set_ in job.bands)
        weights = np.zeros((len(jobs), n_sets, n_weights), np.int64)
        shift, sigma = np.zeros((2, len(jobs), n_sets), np.int64)
        which = np.zeros((len(jobs), self.rows), np.int64)
        for i, job in enumerate(jobs):
            which[i] = np.arange(self.rows) // job.band_rows
            for k, set_ in enumerate(job.bands):
                weights[i, k, : len(set_.weights)] = set_.weights
                shift[i, k], sigma[i, k] = set_.shift, set_.sigma
        item = np.arange(len(jobs))[:, None]
        of_rows = np.moveaxis(weights[item, which], -1, 0)
        found = (of_rows, shift[item, which], sigma[item, which])
        return Coefficients(*(to_device(values[..., None], self.device) for values in found))

    def check(self) -> None:
        """Refuse samples outside of their ranges; what a track lacks is not looked at."""
        there = self.planes.flatten(1)[:, : self.n_samples]
        lo, hi = self.lo[:, :, 0], self.hi[:, :, 0]
        if bool(((there < lo) | (there > hi)).any()):
            raise ConfigError("plane cannot be coded: a sample lies outside of the range")

    @property
    def coded(self) -> torch.Tensor:
        """Which samples are not stored apart, (rows, columns)."""
        there = torch.arange(self.rows * self.columns, device=self.device) < self.n_samples
        there = there.reshape(self.rows, self.columns)
        if not self.geometry.is_plane:
            there[:, 0] = False
        return there

    def bands(self) -> Iterator[tuple[range, range]]:
        """Rows and columns that are worked on at once."""
        most = samples_at_once(self.device) // len(self.jobs)
        if self.geometry.is_plane:
            n = max(1, most // self.columns)
            for top in range(0, self.rows, n):
                yield range(top, min(top + n, self.rows)), range(self.columns)
        else:
            n = max(1, most // self.rows)
            for left in range(0, self.columns, n):
                yield range(self.rows), range(left, min(left + n, self.columns))

    def described(self) -> Iterator[tuple[Here, Described]]:
        """Place, in rows and columns, and surroundings of every band."""
        g = self.geometry
        c = self.coefficients
        first_sigma = c.sigma[:, 0, 0]
        filter_ = self._filter() if g.n_adaptive else None
        before: Described | None = None
        for rows, columns in self.bands():
            here = slice(rows.start, rows.stop), slice(columns.start, columns.stop)
            values = self.planes[:, here[0], here[1]].long()
            before_all = self.lo.clamp(min=0).minimum(self.hi)[:, 0, 0]
            start = before_all if g.is_plane else values[:, :, 0]
            others, n_described = self._beyond(rows, columns)
            kind = Kind(
                self.predictor,
                len(rows),
                len(columns),
                columns.start,
                before is None,
                len(self.references),
                n_described,
                self.reconstruction is not None,
            )
            given = Given(
                values,
                None if before is None else before.samples,
                None if before is None else before.errors,
                start,
                first_sigma,
                c.weights[:, :, here[0]],
                c.shift[:, here[0]],
                c.sigma[:, here[0]],
                self.trained,
                others,
            )
            before = fused.describe(kind, given, filter_)
            yield here, before

    def _filter(self) -> Filter:
        sigma = self.coefficients.sigma[:, :, 0]
        blank = sigma.new_zeros((self.geometry.n_adaptive, *sigma.shape))
        return Filter(
            blank, blank.clone(), torch.ones_like(sigma), torch.zeros_like(sigma), sigma.clone()
        )

    def _beyond(self, rows: range, columns: range) -> tuple[Tensors, int]:
        """What lies in and around a band of other planes, and how many the networks see."""
        n = min(len(self.references), self.predictor.n_described_references)
        seen = self.references[:n]
        parts = [torch.stack([f.samples for f in of_items]) for of_items in self.references]
        for part in ("errors", "energy"):
            parts += [torch.stack([getattr(f, part) for f in of_items]) for of_items in seen]
        if self.reconstruction is not None:
            parts.append(self.reconstruction)
        data = (beyond(self.geometry, part, self.n_samples, rows, columns).data for part in parts)
        return tuple(data), n

    def body(self, canvas: torch.Tensor) -> torch.Tensor:
        """A band's canvas without its margins."""
        g = self.geometry
        return canvas[:, g.up :, g.left : canvas.shape[2] - g.right]

    def answer(self, features: torch.Tensor, experts: Sequence[int]) -> torch.Tensor:
        """Network outputs (3 + gates, items, rows, columns) of every item's expert."""
        found = []
        first = 0
        for expert, group in groupby(experts):
            last = first + len(list(group))
            mine = self.experts.run(expert, features[:, first:last].flatten(1))
            found.append(mine.view(-1, last - first, *features.shape[2:]))
            first = last
        return found[0] if len(found) == 1 else torch.cat(found, 1)

    def classes(self, here: Here, band: Described, experts: Sequence[int]) -> Tensors:
        """Tables, low bits and offsets of a band."""
        outputs = self.answer(band.features, experts)
        values = self.planes[:, here[0], here[1]].long()
        return fused.classes(self.predictor, band, outputs, values, self.lo, self.hi)


def samples_at_once(device: torch.device) -> int:
    """Of all items together."""
    return room(device) // _SAMPLE_NBYTES


def batches(predictor: Predictor, device: torch.device, items: Sequence[Item]) -> Iterator[Batch]:
    """Batches of some items each, so many that bands are no thinner than they should be."""
    job = items[0].job
    band = (
        min(job.rows, _LEAST_ROWS) * job.columns
        if predictor.geometry.is_plane
        else job.rows * min(job.columns, _LEAST_COLUMNS)
    )
    n = max(1, samples_at_once(device) // band)
    for first in range(0, len(items), n):
        yield Batch(predictor, device, items[first : first + n])
