"""The compiled twin of the reference backend: the same classes, bytes and samples, faster.

Everything of a predictor that does not change is laid out once, in an object that threads share;
coding itself runs without the GIL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .. import _native
from ..coding.fixed_point import Ints, sigma_from_code
from ..coding.schedule import n_states
from ..errors import CodecError, ConfigError, ModelError
from .header import inflate
from .job import Job
from .native_model import native_model
from .native_trials import NativeCoded, NativeTrials
from .plan_input import PlanePlanInput
from .predictor import NO_NETWORK, TRAINED_SHIFT, Predictor
from .protocol import Counting
from .table_map import COST_UNIT, WORTH, TableMap

Int32 = npt.NDArray[np.int32]

_TOGETHER = 1 << 22  # samples that are decoded in one call, and held until they are handed out


class NativeBackend(Counting):
    """Codes planes in compiled code; raises `ModelError` for predictors that it cannot take.

    `kernel` names one of `kernels()`; without it the fastest that runs here is used.
    """

    def __init__(self, predictor: Predictor, kernel: str = "") -> None:
        self.predictor = predictor
        for network in (n for networks in predictor.experts for n in networks):
            network.check()
        try:
            self._model = native_model(predictor, kernel)
        except ValueError as error:
            raise ModelError(f"predictor does not suit the compiled coder: {error}") from error

    def as_plane_dtype(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        narrow = plane.dtype.kind in "iu" and plane.dtype.itemsize < 4
        return np.ascontiguousarray(plane) if narrow else _int32(plane)

    def trials(self, plan_input: PlanePlanInput) -> NativeTrials:
        try:
            plane, known = self.as_plane_dtype(plan_input.plane), plan_input.reconstruction
            reconstruction = None if known is None else _int32(known)
            noise = plan_input.noise
            given = None if noise is None else (noise.own, noise.others, noise.power, noise.parts)
            trials = _native.ResidualTrials(
                self._model, plane, plan_input.n_samples, reconstruction, given
            )
        except ValueError as error:
            raise ConfigError(f"plane cannot be coded: {error}") from error
        return NativeTrials(trials, plan_input.finished)

    def classify(self, job: Job, plane: Ints) -> tuple[Any, NativeCoded]:
        try:
            classes, handle = self._model.classify(self._job(job), self._given(plane))
        except ValueError as error:
            raise ConfigError(f"plane cannot be coded: {error}") from error
        return classes, _coded(job, handle)

    def samples(self, coded: NativeCoded) -> Int32:
        try:
            samples: Int32 = coded.handle.samples()
        except ValueError as error:
            raise ConfigError(f"samples of a reference plane were not kept: {error}") from error
        return samples

    def costs(self, job: Job, plane: Ints, experts: Sequence[int]) -> list[int]:
        return self._contest(job, plane, experts, False)[0]

    def contest(self, job: Job, plane: Ints, experts: Sequence[int]) -> tuple[list[int], list[Any]]:
        return self._contest(job, plane, experts, not job.keep and job.step == 1)

    def _contest(
        self, job: Job, plane: Ints, experts: Sequence[int], with_classes: bool
    ) -> tuple[list[int], list[Any]]:
        networks = [self._network(e, len(job.references)) for e in experts]
        try:
            found: tuple[list[int], list[Any]] = self._model.contest(
                self._job(job), self._given(plane), networks, self._costs32, COST_UNIT,
                with_classes,
            )  # fmt: skip
        except ValueError as error:
            raise ConfigError(f"plane cannot be coded: {error}") from error
        return found

    def table_map(self, planes: Sequence[Any]) -> TableMap:
        if self._table_costs is None:
            return super().table_map(planes)
        return np.frombuffer(self._table_costs.cheapest(list(planes)), np.uint8)

    @cached_property
    def _table_costs(self) -> Any:
        try:
            return _native.ResidualTableCosts(self._costs32, WORTH)
        except ValueError:  # tables of a kind that no training makes
            return None

    @cached_property
    def _costs32(self) -> Int32:
        return self._costs.astype(np.int32)

    def found(
        self,
        n_samples: int,
        table: npt.NDArray[np.uint8],
        low_bits: npt.NDArray[np.uint8],
        offset: npt.NDArray[np.int32],
    ) -> Any:
        """Classes that were found elsewhere, (rows, columns) each, for `encode`."""
        return self._model.take_classes(n_samples, table, low_bits, offset)

    def finished(self, plane: npt.NDArray[Any], n_samples: int, lo: int, hi: int) -> Any:
        """The handle of a plane that was finished elsewhere, for trials."""
        return self._model.take_plane(n_samples, self.as_plane_dtype(plane), lo, hi)

    def encode(self, planes: Sequence[Any], tables: TableMap, n_samples: int) -> bytes:
        data: bytes = self._model.encode(list(planes), tables, n_states(n_samples))
        return data

    def decoding(self, data: bytes, tables: TableMap, n_samples: int) -> NativeDecoding:
        section = np.frombuffer(data, np.uint8)
        return NativeDecoding(self, _native.RansDecoder(section, n_states(n_samples)), tables)

    def decode(
        self, decoder: Any, job: Job, tables: TableMap, lane_first_samples: Ints | None
    ) -> tuple[Ints, NativeCoded]:
        try:
            start = None if lane_first_samples is None else _int32(lane_first_samples)
            handle = self._model.decode(decoder, self._job(job), tables, start)
        except CodecError:
            raise
        except ValueError as error:
            raise CodecError(f"frame is damaged: {error}") from error
        samples: Ints = handle.samples()
        return samples, _coded(job, handle)

    def _given(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """As `as_plane_dtype`, but for int64, of which compiled code says where it does not fit."""
        return (
            np.ascontiguousarray(plane) if plane.dtype == np.int64 else self.as_plane_dtype(plane)
        )

    def encode_alone(self, plane: Ints) -> tuple[bytes, bytes] | None:
        if self.alone is None:
            return None
        try:
            found: tuple[bytes, bytes] = self.alone.encode(_int32(plane))
        except ValueError as error:
            raise ConfigError(f"plane cannot be coded: {error}") from error
        return found

    def decode_section(
        self,
        section: bytes,
        shapes: Sequence[tuple[int, int, int]],
        reconstructions: Sequence[Ints] | None,
        max_reference_distance: int,
    ) -> Iterator[Ints]:
        header, body = inflate(section)
        known = None if reconstructions is None else [_int32(r) for r in reconstructions]
        try:
            opened = self.sections.open(
                header, section, body, shapes, max_reference_distance, known
            )
            while planes := opened.next(_TOGETHER):
                for plane in planes:
                    yield plane.samples()
        except CodecError:
            raise
        except ValueError as error:
            raise CodecError(f"frame is damaged: {error}") from error

    @cached_property
    def sections(self) -> Any:
        """What decodes whole sections of the model."""
        predictor = self.predictor
        return _native.ResidualSections(
            self._model,
            predictor.linear.tolist(),
            TRAINED_SHIFT,
            [sigma_from_code(code) for code in range(256)],
            [
                [self._network(expert, n) for n in range(1 + predictor.n_described_references)]
                for expert in range(len(predictor.experts))
            ],
        )

    @cached_property
    def alone(self) -> Any:
        """What codes small pieces alone; None for models that it does not suit."""
        predictor = self.predictor
        if predictor.has_reconstruction:
            return None
        try:
            return _native.ResidualAlone(
                self._model,
                predictor.linear.tolist(),
                TRAINED_SHIFT,
                [sigma_from_code(code) for code in range(256)],
                [self._network(expert, 0) for expert in range(len(predictor.experts))],
                self._costs32,
                COST_UNIT,
                WORTH,
            )
        except ValueError:
            return None  # the general way takes more

    def _network(self, expert: int, n_references: int) -> int:
        """Place of an expert's network for so many references among all of the model's."""
        if expert == NO_NETWORK:
            return -1
        seen = self.predictor.n_described_references
        return expert * (1 + seen) + min(n_references, seen)

    def _job(self, job: Job) -> Any:
        sets = job.bands
        # What the job refers to came out of this backend.
        references = cast("Sequence[NativeCoded]", job.references)
        if len(sets) == 1:
            weights = sets[0].narrow[None]
        else:
            most = max((len(s.weights) for s in sets), default=0)
            weights = np.zeros((len(sets), most), np.int32)
            for row, s in zip(weights, sets, strict=True):
                row[: len(s.weights)] = s.narrow
        return _native.ResidualJob(
            self.predictor.geometry.is_plane,
            (job.rows, job.columns, job.n_samples),
            (job.lo, job.hi),
            weights,
            [s.shift for s in sets],
            [s.sigma for s in sets],
            job.band_rows,
            [coded.handle for coded in references],
            None if job.reconstruction is None else _int32(job.reconstruction),
            self._network(job.expert, len(job.references)),
            job.step,
            job.keep,
        )


class NativeDecoding:
    def __init__(self, backend: NativeBackend, decoder: Any, tables: TableMap) -> None:
        self._backend = backend
        self._decoder = decoder
        self._tables = tables

    def plane(self, job: Job, lane_first_samples: Ints | None) -> tuple[Ints, NativeCoded]:
        return self._backend.decode(self._decoder, job, self._tables, lane_first_samples)

    def finish(self) -> None:
        self._decoder.finish()


def _coded(job: Job, handle: Any) -> NativeCoded:
    return NativeCoded(((job.rows, job.columns), job.n_samples), handle)


def kernels() -> list[str]:
    """Names of the compiled kernels that run on this machine, fastest first."""
    names: list[str] = _native.residual_kernels()
    return names


def _int32(values: npt.NDArray[Any]) -> Int32:
    """Integers as contiguous int32; ValueError where they do not fit."""
    if values.size and not np.can_cast(values.dtype, np.int32):
        lo, hi = int(values.min()), int(values.max())
        if lo < -(1 << 31) or hi >= 1 << 31:
            raise ValueError(f"values from {lo} to {hi} do not fit 32 bits")
    return np.ascontiguousarray(values, np.int32)
