"""Decoding of residual sections on tensors: each plane together with those of other chunks.

`residual.protocol.Decoding` says what a section's decoding does.  Here the planes of all sections
that are at the same point, of the same shape and predicted in the same way, are decoded as one
batch by the kernel; damage to one of them is told to whom it belongs, and disturbs no other.  The
first plane of every kind is decoded by the host, too: where the kernel does not find the same, or
does not run, the host decodes in its place.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from ..coding.fixed_point import Ints
from ..coding.rans.tables import TOTAL
from ..coding.schedule import n_states
from ..errors import CodecError
from ..residual.job import Job
from ..residual.predictor import Predictor, count_inputs
from ..residual.protocol import Backend
from ..residual.table_map import TableMap
from .batching import batched
from .board import Coder, Finished
from .device import out_of_memory, product_dtype
from .experts import Experts, suits
from .kept import HostDecoding, Kept, side_by_side
from .layout import Shape, layout
from .streams import Stream, StreamBatch
from .tables import entries

if TYPE_CHECKING:
    from .launch import Launched

Tensor = Any  # torch.Tensor; mypy does not see the package


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

    def __init__(self, predictor: Predictor, device: Any, host: Backend) -> None:
        """`host` decodes what the kernel does not, and is what it is checked against."""
        self.predictor, self.device, self.host = predictor, device, host
        self.launches = True
        self._checked: set[tuple[int, bool]] = set()
        self.entries = entries(predictor.tables, device)
        self.coder = lru_cache(maxsize=64)(self._coder)

    def section(self, data: bytes, tables: TableMap, n_samples: int) -> TorchDecoding:
        """Start decoding a section of n_samples samples in all."""
        return TorchDecoding(self, data, tables, n_samples)

    def _coder(self, shape: Shape, n_references: int, dtype: Any) -> Coder | None:
        """What decodes planes of a kind; None where their networks are too wide for the kernel."""
        from .launch import Prepared

        where = layout(shape)
        n_inputs = count_inputs(
            self.predictor.geometry,
            min(n_references, self.predictor.n_described_references),
            self.predictor.has_reconstruction,
        )
        order = range(n_inputs)
        experts = Experts(self.predictor, n_references, order, dtype, self.device)
        if not experts.narrow:
            return None
        return Coder(self.predictor, where, self.entries, Prepared(self.predictor, where, experts))

    def planes(self, items: Sequence[_Item]) -> list[tuple[Ints, Kept | None] | CodecError | None]:
        """Decode a plane of each of several sections, which go on behind it; None is the host's."""
        order = sorted(range(len(items)), key=lambda i: items[i].job.expert)
        found: list[Any] = [None] * len(items)
        for i, result in zip(order, self._planes([items[i] for i in order]), strict=True):
            found[i] = result
        return found

    def _planes(self, items: Sequence[_Item]) -> list[Any]:
        """As `planes`, of items in the order of their experts."""
        job = items[0].job
        coder = self.coder(self.shape(job), len(job.references), product_dtype(self.device))
        results = None if coder is None else self._launched(coder, items)
        if results is None:
            return [None] * len(items)
        for item, result in zip(items, results, strict=True):
            if isinstance(result, _Result):
                item.section.stream.go_on(result.n_words, result.states)
        return [r.plane if isinstance(r, _Result) else r for r in results]

    def _launched(self, coder: Coder, items: Sequence[_Item]) -> list[_Result | CodecError] | None:
        """What the kernel finds, or None where it is not to be used.

        The first plane of every kind is decoded both ways: a compiler or device that breaks the
        kernel must not make damage of sound frames.
        """
        job = items[0].job
        kind = (len(job.references), job.step > 1)
        try:
            front, streams = self._front(coder, items)
            results = self._results(items, front.run(), streams)
            if kind in self._checked or self._agrees(items, results):
                if any(isinstance(result, _Result) for result in results):
                    self._checked.add(kind)
                return results
            said = "decodes something else here than the host does"
        except Exception as error:
            if kind in self._checked or out_of_memory(error):
                raise
            said = f"does not run here ({type(error).__name__}: {error})"
        warnings.warn(
            f"the Triton kernel of latrans {said}, so the host decodes in its place; please report "
            "this with the versions of torch and triton and the GPU's name",
            RuntimeWarning,
            stacklevel=2,
        )
        self.launches = False
        return None

    def _agrees(self, items: Sequence[_Item], results: Sequence[_Result | CodecError]) -> bool:
        """Whether the host finds the same in one of the sections, or damage in all of them."""
        for item, result in zip(items, results, strict=True):
            if isinstance(result, _Result):
                found = item.section.by_host(item.job, item.lane_first_samples)
                n = item.job.n_samples
                mine = result.plane[0].reshape(-1)[:n]
                return found is not None and np.array_equal(found.reshape(-1)[:n], mine)
        return all(
            item.section.by_host(item.job, item.lane_first_samples) is None for item in items
        )

    def _front(self, coder: Coder, items: Sequence[_Item]) -> tuple[Launched, StreamBatch]:
        """What decodes the next planes of some sections."""
        from .launch import Launched

        jobs = [item.job for item in items]
        streams = StreamBatch([item.section.stream for item in items], jobs[0].n_samples)
        begins = np.stack([item.section.tables for item in items], 1).astype(np.int64) * TOTAL
        starts = [item.lane_first_samples for item in items if item.lane_first_samples is not None]
        lane_first_samples = self._put(np.stack(starts, 1)) if starts else None
        known = self._known(jobs, coder.layout.shape, coder.layout.finished_cells)
        front = Launched(
            coder, jobs, _spans(jobs), streams, self._put(begins), lane_first_samples, known
        )
        return front, streams

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
        planes = [side_by_side(kept, 0) for kept in of_jobs]
        for kept in of_jobs[: shape.n_described]:
            planes += [side_by_side(kept, 1), side_by_side(kept, 2)]
        if shape.pictured:
            pictures = [np.asarray(job.reconstruction).reshape(-1) for job in jobs]
            planes.append(self._put(np.stack(pictures, 1).astype(np.int64)))
        index = self._put(cells) if planes else None
        return [plane.index_select(0, index) for plane in planes]

    def _results(
        self, items: Sequence[_Item], done: Finished, streams: StreamBatch
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
            zip(jobs, streams.taken(), done.bad.tolist(), strict=True)
        ):
            if n_words is None:
                results.append(CodecError("entropy-coded section ends before its last symbol"))
            elif bad:
                said = f"frame is damaged: a sample lies outside of {job.lo} to {job.hi}"
                results.append(CodecError(said))
            else:
                mine = None if kept is None else Kept(kept, i)
                results.append(_Result((samples[i], mine), n_words, streams.states[:, i]))
        return results


class TorchDecoding:
    """One section being decoded, plane after plane; see `residual.protocol.Decoding`."""

    def __init__(self, decoder: Decoder, data: bytes, tables: TableMap, n_samples: int) -> None:
        self._decoder = decoder
        self._section = data, tables, n_samples
        self.tables = tables
        self.stream = Stream(data, n_states(n_samples), decoder.device)
        self._done: list[tuple[Job, Ints | None, Kept | None]] = []
        self._host: HostDecoding | None = None

    def plane(self, job: Job, lane_first_samples: Ints | None) -> tuple[Ints, Any]:
        decoder = self._decoder
        if self._host is None and decoder.launches:
            key = (
                "decode", id(decoder), decoder.shape(job), len(self.stream.states), job.step,
            )  # fmt: skip
            found = batched(key, decoder.planes, _Item(self, job, lane_first_samples))
            if isinstance(found, CodecError):
                raise found
            if found is not None:
                self._done.append((job, lane_first_samples, found[1]))
                return found
        if self._host is None:
            self._host = self._replayed()
        return self._host.plane(job, lane_first_samples)

    def by_host(self, job: Job, lane_first_samples: Ints | None) -> npt.NDArray[Any] | None:
        """The next plane as the host decodes it; None where it finds damage."""
        try:
            return self._replayed().plane(job, lane_first_samples)[0]
        except CodecError:
            return None

    def finish(self) -> None:
        (self.stream if self._host is None else self._host).finish()

    def _replayed(self) -> HostDecoding:
        """The host, where this section is."""
        host = HostDecoding(self._decoder.host.decoding(*self._section))
        for job, lane_first_samples, kept in self._done:
            host.plane(job, lane_first_samples, kept)
        return host


def can_launch(predictor: Predictor, device: Any) -> bool:
    """Whether the kernel can decode here."""
    return device.type == "cuda" and find_spec("triton") is not None and suits(predictor)


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
