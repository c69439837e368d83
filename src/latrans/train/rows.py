"""Rows: training examples for the residual network, made by the coder itself.

A row is what the integer features say about one sample and what the sample was.  The features
come from `latrans.residual`, so what the network learns from is what it will be given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..residual import plan as planning
from ..residual.features import activity, is_flat
from ..residual.fixed import floor_log2
from ..residual.gather import Coded
from ..residual.geometry import RECONSTRUCTION_TAPS, Geometry
from ..residual.linear import quantise
from ..residual.plan import Surface
from ..residual.predictor import TRAINED_SHIFT, Predictor
from ..residual.reference import band_features
from ..residual.schedule import track_shape


@dataclass(frozen=True)
class Example:
    """A plane to learn from: (rows, columns) integers, planes it may refer to, reconstruction."""

    plane: npt.NDArray[np.int64]
    references: Sequence[npt.NDArray[np.int64]] = ()
    reconstruction: npt.NDArray[np.int64] | None = None
    weight: float = 1.0


_COLUMNS = ("inputs", "sample", "prediction", "energy", "flat", "lo", "hi")


@dataclass
class Rows:
    """Rows of many planes; `inputs` (n, inputs) int8, the others (n,)."""

    inputs: npt.NDArray[np.int8]
    sample: npt.NDArray[np.int64]
    prediction: npt.NDArray[np.int64]
    energy: npt.NDArray[np.int64]
    flat: npt.NDArray[np.bool_]
    lo: npt.NDArray[np.int64]
    hi: npt.NDArray[np.int64]

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
    blank = blank_predictor(geometry, has_reference=False, has_reconstruction=has_reconstruction)
    for example in examples:
        surface = Surface(blank, example.plane, example.plane.size, (), example.reconstruction)
        (band,) = surface.bands(example.plane.shape[0])
        differences, target = surface.trials().own(band.look)
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
    has_reference: bool,
    has_reconstruction: bool,
    linear: npt.NDArray[np.int16] | None = None,
    flat: bool = True,
) -> Predictor:
    """A predictor that can gather features but has no network or tables yet."""
    from ..program import Program

    n_taps = len(geometry.taps) + len(RECONSTRUCTION_TAPS) * has_reconstruction
    return Predictor(
        geometry=geometry,
        network=Program((), -127, 127, (1,)),
        linear=np.zeros(n_taps, np.int16) if linear is None else linear,
        tables=np.zeros((0, 0), np.uint16),
        tails=(0, 0),
        has_reference=has_reference,
        has_reconstruction=has_reconstruction,
        flat=flat,
    )


def collect(
    predictor: Predictor,
    examples: Sequence[Example],
    rng: np.random.Generator,
    rows_per_example: int,
    trained_share: float,
) -> Rows:
    """Rows of all examples.

    Parameters
    ----------
    predictor : from `blank_predictor`, with its linear coefficients.
    rows_per_example : samples drawn from each plane, scaled by the example's weight.
    trained_share : share of planes that are predicted with the model's own coefficients, so
        that the network meets both.
    """
    parts: list[Rows] = []
    for example in examples:
        finished: list[Coded] = []
        for reference in example.references:
            _, coded = _features(predictor, reference, (), None, (), False)
            finished.append(coded)
        candidates = [tuple(range(n)) for n in range(1, len(finished) + 1)]
        for used in ([()], candidates) if candidates else ([()],):
            only_trained = rng.random() < trained_share
            rows, _ = _features(
                predictor, example.plane, finished, example.reconstruction, used, only_trained
            )
            n = min(len(rows), int(rows_per_example * example.weight))
            parts.append(_take(rows, rng.choice(len(rows), n, replace=False)))
    return _joined(parts)


def _take(rows: Rows, index: npt.NDArray[np.int64]) -> Rows:
    return Rows(*(getattr(rows, name)[index] for name in _COLUMNS))


def _features(
    predictor: Predictor,
    plane: npt.NDArray[np.int64],
    finished: Sequence[Coded],
    reconstruction: npt.NDArray[np.int64] | None,
    candidates: Sequence[tuple[int, ...]],
    only_trained: bool,
) -> tuple[Rows, Coded]:
    """Rows of every sample of a plane, and the plane as a reference."""
    surface = Surface(predictor, plane, plane.size, finished, reconstruction)
    chosen = planning.plan(surface, list(candidates), None, may_fit=not only_trained)
    lo, hi = int(plane.min()), int(plane.max())
    job = surface.job(chosen, lo, hi)
    space = job.workspace(predictor)
    parts: list[Rows] = []
    for top, n, features, neighbours, energy in band_features(space, job, plane):
        here = plane[top : top + n]
        flat = is_flat(neighbours.differences, predictor.geometry) & predictor.flat
        keep = np.ones(here.shape, bool)
        if not predictor.geometry.up:
            keep[:, 0] = False
        parts.append(
            Rows(
                features[:, keep].T.astype(np.int8),
                here[keep],
                neighbours.prediction[keep],
                energy[keep],
                flat[keep],
                np.full(keep.sum(), lo),
                np.full(keep.sum(), hi),
            )
        )
    return _joined(parts), space.finish()


def _joined(parts: Sequence[Rows]) -> Rows:
    return Rows(*(np.concatenate([getattr(p, name) for p in parts]) for name in _COLUMNS))
