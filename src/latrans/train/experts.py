"""Experts: networks for different kinds of data, found by what each of them predicts best.

A network that has seen everything comes first; the others start from it and learn from the pieces
that they already predict better than their fellows do.  Method: hard expectation-maximisation, as
for mixtures of experts (Jacobs et al., Neural Computation 1991), with one choice per piece of data
instead of a gate, since the coder names the expert of every plane.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..engine.program import Program
from ..residual.predictor import MAX_EXPERTS, Predictor
from .predictor import program_bits, train_network
from .progress import progress_bar
from .rows import Rows, take
from .sections import PredictorRecipe as Settings

_ROUNDS = 2
_ENOUGH = 20_000  # rows below which a kind of data cannot teach a network
_CLUSTER_ROUNDS, _CLUSTER_STARTS = 30, 20

Experts = list[list[Program]]
Kinds = npt.NDArray[np.int64]


def train_experts(
    groups: Sequence[Rows],
    settings: Settings,
    start: Predictor | None,
    seed: int,
    progress: bool,
) -> tuple[Experts, Kinds]:
    """Networks of every expert, one per group of rows, and which expert each item suits.

    Parameters
    ----------
    groups : rows by the number of references that networks see.
    settings : with `experts`, their number, the one for everything included.
    start : whose best expert is where training starts, if given; its experts are kept beside the
        new one, as far as there is room.
    """
    n_items = 1 + max(int(rows.item.max()) for rows in groups)
    if start is not None:
        return _joined_by_one(groups, settings, start, n_items, seed, progress)
    everything = _train_all(groups, settings, [], seed, progress)
    experts = [everything] + [list(everything) for _ in range(settings.experts - 1)]
    if settings.experts == 1:
        return experts, np.zeros(n_items, np.int64)
    kinds = 1 + clusters(_portraits(groups[0], n_items), settings.experts - 1, seed)
    steps = max(1, settings.steps // 3)
    with progress_bar("experts", _ROUNDS * (settings.experts - 1) * steps, progress) as report:
        for turn in range(_ROUNDS):
            for i in range(1, settings.experts):
                rows = _of_kind(groups[0], kinds, i)
                if rows is not None:
                    experts[i][0] = _tuned(rows, experts[i][0], settings, steps, seed + turn)
                report((turn * (settings.experts - 1) + i) * steps)
            costs = [_item_costs(groups[0], networks[0], n_items) for networks in experts]
            kinds = np.argmin(np.stack(costs), 0)
    for g in range(1, len(groups)):
        for i in range(1, settings.experts):
            rows = _of_kind(groups[g], kinds, i)
            if rows is not None:
                experts[i][g] = _tuned(rows, everything[g], settings, steps, seed)
    return experts, kinds


def parts(groups: Sequence[Rows], experts: Experts, kinds: Kinds) -> list[tuple[Rows, Program]]:
    """Rows with the network that will code them."""
    found = []
    for g, rows in enumerate(groups):
        for i, networks in enumerate(experts):
            mine = np.flatnonzero(kinds[rows.item] == i)
            if len(mine):
                found.append((take(rows, mine), networks[g]))
    return found


def clusters(points: npt.NDArray[np.float64], n: int, seed: int) -> Kinds:
    """k-means: the cluster of every point, (points, dimensions)."""
    rng = np.random.default_rng(seed)
    n = min(n, len(points))
    best, fewest = np.zeros(len(points), np.int64), np.inf
    for _ in range(_CLUSTER_STARTS):
        centres = points[rng.choice(len(points), n, replace=False)]
        for _ in range(_CLUSTER_ROUNDS):
            distances = ((points[:, None] - centres) ** 2).sum(2)
            nearest = distances.argmin(1)
            centres = np.stack(
                [
                    points[nearest == i].mean(0) if (nearest == i).any() else centres[i]
                    for i in range(n)
                ]
            )
        total = distances.min(1).sum()
        if total < fewest:
            best, fewest = nearest, total
    return best


def _joined_by_one(
    groups: Sequence[Rows],
    settings: Settings,
    start: Predictor,
    n_items: int,
    seed: int,
    progress: bool,
) -> tuple[Experts, Kinds]:
    """The experts of a predictor, and one more that has learned from the rows."""
    known = _best_of(start, groups[0], n_items)
    tuned = _train_all(groups, settings, known, seed, progress)
    experts = [list(networks) for networks in start.experts][: MAX_EXPERTS - 1]
    experts.append([*tuned, *known[len(tuned) :]])
    costs = [_item_costs(groups[0], networks[0], n_items) for networks in experts]
    return experts, np.argmin(np.stack(costs), 0)


def _best_of(start: Predictor, rows: Rows, n_items: int) -> list[Program]:
    """The networks of the expert that codes rows best."""
    costs = [_item_costs(rows, networks[0], n_items).sum() for networks in start.experts]
    return list(start.experts[int(np.argmin(costs))])


def _train_all(
    groups: Sequence[Rows], settings: Settings, known: list[Program], seed: int, progress: bool
) -> list[Program]:
    programs: list[Program] = []
    for i, rows in enumerate(groups):
        # What is learned without references is where the networks with references start.
        steps = settings.steps if not programs else settings.steps // 2
        with progress_bar("residual", steps, progress) as report:
            hidden = _hidden(known[i]) if known else settings.hidden
            program, _ = train_network(
                rows,
                hidden,
                steps=steps,
                batch=settings.batch,
                learning_rate=settings.learning_rate / (2 if known else 1),
                seed=seed,
                start=known[i] if known else programs[-1] if programs else None,
                report=report,
            )
        programs.append(program)
    return programs


def _hidden(program: Program) -> tuple[int, ...]:
    return tuple(len(layer.bias) for layer in program.layers[:-1])


def _tuned(rows: Rows, start: Program, settings: Settings, steps: int, seed: int) -> Program:
    program, _ = train_network(
        rows,
        _hidden(start),
        steps=steps,
        batch=settings.batch,
        learning_rate=settings.learning_rate / 2,
        seed=seed,
        start=start,
    )
    return program


def _portraits(rows: Rows, n_items: int) -> npt.NDArray[np.float64]:
    """What the inputs of each item look like: their mean magnitudes, standardised."""
    counts = np.maximum(1, np.bincount(rows.item, minlength=n_items))
    sums = [np.bincount(rows.item, np.abs(c.astype(np.float64)), n_items) for c in rows.inputs.T]
    means = np.stack(sums, 1) / counts[:, None]
    return (means - means.mean(0)) / (means.std(0) + 1e-6)


def _of_kind(rows: Rows, kinds: Kinds, kind: int) -> Rows | None:
    mine = np.flatnonzero(kinds[rows.item] == kind)
    return take(rows, mine) if len(mine) >= _ENOUGH else None


def _item_costs(rows: Rows, program: Program, n_items: int) -> npt.NDArray[np.float64]:
    """Bits that the program's density gives to all rows of each item."""
    bits = np.zeros(len(rows))
    for start in range(0, len(rows), 1 << 17):
        some = np.arange(start, min(start + (1 << 17), len(rows)))
        bits[some] = program_bits(take(rows, some), program)
    return np.bincount(rows.item, bits, n_items).astype(np.float64)
