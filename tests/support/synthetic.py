"""Random predictors and planes: nothing is trained, everything is within what the format allows."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from latrans.coding.fixed_point import Ints
from latrans.coding.geometry import GEOMETRIES
from latrans.coding.rans.tables import normalise
from latrans.coding.tokens import ESCAPE, N_SYMBOLS
from latrans.engine.program import Layer, Program
from latrans.residual.classes import N_TABLES, wrap32
from latrans.residual.job import Job
from latrans.residual.predictor import NO_NETWORK, Coefficients, Predictor, count_inputs

KINDS = ("smooth", "noise", "wide", "spikes", "extremes", "extremes16", "constant", "steps")
GAIN = 16  # no random weights amplify more: predictions stay far from 64 bits


def network(
    rng: np.random.Generator, n_inputs: int, n_outputs: int, hidden: tuple[int, ...] = (16, 8)
) -> Program:
    """Dense layers whose outputs use the classes' whole range."""
    sizes = (n_inputs, *hidden, n_outputs)
    layers = []
    for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        last = i == len(sizes) - 2
        layers.append(
            Layer(
                "dense",
                rng.integers(-60, 61, (n_out, n_in)).astype(np.int8),
                rng.integers(-500, 500, n_out).astype(np.int32),
                rng.integers(6, 9, n_out).astype(np.uint8),
                lo=-2047 if last else 0,
                hi=2047 if last else 255,
            )
        )
    return Program(tuple(layers), -127, 127, (n_inputs,))


def tables(rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Tables with many holes, so that escapes are common."""
    counts = rng.integers(1, 60, (N_TABLES, N_SYMBOLS)) * (rng.random((N_TABLES, N_SYMBOLS)) < 0.3)
    must_have = np.arange(N_SYMBOLS) == ESCAPE
    return np.stack([normalise(row, must_have) for row in counts])


def predictor(
    rng: np.random.Generator,
    geometry: str,
    n_described: int = 1,
    has_reconstruction: bool = False,
    flat: bool = True,
    hidden: tuple[int, ...] = (16, 8),
    n_experts: int = 2,
) -> Predictor:
    g = GEOMETRIES[geometry]
    experts = tuple(
        tuple(
            network(rng, count_inputs(g, n, has_reconstruction), 3 + g.n_gates, hidden)
            for n in range(1 + n_described)
        )
        for _ in range(n_experts)
    )
    return Predictor(
        geometry=g,
        experts=experts,
        linear=rng.integers(-500, 501, len(g.taps) + 9 * has_reconstruction).astype(np.int16),
        tables=tables(rng),
        tails=(-10, 30),
        has_reconstruction=has_reconstruction,
        flat=flat,
    )


def samples(rng: np.random.Generator, kind: str, rows: int, columns: int) -> Ints:
    """A plane (rows, columns) of int32 values, as int64."""
    shape = (rows, columns)
    walk = np.cumsum(rng.integers(-5, 6, shape), 1)
    if kind == "smooth":
        values = np.clip(100 + walk, 0, 255)
    elif kind == "noise":
        values = rng.integers(0, 256, shape)
    elif kind == "wide":
        values = np.clip(30000 + 300 * walk, 0, 65535)
    elif kind == "spikes":
        values = walk + (rng.random(shape) < 0.05) * rng.integers(-(1 << 30), 1 << 30, shape)
    elif kind == "extremes":
        values = rng.choice([-(1 << 31), -1, 0, (1 << 31) - 1], shape)
    elif kind == "extremes16":
        values = rng.choice([0, 65535], shape) + rng.integers(-(1 << 31), (1 << 31) - 65535)
    elif kind == "constant":
        values = np.full(shape, rng.integers(-(1 << 31), 1 << 31))
    else:
        values = np.repeat(np.repeat(rng.integers(0, 4, shape), 7, 0), 7, 1)[:rows, :columns]
    return wrap32(values.astype(np.int64))


def coefficients(rng: np.random.Generator, n_weights: int) -> Coefficients:
    """Weights of random shift, amplifying at most `GAIN` times."""
    shift = int(rng.integers(0, 15))
    weights = rng.integers(-32768, 32768, n_weights)
    allowed = int(rng.choice([1, GAIN])) << shift
    total = max(1, int(np.abs(weights).sum()))
    weights = weights * min(allowed, total) // total
    return Coefficients(weights.astype(np.int64), shift, int(rng.integers(0, 256)))


@dataclass(frozen=True)
class Case:
    """Planes of one section and how each is to be coded; references are indices of planes.

    `tables` names a table for every class.
    """

    predictor: Predictor
    planes: list[Ints]
    jobs: list[Job]
    references: list[tuple[int, ...]]
    tables: npt.NDArray[np.uint8]

    @property
    def n_samples(self) -> int:
        return sum(job.n_samples for job in self.jobs)

    def encode(self, backend: Any) -> bytes:
        coded: list[Any] = []
        classes = []
        for plane, job, indices in zip(self.planes, self.jobs, self.references, strict=True):
            job = replace(job, references=[coded[i] for i in indices])
            mine, finished = backend.classify(job, plane)
            classes.append(mine)
            coded.append(finished)
        data: bytes = backend.encode(classes, self.tables, self.n_samples)
        return data

    def decode(self, backend: Any, data: bytes) -> list[Ints]:
        """Samples of each plane that exist, flat."""
        decoding = backend.decoding(data, self.tables, self.n_samples)
        coded: list[Any] = []
        out = []
        for plane, job, indices in zip(self.planes, self.jobs, self.references, strict=True):
            job = replace(job, references=[coded[i] for i in indices])
            lane_first_samples = None if self.predictor.geometry.is_plane else plane[:, 0]
            found, finished = decoding.plane(job, lane_first_samples)
            assert found.shape == (job.rows, job.columns)
            out.append(found.reshape(-1)[: job.n_samples])
            coded.append(finished)
        decoding.finish()
        return out

    def round_trip(self, backend: Any) -> bytes:
        """The section, once it is known to come back."""
        data = self.encode(backend)
        self.verify(self.decode(backend, data))
        return data

    def verify(self, found: list[Ints]) -> None:
        """Assert that decoded samples are those of the planes, as far as the step allows."""
        for plane, job, mine in zip(self.planes, self.jobs, found, strict=True):
            wanted = plane.reshape(-1)[: job.n_samples]
            assert np.abs(mine - wanted).max() <= job.step // 2


def case(
    rng: np.random.Generator,
    model: Predictor,
    kind: str,
    rows: int,
    columns: int,
    missing: int = 0,
    n_planes: int = 1,
    n_bands: int = 1,
    n_references: int = 0,
    step: int = 1,
) -> Case:
    """Planes of one shape; a track lacks its last `missing` samples."""
    g = model.geometry
    n_samples = rows * columns - (0 if g.is_plane else min(missing, rows * columns - 1))
    band_rows = -(-rows // n_bands)
    planes, jobs, references = [], [], []
    for i in range(n_planes):
        plane = samples(rng, kind, rows, columns)
        plane.reshape(-1)[n_samples:] = plane.reshape(-1)[n_samples - 1]
        indices = tuple(range(i - 1, max(-1, i - 1 - n_references), -1))
        n_weights = model.n_own_taps + len(g.reference_taps) * len(indices)
        if rng.random() < 0.1:
            n_weights = int(rng.integers(1, n_weights + 1))
        picture = None
        if model.has_reconstruction:
            off = int(rng.choice([0, 9, 60000]))
            picture = plane + rng.integers(-off, off + 1, plane.shape)
            picture = np.clip(picture, -(1 << 31), (1 << 31) - 1)
        bands = [coefficients(rng, n_weights) for _ in range(-(-rows // band_rows))]
        lo, hi = int(plane.min()), int(plane.max())
        if lo >= 0 and hi <= 255 and step == 1 and rng.random() < 0.5:
            lo, hi = 0, 255
        if step > 1:
            plane = plane >> 1  # there must be room for samples that come back larger
            lo, hi = int(plane.min()) - step // 2, int(plane.max()) + step // 2
        expert = int(rng.choice([0, len(model.experts) - 1, NO_NETWORK]))
        planes.append(plane)
        references.append(indices)
        jobs.append(
            Job(rows, columns, n_samples, bands, band_rows, [], picture, lo, hi, expert, step)
        )
    tables = rng.integers(0, N_TABLES, N_TABLES).astype(np.uint8)
    return Case(model, planes, jobs, references, tables)
