"""The compiled twin of `trials`: linear predictors, fitted to a part of a plane and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .trials import Trial, WeightSet


@dataclass(frozen=True)
class NativeCoded:
    """A finished plane: samples for the planner, all of it for the compiled coder."""

    extent: tuple[tuple[int, int], int]  # shape, and number of samples that exist
    handle: Any

    def part(self, top: int, n: int, n_samples: int) -> NativeCoded:
        """Some rows as a plane of their own."""
        (_, columns), _ = self.extent
        return NativeCoded(((n, columns), n_samples), self.handle.part(top, n, n_samples))


class NativeTrials:
    """The compiled twin of `Trials`."""

    def __init__(self, trials: Any, finished: Sequence[NativeCoded]) -> None:
        self._trials = trials
        self._finished = finished

    def fit(
        self,
        looks: Sequence[range],
        choices: Sequence[tuple[int, ...]],
        rounds: int,
        guesses: Sequence[WeightSet] | None = None,
    ) -> list[list[Trial | None]]:
        used = sorted({i for choice in choices for i in choice})
        within = [[used.index(i) for i in choice] for choice in choices]
        given = None if guesses is None else _lists(guesses)
        found = self._trials.fit(_limits(looks), self._handles(used), within, rounds, given)
        return [[None if f is None else _trial(f) for f in of_look] for of_look in found]

    def measure(
        self, looks: Sequence[range], references: tuple[int, ...], sets: Sequence[WeightSet]
    ) -> list[Trial]:
        found = self._trials.measure(_limits(looks), self._handles(references), _lists(sets))
        return [
            Trial(weights, shift, error, cost)
            for (weights, shift), (error, cost) in zip(sets, found, strict=True)
        ]

    def coarsen(
        self,
        looks: Sequence[range],
        n_samples: Sequence[int],
        references: tuple[int, ...],
        sets: Sequence[WeightSet],
    ) -> list[tuple[Trial, float] | None]:
        found = self._trials.coarsen(
            _limits(looks), list(n_samples), self._handles(references), _lists(sets)
        )
        return [None if f is None else (_trial(f), bits) for f, bits in found]

    def _handles(self, indices: Sequence[int]) -> list[Any]:
        return [self._finished[i].handle for i in indices]


def _limits(looks: Sequence[range]) -> list[tuple[int, int, int]]:
    return [(look.start, look.stop, look.step) for look in looks]


def _lists(sets: Sequence[WeightSet]) -> list[tuple[list[int], int]]:
    return [(weights.tolist(), shift) for weights, shift in sets]


def _trial(found: tuple[list[int], int, int, int]) -> Trial:
    weights, shift, error, cost = found
    return Trial(np.array(weights, np.int64), shift, error, cost)
