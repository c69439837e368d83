"""Rows: training examples for the residual network, made by the coder itself.

A row is what the integer features say about one sample and what the sample was.  The features
come from `latrans.residual`, so what the network learns from is what it will be given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import floor_log2
from ..coding.geometry import RECONSTRUCTION_TAPS, Geometry
from ..coding.rans.tables import normalise
from ..coding.schedule import track_shape
from ..coding.tokens import N_SYMBOLS
from ..engine import select
from ..engine.program import Layer, Program
from ..residual import plan as planning
from ..residual.classes import N_TABLES
from ..residual.coder import limits
from ..residual.features import activity, alternatives, is_flat
from ..residual.fit import quantise
from ..residual.neighbours import CodedPlane
from ..residual.plan_input import PlanePlanInput
from ..residual.predictor import NO_NETWORK, TRAINED_SHIFT, Predictor, count_inputs
from ..residual.protocol import Backend
from ..residual.reference import band_features
from ..residual.select import backend


@dataclass(frozen=True)
class Example:
    """A plane to learn from: (rows, columns) integers, planes it may refer to, reconstruction.

    With a step the planes are those that come back.
    """

    plane: npt.NDArray[np.int64]
    references: Sequence[npt.NDArray[np.int64]] = ()
    reconstruction: npt.NDArray[np.int64] | None = None
    weight: float = 1.0
    step: int = 1


_COLUMNS = ("inputs", "sample", "prediction", "gates", "energy", "flat", "lo", "hi", "step", "item")


@dataclass
class Rows:
    """Rows of many planes.

    `inputs` (n, inputs) int8; `gates` (n, gates), alternatives minus prediction, 8 fraction bits;
    the others (n,).
    """

    inputs: npt.NDArray[np.int8]
    sample: npt.NDArray[np.int64]
    prediction: npt.NDArray[np.int64]
    gates: npt.NDArray[np.int64]
    energy: npt.NDArray[np.int64]
    flat: npt.NDArray[np.bool_]
    lo: npt.NDArray[np.int64]
    hi: npt.NDArray[np.int64]
    step: npt.NDArray[np.int64]
    item: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sample)


def as_track(samples: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """A 1-D run of samples as lanes, the last sample repeated to fill them."""
    lanes, length = track_shape(samples.size)
    return np.pad(samples, (0, lanes * length - samples.size), mode="edge").reshape(lanes, length)


def train_linear(
    geometry: Geometry, examples: Sequence[Example], has_reconstruction: bool
) -> npt.NDArray[np.int16]:
    """Linear coefficients for all data of a model: least squares over activity-scaled rows."""
    n_taps = len(geometry.taps) + len(RECONSTRUCTION_TAPS) * has_reconstruction
    moments = np.zeros((n_taps + 1, n_taps + 1))
    blank = blank_predictor(geometry, 0, has_reconstruction)
    for example in examples:
        plan_input = PlanePlanInput(
            blank, example.plane, example.plane.size, (), example.reconstruction
        )
        (band,) = plan_input.bands(example.plane.shape[0])
        differences, target = plan_input.trials().differences(band.look)
        scale = floor_log2(activity(differences)).astype(np.float64)
        rows = np.concatenate([differences, target[None]]) / np.exp2(scale)
        rows = rows[:, np.abs(rows).max(0) < 1 / 16]  # borders of objects teach nothing linear
        moments += example.weight * (rows @ rows.T) / max(1, rows.shape[1])
    matrix, right = moments[:-1, :-1], moments[:-1, -1]
    matrix = matrix + np.eye(n_taps) * (1e-4 * np.trace(matrix) / n_taps + 1e-12)
    weights, shift = quantise(np.linalg.solve(matrix, right))
    scaled = np.rint(weights * 2.0 ** (TRAINED_SHIFT - shift))
    return np.clip(scaled, -32768, 32767).astype(np.int16)


def blank_predictor(
    geometry: Geometry,
    n_references: int,
    has_reconstruction: bool,
    linear: npt.NDArray[np.int16] | None = None,
    flat: bool = True,
) -> Predictor:
    """A predictor that can gather features but whose networks and tables know nothing yet."""
    n_taps = len(geometry.taps) + len(RECONSTRUCTION_TAPS) * has_reconstruction
    sizes = [count_inputs(geometry, n, has_reconstruction) for n in range(1 + n_references)]
    return Predictor(
        geometry=geometry,
        experts=(tuple(_silent(n, 3 + geometry.n_gates) for n in sizes),),
        linear=np.zeros(n_taps, np.int16) if linear is None else linear,
        tables=np.tile(normalise(np.ones(N_SYMBOLS), np.ones(N_SYMBOLS, bool)), (N_TABLES, 1)),
        tails=(0, 0),
        has_reconstruction=has_reconstruction,
        flat=flat,
    )


def _silent(n_inputs: int, n_outputs: int) -> Program:
    """A network whose answer is always zero."""
    weight, bias = np.zeros((n_outputs, n_inputs), np.int8), np.zeros(n_outputs, np.int32)
    layer = Layer("dense", weight, bias, np.ones(n_outputs, np.uint8), lo=-1, hi=1)
    return Program((layer,), -127, 127, (n_inputs,))


def collect(
    predictor: Predictor,
    examples: Sequence[Example],
    rng: np.random.Generator,
    rows_per_example: int,
    trained_share: float,
) -> list[Rows]:
    """Rows of all examples, by the number of references that the networks see.

    Parameters
    ----------
    predictor : from `blank_predictor`, with its linear coefficients.
    rows_per_example : samples drawn from each plane, scaled by the example's weight.
    trained_share : share of planes that are predicted with the model's own coefficients, so
        that the network meets both.
    """
    parts: list[list[Rows]] = [[] for _ in predictor.experts[0]]
    coder = backend(predictor, select().name)
    for item, example in enumerate(examples):
        finished: list[_Finished] = []
        for reference in example.references:
            _, mine, _ = _features(coder, example, reference, (), (), True)
            finished.append(mine)
        choices: list[tuple[int, ...]] = [tuple(range(n)) for n in range(len(finished) + 1)]
        used = choices[int(rng.integers(len(choices)))]
        may_fit = rng.random() >= trained_share
        rows, _, n_references = _features(coder, example, example.plane, finished, [used], may_fit)
        n = min(len(rows), int(rows_per_example * example.weight))
        rows.item[:] = item
        chosen = take(rows, rng.choice(len(rows), n, replace=False))
        parts[min(n_references, len(parts) - 1)].append(chosen)
    return [_joined(p) for p in parts if p]


@dataclass(frozen=True)
class _Finished:
    """A plane as a reference: for the planner, and for the features."""

    planned: Any
    coded: CodedPlane


def take(rows: Rows, index: npt.NDArray[np.int64]) -> Rows:
    """Some of the rows."""
    return Rows(*(getattr(rows, name)[index] for name in _COLUMNS))


def _features(
    coder: Backend,
    example: Example,
    plane: npt.NDArray[np.int64],
    finished: Sequence[_Finished],
    candidates: Sequence[tuple[int, ...]],
    may_fit: bool,
) -> tuple[Rows, _Finished, int]:
    """Rows of every sample of a plane, the plane as a reference, references it used."""
    predictor, step = coder.predictor, example.step
    reconstruction = example.reconstruction if plane is example.plane else None
    if predictor.has_reconstruction and reconstruction is None:
        reconstruction = np.zeros_like(plane)
    planned = [f.planned for f in finished]
    plan_input = PlanePlanInput(predictor, plane, plane.size, planned, reconstruction, step)
    trials = coder.trials(plan_input)
    chosen = planning.plan(plan_input, list(candidates), None, may_fit=may_fit, trials=trials)
    lo, hi = limits([plane], step)
    job = plan_input.job(replace(chosen, expert=NO_NETWORK), lo, hi)
    _, handle = coder.classify(job, plane)
    plane = coder.samples(handle)  # with a step, what comes back
    job = replace(job, references=[finished[i].coded for i in chosen.references])
    space = job.workspace(predictor)
    parts: list[Rows] = []
    for top, n, features, neighbours, energy in band_features(space, job, plane):
        here = plane[top : top + n]
        flat = is_flat(neighbours.differences, predictor.geometry) & predictor.flat
        keep = np.ones(here.shape, bool)
        if not predictor.geometry.is_plane:
            keep[:, 0] = False
        parts.append(
            Rows(
                features[:, keep].T.astype(np.int8),
                here[keep],
                neighbours.prediction[keep],
                alternatives(neighbours)[:, keep].T,
                energy[keep],
                flat[keep],
                np.full(keep.sum(), lo),
                np.full(keep.sum(), hi),
                np.full(keep.sum(), step),
                np.zeros(keep.sum(), np.int64),
            )
        )
    return _joined(parts), _Finished(handle, space.finish()), len(chosen.references)


def _joined(parts: Sequence[Rows]) -> Rows:
    return Rows(*(np.concatenate([getattr(p, name) for p in parts]) for name in _COLUMNS))
