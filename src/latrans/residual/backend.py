"""Backends: the reference residual coder and its compiled twin behind one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..engine import reference as reference_engine
from ..entropy import reference as rans
from ..entropy.tables import slots, starts
from . import reference
from .classes import N_TABLES, N_TOKENS
from .fixed import Ints
from .gather import Coded
from .job import Classes, Job
from .predictor import Predictor
from .remap import COST_UNIT, TableMap, best_map, token_costs
from .schedule import n_states
from .surface import Surface
from .trials import Trials, Trier


class Decoding(Protocol):
    """One residual section being decoded, plane after plane."""

    def plane(self, job: Job, firsts: Ints | None) -> tuple[Ints, Any]:
        """Next plane (rows, columns), and it as a reference for later ones."""

    def finish(self) -> None:
        """Check that the section ends where its planes do."""


class Backend(Protocol):
    """Codes planes with one predictor; made once per model, used from many threads."""

    predictor: Predictor

    def taken(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A plane of integers in the type that the backend takes it in, contiguous."""

    def trials(self, surface: Surface) -> Trier:
        """What tries linear predictors on a plane, for planning."""

    def classify(self, job: Job, plane: Ints) -> tuple[Any, Any]:
        """Classes of a plane (for `encode`), and it as a reference for later planes."""

    def samples(self, coded: Any) -> npt.NDArray[Any]:
        """Samples (rows, columns) of a plane that `classify` returned, as they come back."""

    def costs(self, job: Job, plane: Ints, experts: Sequence[int]) -> list[int]:
        """What a plane takes with each expert in its classes' own tables, in 1/256 bit."""

    def table_map(self, planes: Sequence[Any]) -> TableMap:
        """The tables that suit the classes of all planes of a section."""

    def encode(self, planes: Sequence[Any], tables: TableMap, n_samples: int) -> bytes:
        """Entropy-code the classes of all planes of a section."""

    def decoding(self, data: bytes, tables: TableMap, n_samples: int) -> Decoding:
        """Start decoding a section of n_samples samples in all."""

    def encode_alone(self, plane: Ints) -> tuple[bytes, bytes] | None:
        """Header and samples of a section of one small piece; None for no such shortcut."""

    def decode_section(
        self,
        section: bytes,
        shapes: Sequence[tuple[int, int, int]],
        reconstructions: Sequence[Ints] | None,
        horizon: int,
    ) -> Iterator[Ints] | None:
        """Planes (rows, columns) of a whole section, each of `shapes` with its number of samples.

        None where sections are decoded by `decoding`, plane after plane.
        """


class Counting(ABC):
    """Costs of classes, the same for both backends."""

    predictor: Predictor

    @abstractmethod
    def classify(self, job: Job, plane: Ints) -> tuple[Any, Any]:
        """As in `Backend`."""

    @cached_property
    def _costs(self) -> npt.NDArray[np.float64]:
        return token_costs(self.predictor.tables)

    def table_map(self, planes: Sequence[Any]) -> TableMap:
        counts = np.zeros((N_TABLES, N_TOKENS), np.int64)
        for classes in planes:
            classes.count(counts)
        return best_map(counts, self._costs)

    def costs(self, job: Job, plane: Ints, experts: Sequence[int]) -> list[int]:
        return [self._cost(replace(job, expert=e), plane) for e in experts]

    def _cost(self, job: Job, plane: Ints) -> int:
        classes, _ = self.classify(job, plane)
        counts = np.zeros((N_TABLES, N_TOKENS), np.int64)
        raw: int = classes.count(counts)
        return int((counts * self._costs).sum()) + raw * COST_UNIT

    def encode_alone(self, plane: Ints) -> tuple[bytes, bytes] | None:
        return None

    def decode_section(
        self,
        section: bytes,
        shapes: Sequence[tuple[int, int, int]],
        reconstructions: Sequence[Ints] | None,
        horizon: int,
    ) -> Iterator[Ints] | None:
        return None


class ReferenceBackend(Counting):
    """NumPy, slow, the definition."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.starts = starts(predictor.tables)
        self.slots = slots(predictor.tables)

    def taken(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.ascontiguousarray(plane, np.int64)

    def trials(self, surface: Surface) -> Trials:
        return surface.trials()

    def classify(self, job: Job, plane: Ints) -> tuple[Classes, Coded]:
        return reference.classify(self.predictor, job, plane, reference_engine.run)

    def samples(self, coded: Coded) -> Ints:
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

    def plane(self, job: Job, firsts: Ints | None) -> tuple[Ints, Coded]:
        return reference.decode(
            self._predictor, job, reference_engine.run, self._decoder, self._states,
            self._tables, firsts,
        )  # fmt: skip

    def finish(self) -> None:
        self._decoder.finish()


def backend(predictor: Predictor, engine: str) -> Backend:
    """The backend that belongs to an engine's name."""
    if engine == "native":
        from .native import NativeBackend

        return NativeBackend(predictor)
    if engine.startswith("torch:"):
        from ..tensors.backend import TorchBackend
        from ..tensors.device import find

        return TorchBackend(predictor, find(engine))
    return ReferenceBackend(predictor)
