"""Decoding of residual sections on tensors: each plane together with those of other chunks.

`residual.backend.Decoding` says what a section's decoding does.  Here the planes of all sections
that are at the same point, of the same shape and predicted in the same way, are decoded as one
batch (`wavefront`); damage to one of them is told to whom it belongs, and disturbs no other.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..coding.fixed_point import Ints
from ..coding.rans.tables import TOTAL
from ..coding.schedule import n_states
from ..errors import CodecError
from ..residual.job import Job
from ..residual.predictor import Predictor
from ..residual.table_map import TableMap
from .batching import batched
from .describe import Describer
from .device import out_of_memory, product_dtype
from .experts import Experts, suits
from .layout import Shape, layout
from .rans import Popper, Stream, entries
from .wavefront import Coder, Finished, Wavefront

Tensor = Any  # torch.Tensor; mypy does not see the package

_CHECKED_ROWS = 32  # two strips, of which the second lies lower than the tables say


@dataclass(frozen=True)
class Kept:
    """A decoded plane as a reference for later ones, where it was decoded.

    Attributes
    ----------
    batch : samples, errors and energies of all planes of its batch, (samples, items) each.
    at : which of the items it is.
    """

    batch: tuple[Tensor, Tensor, Tensor]
    at: int


@dataclass(frozen=True)
class _Item:
    """One plane to decode."""

    section: TorchDecoding
    job: Job
    lane_first_samples: Ints | None


@dataclass(frozen=True)
class _Result:
    """A decoded plane, and where its section goes on."""

    plane: tuple[Ints, Kept | None]
    n_words: int
    states: Tensor


class Decoder:
    """Decodes sections of one predictor on one device; shared by threads."""

    def __init__(self, predictor: Predictor, device: Any, launches: bool | None = None) -> None:
        """`launches`: whether a Triton kernel decodes; without it, on GPUs where Triton is."""
        self.predictor, self.device = predictor, device
        self._launches = can_launch(predictor, device) if launches is None else launches
        self._checked: set[tuple[int, bool]] = set()
        self.entries = entries(predictor.tables, device)
        self.coder = lru_cache(maxsize=64)(self._coder)

    def section(self, data: bytes, tables: TableMap, n_samples: int) -> TorchDecoding:
        """Start decoding a section of n_samples samples in all."""
        return TorchDecoding(self, data, tables, n_states(n_samples))

    def _coder(self, shape: Shape, n_references: int, dtype: Any) -> Coder:
        where, device = layout(shape), self.device
        describer = Describer(self.predictor, where, device)
        experts = Experts(self.predictor, n_references, describer.order, dtype, device)
        prepared = None
        if self._launches and suits(self.predictor):
            from .launch import Prepared

            order = range(len(describer.order))
            plain = Experts(self.predictor, n_references, order, dtype, device)
            prepared = Prepared(self.predictor, where, plain) if plain.narrow else None
        return Coder(self.predictor, where, describer, experts, self.entries, prepared)

    def planes(self, items: Sequence[_Item]) -> list[tuple[Ints, Kept | None] | CodecError]:
        """Decode a plane of each of several sections, which go on behind it."""
        order = sorted(range(len(items)), key=lambda i: items[i].job.expert)
        found: list[Any] = [None] * len(items)
        for i, result in zip(order, self._planes([items[i] for i in order]), strict=True):
            found[i] = result
        return found

    def _planes(self, items: Sequence[_Item]) -> list[Any]:
        """As `planes`, of items in the order of their experts."""
        job = items[0].job
        n_references = len(job.references)
        coder = self.coder(self.shape(job), n_references, product_dtype(self.device))
        results = None if coder.prepared is None else self._launched(coder, items)
        if results is None:
            results = self._decoded(replace(coder, prepared=None), items)
        for item, result in zip(items, results, strict=True):
            if isinstance(result, _Result):
                item.section.stream.go_on(result.n_words, result.states)
        return [r.plane if isinstance(r, _Result) else r for r in results]

    def _decoded(self, coder: Coder, items: Sequence[_Item]) -> list[_Result | CodecError]:
        front, popper = self._front(coder, items)
        return self._results(items, front.run(), popper)

    def _launched(self, coder: Coder, items: Sequence[_Item]) -> list[_Result | CodecError] | None:
        """What the kernel finds, or None where it is not to be used.

        The first plane of every kind is begun both ways: a compiler or device that breaks the
        kernel must not make damage of sound frames.
        """
        job = items[0].job
        kind = (len(job.references), job.step > 1)
        try:
            results = self._decoded(coder, items)
            if kind in self._checked or self._agrees(coder, items, results):
                if any(isinstance(result, _Result) for result in results):
                    self._checked.add(kind)
                return results
            said = "decodes something else here than PyTorch does"
        except Exception as error:
            if kind in self._checked or out_of_memory(error):
                raise
            said = f"does not run here ({type(error).__name__}: {error})"
        warnings.warn(
            f"the Triton kernel of latrans {said}, so single steps of PyTorch decode, slowly; "
            "please report this with the versions of torch and triton and the GPU's name",
            RuntimeWarning,
            stacklevel=2,
        )
        self._launches = False
        self.coder.cache_clear()
        return None

    def _agrees(
        self, coder: Coder, items: Sequence[_Item], results: Sequence[_Result | CodecError]
    ) -> bool:
        """Whether the steps on tensors find the same, as far as they are followed."""
        plain = replace(coder, prepared=None)
        for item, result in zip(items, results, strict=True):
            if isinstance(result, _Result):
                n = min(min(_CHECKED_ROWS, item.job.rows) * item.job.columns, item.job.n_samples)
                front, _ = self._front(plain, [item])
                found = front.run(_CHECKED_ROWS).samples[:n, 0].cpu().numpy()
                return np.array_equal(found, result.plane[0].reshape(-1)[:n])
        return not any(isinstance(r, _Result) for r in self._decoded(plain, items))

    def _front(self, coder: Coder, items: Sequence[_Item]) -> tuple[Wavefront, Popper]:
        """What decodes the next planes of some sections."""
        jobs = [item.job for item in items]
        shape = coder.layout.shape
        streams = [item.section.stream for item in items]
        popper = Popper(streams, jobs[0].n_samples, len(streams[0].states))
        begins = np.stack([item.section.tables for item in items], 1).astype(np.int64) * TOTAL
        starts = [item.lane_first_samples for item in items if item.lane_first_samples is not None]
        lane_first_samples = self._put(np.stack(starts, 1)) if starts else None
        known = self._known(jobs, shape, coder.layout.finished_cells)
        parts = (coder, jobs, _spans(jobs), popper, self._put(begins), lane_first_samples, known)
        if coder.prepared is None:
            return Wavefront(*parts), popper
        from .launch import Launched

        return Launched(*parts), popper

    def shape(self, job: Job) -> Shape:
        n_references = len(job.references)
        return Shape(
            self.predictor.geometry.name,
            job.rows,
            job.columns,
            job.n_samples,
            n_references,
            min(n_references, self.predictor.n_described_references),
            job.reconstruction is not None,
            job.keep,
        )

    def _put(self, values: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def _known(self, jobs: Sequence[Job], shape: Shape, cells: Ints) -> list[Tensor]:
        """Finished planes that go onto the board, (cells, items) each."""
        # What jobs refer to came out of this decoder.
        of_jobs: list[list[Any]] = [
            [job.references[i] for job in jobs] for i in range(shape.n_references)
        ]
        planes = [_side_by_side(kept, 0) for kept in of_jobs]
        for kept in of_jobs[: shape.n_described]:
            planes += [_side_by_side(kept, 1), _side_by_side(kept, 2)]
        if shape.pictured:
            pictures = [np.asarray(job.reconstruction).reshape(-1) for job in jobs]
            planes.append(self._put(np.stack(pictures, 1).astype(np.int64)))
        index = self._put(cells) if planes else None
        return [plane.index_select(0, index) for plane in planes]

    def _results(
        self, items: Sequence[_Item], done: Finished, popper: Popper
    ) -> list[_Result | CodecError]:
        """What each item gets."""
        jobs = [item.job for item in items]
        lo, hi = min(j.lo for j in jobs), max(j.hi for j in jobs)
        samples = done.samples.T.to(_narrow(lo, hi)).cpu().numpy()
        samples = samples.reshape(-1, jobs[0].rows, jobs[0].columns)
        kept = None
        if jobs[0].keep:
            # Apart from the board, which would stay as long as one of them.
            kept = (done.samples.clone(), done.errors.clone(), done.energy.clone())
        results: list[_Result | CodecError] = []
        for i, (job, n_words, bad) in enumerate(
            zip(jobs, popper.taken(), done.bad.tolist(), strict=True)
        ):
            if n_words is None:
                results.append(CodecError("entropy-coded section ends before its last symbol"))
            elif bad:
                said = f"frame is damaged: a sample lies outside of {job.lo} to {job.hi}"
                results.append(CodecError(said))
            else:
                mine = None if kept is None else Kept(kept, i)
                results.append(_Result((samples[i], mine), n_words, popper.states[:, i]))
        return results


class TorchDecoding:
    """One section being decoded, plane after plane; see `residual.backend.Decoding`."""

    def __init__(self, decoder: Decoder, data: bytes, tables: TableMap, n_states: int) -> None:
        self._decoder = decoder
        self.tables = tables
        self.stream = Stream(data, n_states, decoder.device)

    def plane(self, job: Job, lane_first_samples: Ints | None) -> tuple[Ints, Kept | None]:
        decoder = self._decoder
        key = (
            "decode", id(decoder), decoder.shape(job), len(self.stream.states), job.step,
        )  # fmt: skip
        found = batched(key, decoder.planes, _Item(self, job, lane_first_samples))
        if isinstance(found, CodecError):
            raise found
        return found

    def finish(self) -> None:
        self.stream.finish()


def can_launch(predictor: Predictor, device: Any) -> bool:
    """Whether the kernel can decode here."""
    return device.type == "cuda" and find_spec("triton") is not None and suits(predictor)


def _side_by_side(planes: Sequence[Kept], part: int) -> Tensor:
    """Samples, errors or energies of some planes, (samples, items)."""
    batch = planes[0].batch
    if all(kept.batch is batch for kept in planes):  # they have come all the way together
        return batch[part][:, [kept.at for kept in planes]]
    return torch.stack([kept.batch[part][:, kept.at] for kept in planes], 1)


def _spans(jobs: Sequence[Job]) -> list[tuple[int, int, int]]:
    """Runs of one expert."""
    starts = [i for i, job in enumerate(jobs) if i == 0 or job.expert != jobs[i - 1].expert]
    ends = [*starts[1:], len(jobs)]
    return [(jobs[a].expert, a, b) for a, b in zip(starts, ends, strict=True)]


def _narrow(lo: int, hi: int) -> Any:
    """Smallest type that holds samples from lo to hi."""
    for dtype in (torch.uint8, torch.int8, torch.uint16, torch.int16):
        limits = torch.iinfo(dtype)
        if limits.min <= lo and hi <= limits.max:
            return dtype
    return torch.int32
