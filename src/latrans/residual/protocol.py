"""Protocol: what every backend of the residual coder offers, and what all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from ..coding.tokens import N_TOKENS
from .classes import N_TABLES
from .job import Job
from .plan_input import PlanePlanInput
from .predictor import Predictor
from .table_map import COST_UNIT, TableMap, cheapest_tables, token_costs
from .trials import Trier


class Decoding(Protocol):
    """One residual section being decoded, plane after plane."""

    def plane(self, job: Job, lane_first_samples: Ints | None) -> tuple[Ints, Any]:
        """Next plane (rows, columns), and it as a reference for later ones."""

    def finish(self) -> None:
        """Check that the section ends where its planes do."""


class Backend(Protocol):
    """Codes planes with one predictor; made once per model, used from many threads."""

    predictor: Predictor

    def as_plane_dtype(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A plane of integers in the type that the backend takes it in, contiguous."""

    def trials(self, plan_input: PlanePlanInput) -> Trier:
        """What tries linear predictors on a plane, for planning."""

    def classify(self, job: Job, plane: Ints) -> tuple[Any, Any]:
        """Classes of a plane (for `encode`), and it as a reference for later planes."""

    def samples(self, coded: Any) -> npt.NDArray[Any]:
        """Samples (rows, columns) of a plane that `classify` returned, as they come back."""

    def costs(self, job: Job, plane: Ints, experts: Sequence[int]) -> list[int]:
        """What a plane takes with each expert in its classes' own tables, in 1/256 bit."""

    def contest(self, job: Job, plane: Ints, experts: Sequence[int]) -> tuple[list[int], list[Any]]:
        """As `costs`, and each expert's classes (for `encode`) where they are there anyhow."""

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
        max_reference_distance: int,
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
        return cheapest_tables(counts, self._costs)

    def costs(self, job: Job, plane: Ints, experts: Sequence[int]) -> list[int]:
        return [self._cost(replace(job, expert=e), plane) for e in experts]

    def contest(self, job: Job, plane: Ints, experts: Sequence[int]) -> tuple[list[int], list[Any]]:
        return self.costs(job, plane, experts), []

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
        max_reference_distance: int,
    ) -> Iterator[Ints] | None:
        return None
