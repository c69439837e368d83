"""Residual backend on tensors: planes are classified on the device, in batches of many chunks.

Planning and entropy coding stay on the host, with the compiled backend where it is there.  So do
planes with a step: each of their samples waits for the one before to come back, and a core of the
host takes such steps sooner than a device that has to be told of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..coding.fixed_point import Ints
from ..errors import ConfigError
from ..residual.canvas import Reference
from ..residual.job import Classes, Job
from ..residual.plan_input import PlanePlanInput
from ..residual.predictor import Predictor
from ..residual.protocol import Backend, Counting, Decoding
from ..residual.reference_backend import ReferenceBackend
from ..residual.table_map import TableMap
from ..residual.trials import Trier
from . import encode
from .batching import batched
from .decode import Decoder, can_launch
from .device import to_device
from .encode import Found
from .planes import Finished, Item


@dataclass(frozen=True)
class TensorCoded:
    """A finished plane: on the device for later ones, on the host for the planner.

    Attributes
    ----------
    host : what plans, with the plane's `handle` or `samples`.
    plane : (rows, columns) samples as they come back.
    finished : the same and what else networks see of it; None if nobody may refer to the plane.
    """

    host: Backend
    plane: npt.NDArray[Any]
    n_samples: int
    lo: int
    hi: int
    finished: Finished | None

    @property
    def extent(self) -> tuple[tuple[int, ...], int]:
        """Shape, and number of samples that exist."""
        return self.plane.shape, self.n_samples

    @cached_property
    def handle(self) -> Any:
        """As compiled trials want it."""
        host: Any = self.host
        return host.finished(self.plane, self.n_samples, self.lo, self.hi)

    @cached_property
    def samples(self) -> Reference:
        """As trials of the reference want it."""
        return Reference(self.host.predictor.geometry, self.plane, self.n_samples)

    def part(self, top: int, n: int, n_samples: int) -> TensorCoded:
        """Some rows as a plane of their own."""
        here, finished = slice(top, top + n), self.finished
        if finished is not None:
            parts = (finished.samples, finished.errors, finished.energy)
            finished = Finished(*(None if p is None else p[here] for p in parts))
        return replace(self, plane=self.plane[here], n_samples=n_samples, finished=finished)


class TorchBackend(Counting):
    """Codes planes of one predictor on one device."""

    def __init__(
        self, predictor: Predictor, device: torch.device, decodes_here: bool | None = None
    ) -> None:
        """`decodes_here`: whether a kernel decodes on the device, or the host: see `can_launch`."""
        self.predictor = predictor
        self.device = device
        self._decodes_here = can_launch(predictor, device) if decodes_here is None else decodes_here
        self.host: Backend = _host(predictor)

    def as_plane_dtype(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return self.host.as_plane_dtype(plane)

    def trials(self, plan_input: PlanePlanInput) -> Trier:
        return self.host.trials(plan_input)

    def classify(self, job: Job, plane: Ints) -> tuple[Any, Any]:
        if job.step > 1:
            return self.host.classify(job, plane)
        found: Found = batched(
            self._key("classify", job, plane),
            partial(encode.classify, self.predictor, self.device),
            self._item(job, plane),
        )
        coded = TensorCoded(self.host, plane, job.n_samples, job.lo, job.hi, found.finished)
        return self._classes(job, found), coded

    def samples(self, coded: Any) -> npt.NDArray[Any]:
        return coded.plane if isinstance(coded, TensorCoded) else self.host.samples(coded)

    def costs(self, job: Job, plane: Ints, experts: Sequence[int]) -> list[int]:
        if job.step > 1:
            return self.host.costs(job, plane, experts)
        chosen = tuple(experts)
        work = partial(encode.costs, self.predictor, self.device, chosen, self._token_costs)
        key = (*self._key("costs", job, plane), chosen)
        return batched(key, work, self._item(job, plane))

    @cached_property
    def _token_costs(self) -> torch.Tensor:
        return to_device(self._costs.astype(np.int64).reshape(-1), self.device)

    def encode(self, planes: Sequence[Any], tables: TableMap, n_samples: int) -> bytes:
        return self.host.encode(planes, tables, n_samples)

    def decoding(self, data: bytes, tables: TableMap, n_samples: int) -> Decoding:
        if self._decodes_here:
            return self._decoder.section(data, tables, n_samples)
        return self.host.decoding(data, tables, n_samples)

    @cached_property
    def _decoder(self) -> Decoder:
        return Decoder(self.predictor, self.device, self.host)

    def encode_alone(self, plane: Ints) -> tuple[bytes, bytes] | None:
        return self.host.encode_alone(plane)

    def decode_section(
        self,
        section: bytes,
        shapes: Sequence[tuple[int, int, int]],
        reconstructions: Sequence[Ints] | None,
        max_reference_distance: int,
    ) -> Iterator[Ints] | None:
        if self._decodes_here:
            return None
        return self.host.decode_section(section, shapes, reconstructions, max_reference_distance)

    def _item(self, job: Job, plane: npt.NDArray[Any]) -> Item:
        if plane.shape != (job.rows, job.columns):
            raise ConfigError(f"plane has shape {plane.shape}, its job {(job.rows, job.columns)}")
        return Item(job, plane)

    def _key(self, call: str, job: Job, plane: npt.NDArray[Any]) -> tuple[Any, ...]:
        """What planes of one batch have in common."""
        return (
            f"residual {call}",
            id(self),
            (job.rows, job.columns, job.n_samples),
            plane.dtype.str,
            len(job.references),
            None if job.reconstruction is None else job.reconstruction.dtype.str,
            job.keep,
        )

    def _classes(self, job: Job, found: Found) -> Any:
        """Classes for the host's entropy coder."""
        table, low_bits, offset = found.table, found.low_bits, found.offset
        if not isinstance(self.host, ReferenceBackend):
            host: Any = self.host
            return host.found(job.n_samples, table, low_bits, offset)
        up = self.predictor.geometry.is_plane
        y, x = np.mgrid[0 : job.rows, 0 : job.columns]
        coded = (y * job.columns + x < job.n_samples) & (up | (x > 0))
        wide = [values.astype(np.int64) for values in (table, low_bits, offset)]
        return Classes(wide[0], wide[1], wide[2], coded)


def _host(predictor: Predictor) -> Backend:
    try:
        from ..residual.native import NativeBackend
    except ImportError:
        return ReferenceBackend(predictor)
    return NativeBackend(predictor)
