"""The reference backend: the residual coder in NumPy, slow, which defines what others compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from ..coding.rans import reference as rans
from ..coding.rans.tables import slots, starts
from ..coding.schedule import n_states
from ..engine import reference as reference_engine
from . import reference
from .job import Classes, Job
from .neighbours import CodedPlane
from .plan_input import PlanePlanInput
from .predictor import Predictor
from .protocol import Counting
from .table_map import TableMap
from .trials import Trials


class ReferenceBackend(Counting):
    """NumPy, slow, the definition."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.starts = starts(predictor.tables)
        self.slots = slots(predictor.tables)

    def as_plane_dtype(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.ascontiguousarray(plane, np.int64)

    def trials(self, plan_input: PlanePlanInput) -> Trials:
        return plan_input.trials()

    def classify(self, job: Job, plane: Ints) -> tuple[Classes, CodedPlane]:
        return reference.classify(self.predictor, job, plane, reference_engine.run)

    def samples(self, coded: CodedPlane) -> Ints:
        return coded.samples.values

    def encode(self, planes: Sequence[Classes], tables: TableMap, n_samples: int) -> bytes:
        g, frequencies = self.predictor.geometry, self.predictor.tables[tables]
        parts = [reference.operations(g, c, frequencies, self.starts[tables]) for c in planes]
        lane, start, frequency, bits = (np.concatenate([p[i] for p in parts]) for i in range(4))
        states = n_states(n_samples)
        return rans.encode(lane % states, start, frequency, bits, states)

    def decoding(self, data: bytes, tables: TableMap, n_samples: int) -> ReferenceDecoding:
        return ReferenceDecoding(self, data, tables, n_states(n_samples))


class ReferenceDecoding:
    def __init__(
        self, backend: ReferenceBackend, data: bytes, tables: TableMap, states: int
    ) -> None:
        self._predictor = backend.predictor
        self._states = states
        self._decoder = rans.Decoder(data, states)
        frequencies = backend.predictor.tables[tables]
        self._tables = backend.slots[tables], backend.starts[tables], frequencies

    def plane(self, job: Job, lane_first_samples: Ints | None) -> tuple[Ints, CodedPlane]:
        return reference.decode(
            self._predictor, job, reference_engine.run, self._decoder, self._states,
            self._tables, lane_first_samples,
        )  # fmt: skip

    def finish(self) -> None:
        self._decoder.finish()
