"""Residual coder of one plane, the definition: classes on the way in, samples on the way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..entropy.reference import Decoder
from ..errors import CodecError
from ..program import Program
from .classes import (
    ESCAPE,
    N_TOKENS,
    limited,
    place,
    raw_length,
    tokenise,
    untokenise,
    wrap32,
)
from .features import gated, inputs, is_flat
from .fixed import Ints, sigma_from_code
from .gather import Band, Coded, Look, Samples, Workspace, predict
from .predictor import Coefficients, Predictor
from .schedule import LANES, PHASES, keys, steps

Run = Callable[[Program, npt.NDArray[Any]], npt.NDArray[Any]]
_BAND_SAMPLES = 1 << 16


@dataclass(frozen=True)
class Job:
    """One plane to code.

    Attributes
    ----------
    rows, columns, n_samples : lanes, their length, samples that exist.
    bands : one coefficient set per group of `band_rows` rows.
    references : finished planes; reconstruction : (rows, columns) or None.
    lo, hi : range of the samples.
    """

    rows: int
    columns: int
    n_samples: int
    bands: Sequence[Coefficients]
    band_rows: int
    references: Sequence[Coded]
    reconstruction: Ints | None
    lo: int
    hi: int

    def workspace(self, predictor: Predictor) -> Workspace:
        from .canvas import Reference

        picture = self.reconstruction
        return Workspace(
            predictor=predictor,
            rows=self.rows,
            columns=self.columns,
            n_samples=self.n_samples,
            references=self.references,
            reconstruction=None
            if picture is None
            else Reference(predictor.geometry, picture, self.n_samples),
            lo=self.lo,
            hi=self.hi,
            first_sigma=sigma_from_code(self.bands[0].sigma_code),
        )

    def row_bands(self) -> Iterator[tuple[int, int, Coefficients]]:
        """(top, rows, coefficients) in pieces that fit the cache."""
        piece = max(1, _BAND_SAMPLES // max(1, self.columns))
        for i, coefficients in enumerate(self.bands):
            start, end = i * self.band_rows, min((i + 1) * self.band_rows, self.rows)
            for top in range(start, end, piece):
                yield top, min(piece, end - top), coefficients


@dataclass(frozen=True)
class Classes:
    """What the entropy coder needs of each sample, (rows, columns) each.

    `offset` is already mirrored; `coded` is False for samples that are stored apart.
    """

    table: Ints
    low_bits: Ints
    offset: Ints
    coded: npt.NDArray[np.bool_]


def fill_samples(space: Workspace, plane: Ints) -> None:
    """Encoding knows all samples at once."""
    space.samples.fill(0, plane, left=None if space.geometry.up else plane[:, 0])


def set_errors(space: Workspace, top: int, errors: Ints, sigma: int) -> None:
    """Enter the errors of rows top .. top + n; sigma stands where there is none yet."""
    errors = errors.copy()
    left = None
    if space.geometry.up == 0:
        errors[:, 0] = sigma
        left = np.full(len(errors), sigma, np.int64)
    elif top == 0:
        errors[0, 0] = sigma
    space.errors.fill(top, errors, left=left)
    space.sizes.fill(top, np.abs(errors), left=left)


def band_features(
    space: Workspace, job: Job, plane: Ints
) -> Iterator[tuple[int, int, Ints, Any, Ints]]:
    """(top, rows, inputs, neighbours, energy) of every band of a plane that is being encoded."""
    fill_samples(space, plane)
    for top, n, coefficients in job.row_bands():
        look = Band(top, n)
        base, differences = space.differences(look)
        prediction = predict(base, differences, coefficients.weights, coefficients.shift)
        errors = (plane[top : top + n] << 8) - prediction
        set_errors(space, top, errors, sigma_from_code(coefficients.sigma_code))
        neighbours, energy = space.neighbours(look, base, differences, coefficients)
        if not space.geometry.up:
            energy[:, 0] = sigma_from_code(coefficients.sigma_code)
        space.energy[top : top + n] = energy
        features = inputs(space.geometry, neighbours, energy)
        yield top, n, features, neighbours, energy


def answer(network: Program, run: Run, features: Ints) -> Ints:
    """Network outputs (3 + gates, ...) for inputs (inputs, ...), clamped to their ranges."""
    flat = features.reshape(len(features), -1).T
    outputs = run(network, flat.astype(np.int32)).T.astype(np.int64)
    return limited(outputs).reshape(len(outputs), *features.shape[1:])


def classify(predictor: Predictor, job: Job, plane: Ints, run: Run) -> tuple[Classes, Coded]:
    """Encode side: the class and offset of every sample."""
    space = job.workspace(predictor)
    network = predictor.network(len(job.references))
    shape = (job.rows, job.columns)
    table, low, offset = (np.zeros(shape, np.int64) for _ in range(3))
    for top, n, features, neighbours, energy in band_features(space, job, plane):
        outputs = answer(network, run, features)
        here = np.s_[top : top + n]
        centre, flip, table[here], low[here] = centre_and_class(
            predictor, job, neighbours, energy, outputs
        )
        difference = wrap32(plane[here] - centre)
        offset[here] = np.where(flip, wrap32(-difference), difference)
    y, x = np.mgrid[0 : job.rows, 0 : job.columns]
    coded = y * job.columns + x < job.n_samples
    if not predictor.geometry.up:
        coded &= x > 0
    return Classes(table, low, offset, coded), space.finish()


def centre_and_class(
    predictor: Predictor, job: Job, neighbours: Any, energy: Ints, outputs: Ints
) -> tuple[Ints, Ints, Ints, Ints]:
    """`place`, with flat surroundings expected to go on."""
    flat: Any = False
    prediction = neighbours.prediction + gated(neighbours, outputs[3:])
    if predictor.flat:
        flat = is_flat(neighbours.differences, predictor.geometry)
        level = neighbours.base
        if predictor.geometry.up:
            level = level + neighbours.differences[0]
        prediction = np.where(flat, level << 8, prediction)
        outputs = np.where(flat, 0, outputs)
    return place(outputs, prediction, energy, flat, predictor.tails, job.lo, job.hi)


def operations(
    predictor: Predictor, classes: Classes, starts: npt.NDArray[np.uint32]
) -> tuple[npt.NDArray[Any], ...]:
    """rANS operations (lane, start, frequency, bits) of a plane, in decoding order."""
    rows, columns = classes.table.shape
    order = keys(predictor.geometry, rows, columns)[classes.coded]
    table, low = classes.table[classes.coded], classes.low_bits[classes.coded]
    token, n_raw, raw = tokenise(classes.offset[classes.coded], low)
    frequencies = predictor.tables
    escaped = frequencies[table, token] == 0
    symbol = np.where(escaped, ESCAPE, token)
    twelve = np.full_like(token, 12)
    long = n_raw > 16
    groups: list[tuple[Any, ...]] = [
        (order, starts[table, symbol], frequencies[table, symbol], twelve, slice(None)),
        (order + LANES, token, None, np.full_like(token, 8), escaped),
        (order + 2 * LANES, raw & 0xFFFF, None, np.minimum(n_raw, 16), n_raw > 0),
        (order + 3 * LANES, raw >> 16, None, n_raw - 16, long),
    ]
    assert len(groups) == PHASES
    key = np.concatenate([g[0][g[4]] for g in groups])
    start = np.concatenate([g[1][g[4]].astype(np.int64) for g in groups])
    frequency = np.concatenate(
        [(np.ones_like(g[0]) if g[2] is None else g[2].astype(np.int64))[g[4]] for g in groups]
    )
    bits = np.concatenate([g[3][g[4]] for g in groups])
    by_key = np.argsort(key, kind="stable")
    return (key % LANES)[by_key], start[by_key], frequency[by_key], bits[by_key]


def decode(
    predictor: Predictor,
    job: Job,
    run: Run,
    decoder: Decoder,
    n_states: int,
    tables: tuple[Any, Any],
    firsts: Ints | None,
) -> tuple[Ints, Coded]:
    """Decode side: the samples of one plane, and the plane as a reference for later ones.

    `tables` are the slots and starts of the predictor's tables; `firsts` holds the first sample
    of each lane of a track.
    """
    space = job.workspace(predictor)
    g = predictor.geometry
    if firsts is not None:
        for lane, value in enumerate(firsts.tolist()):
            sigma = sigma_from_code(job.bands[lane // job.band_rows].sigma_code)
            space.samples.data[lane, : g.left + 1] = value
            space.errors.data[lane, : g.left + 1] = sigma
            space.sizes.data[lane, : g.left + 1] = sigma
            space.energy[lane, 0] = sigma
    for y, x in steps(g, job.rows, job.columns, job.n_samples):
        _decode_step(space, job, run, decoder, n_states, tables, y, x)
    body = np.s_[g.up :, g.left : g.left + job.columns]
    return space.samples.data[body].copy(), space.finish()


def _decode_step(
    space: Workspace,
    job: Job,
    run: Run,
    decoder: Decoder,
    n_states: int,
    tables: tuple[Any, Any],
    y: Ints,
    x: Ints,
) -> None:
    predictor = space.predictor
    network = predictor.network(len(job.references))
    look: Look = Samples(y, x)
    # Lanes of one step may belong to different coefficient sets.
    base, differences = space.differences(look)
    sets = y // job.band_rows
    centre, flip, table, low, prediction, energy = (np.zeros_like(y) for _ in range(6))
    for i in np.unique(sets):
        mine = sets == i
        part = Samples(y[mine], x[mine])
        neighbours, energy[mine] = space.neighbours(
            part, base[mine], differences[:, mine], job.bands[i]
        )
        features = inputs(predictor.geometry, neighbours, energy[mine])
        outputs = answer(network, run, features)
        centre[mine], flip[mine], table[mine], low[mine] = centre_and_class(
            predictor, job, neighbours, energy[mine], outputs
        )
        prediction[mine] = neighbours.prediction
    lanes = (y % LANES % n_states).tolist()
    slots, starts = tables
    token = np.array(
        [
            decoder.pop(lane, slots[t], starts[t], predictor.tables[t])
            for lane, t in zip(lanes, table.tolist(), strict=True)
        ]
    )
    for i in np.flatnonzero(token == ESCAPE):
        token[i] = min(decoder.pop_raw(lanes[i], 8), N_TOKENS - 1)
    n_raw = raw_length(token, low)
    raw = np.zeros_like(token)
    for shift in (0, 16):
        for i in np.flatnonzero(n_raw > shift):
            raw[i] |= decoder.pop_raw(lanes[i], int(min(n_raw[i] - shift, 16))) << shift
    offset = untokenise(token, low, raw)
    sample = wrap32(np.where(flip, centre - offset, centre + offset))
    if ((sample < job.lo) | (sample > job.hi)).any():
        raise CodecError(f"frame is damaged: a sample lies outside of {job.lo} to {job.hi}")
    error = (sample << 8) - prediction
    if predictor.geometry.up:
        error = np.where((y == 0) & (x == 0), space.first_sigma, error)
    space.samples.put(y, x, sample)
    space.errors.put(y, x, error)
    space.sizes.put(y, x, np.abs(error))
    space.energy[y, x] = energy
