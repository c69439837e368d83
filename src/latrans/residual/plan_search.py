"""Plan search: when an encoder asks again what the pieces of a section keep answering alike.

Trying everything on every one of many small planes costs more than coding them.  What two trials
in a row agree on is taken for granted for one piece, then for three.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..coding.fixed_point import Ints
from .job import Job
from .plan import is_shared, plan, reuse_plan
from .plan_input import Plan, PlanePlanInput
from .predictor import NO_NETWORK
from .protocol import Backend

if TYPE_CHECKING:
    from .piece_shape import PieceShape

LARGE_SECTION = 1 << 16  # samples; smaller sections ask for every piece
_MOST_GAP = 4  # pieces of which one is asked at least
_CLOSE = 256  # part of the bits that another expert must save to be worth a change
_TRIAL_SAMPLES = 1 << 12  # that every expert codes before one is chosen

Answer = TypeVar("Answer")


class RepeatedChoice(Generic[Answer]):
    """What was answered last, and for how many pieces it holds."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self._gap = 1
        self._left = 0

    def holds(self) -> bool:
        """Whether the next piece may do as the last one that was asked did."""
        self._left -= 1
        return self._left >= 0

    def note(self, answer: Answer) -> None:
        """Take down what a piece answered."""
        self._gap = min(2 * self._gap, _MOST_GAP) if answer == self.answer else 1
        self._left = self._gap - 1
        self.answer = answer


class PlaneChooser:
    """Chooses plans and experts; in large sections, more and more often as for the piece before."""

    def __init__(
        self, backend: Backend, infos: Sequence[PieceShape], max_reference_distance: int
    ) -> None:
        self._backend = backend
        self._infos = infos
        self._large = sum(info.n_samples for info in infos) > LARGE_SECTION
        self._planes = backend.predictor.geometry.is_plane
        # Channels of a track follow each other, and each has its own.
        n_channels = 1 if self._planes else max_reference_distance
        self._plans: RepeatedChoice[bool] = RepeatedChoice()
        self._experts: list[RepeatedChoice[int]] = [RepeatedChoice() for _ in range(n_channels)]

    def plan(
        self,
        plan_input: PlanePlanInput,
        candidates: Sequence[tuple[int, ...]],
        previous: Plan | None,
    ) -> Plan:
        """Plan of the next piece."""
        if previous is not None and is_shared(plan_input, previous):
            return previous
        trials = self._backend.trials(plan_input)
        if not (self._large and self._planes and plan_input.n_samples >= _TRIAL_SAMPLES):
            return plan(plan_input, candidates, previous, trials=trials)
        i = len(plan_input.finished)
        if previous is not None and self._goes_on(i) and self._plans.holds():
            found = reuse_plan(plan_input, candidates, previous, trials)
            if found is not None:
                return found
        found = plan(plan_input, candidates, previous, trials=trials)
        self._plans.note(found.has_coefficients)
        return found

    def _goes_on(self, i: int) -> bool:
        """Whether a piece has as many to refer to as the one before; if not, a new stack starts."""
        return len(self._infos[i].candidates) == len(self._infos[i - 1].candidates)

    def expert(self, job: Job, plane: Ints, i: int, previous: Plan | None) -> tuple[int, Any]:
        """The expert that codes the next piece, and the piece's classes where they are known."""
        if previous is not None and job.n_samples < 2 * _TRIAL_SAMPLES and i & (i - 1):
            return previous.expert, None  # of many small planes, fewer and fewer are tried
        choice = self._experts[i % len(self._experts)]
        if self._large and choice.answer is not None and choice.holds() and self._goes_on(i):
            return choice.answer, None
        usual = choice.answer if self._large else None
        found, classes = _expert(self._backend, job, plane, usual)
        choice.note(found)
        return found, classes


def _expert(backend: Backend, job: Job, plane: Ints, usual: int | None) -> tuple[int, Any]:
    """The expert that codes a few rows of a plane best; the usual one unless clearly worse.

    Where these are all rows, the classes that it finds are those of the plane.
    """
    bands = (job.rows - 1) // job.band_rows + 1
    top = bands // 2 * job.band_rows
    while top * job.columns + 1 >= job.n_samples and top:
        top -= job.band_rows  # a track's last lanes may be empty
    n = min(job.band_rows, job.rows - top)
    n = min(n, max(16, _TRIAL_SAMPLES // job.columns)) if backend.predictor.geometry.is_plane else 1
    experts = [*range(len(backend.predictor.experts)), NO_NETWORK]
    if n == job.rows and len(job.bands) == 1:
        costs, classes = backend.contest(job, plane, experts)
    else:
        part = job.part(top, n, min(n * job.columns, job.n_samples - top * job.columns))
        costs, classes = backend.costs(part, plane[top : top + n], experts), []
    found = experts[costs.index(min(costs))]
    if usual is not None and costs[experts.index(usual)] * _CLOSE <= min(costs) * (_CLOSE + 1):
        found = usual
    return found, classes[experts.index(found)] if classes else None
