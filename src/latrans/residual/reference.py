"""Residual coder of one plane, the definition: classes on the way in, samples on the way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from ..coding.array_ops import namespace
from ..coding.fixed_point import Ints
from ..coding.geometry import Geometry
from ..coding.rans.reference import Decoder
from ..coding.schedule import LANES, PHASES, keys, steps
from ..coding.tokens import ESCAPE, N_TOKENS, raw_length, tokenise, untokenise
from ..engine.program import Program
from ..errors import CodecError
from .classes import Placed, limited, place, wrap32
from .features import Predictions, gated, inputs, is_flat
from .job import Classes, Job
from .neighbours import CodedPlane, Look, RowBand, Samples, Workspace, predict
from .predictor import Predictor

Run = Callable[[Program, npt.NDArray[Any]], npt.NDArray[Any]]


def fill_samples(space: Workspace, plane: Ints) -> None:
    """Encoding knows all samples at once."""
    space.samples.fill(0, plane, left=None if space.geometry.is_plane else plane[:, 0])


def set_errors(space: Workspace, top: int, errors: Ints, sigma: int) -> None:
    """Enter the errors of rows top .. top + n; sigma stands where there is none yet."""
    errors = errors.copy()
    left = None
    if not space.geometry.is_plane:
        errors[:, 0] = sigma
        left = np.full(len(errors), sigma, np.int64)
        if space.filter is not None:
            space.filter.mean_abs_miss[top : top + len(errors)] = sigma
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
        look = RowBand(top, n)
        base, differences = space.differences(look)
        prediction = predict(base, differences, coefficients.weights, coefficients.shift)
        errors = (plane[top : top + n] << 8) - prediction
        set_errors(space, top, errors, coefficients.sigma)
        neighbours, energy = space.neighbours(
            look, base, differences, prediction, coefficients.sigma
        )
        if not space.geometry.is_plane:
            energy[:, 0] = coefficients.sigma
        space.energy[top : top + n] = energy
        features = inputs(space.geometry, neighbours, energy)
        yield top, n, features, neighbours, energy


def answer(network: Program | None, run: Run, features: Ints) -> Ints:
    """Network outputs (3 + gates, ...) for inputs (inputs, ...), clamped to their ranges."""
    if network is None:
        return np.zeros((3, *features.shape[1:]), np.int64)
    flat = features.reshape(len(features), -1).T
    outputs = run(network, flat.astype(np.int32)).T.astype(np.int64)
    return limited(outputs).reshape(len(outputs), *features.shape[1:])


def classify(predictor: Predictor, job: Job, plane: Ints, run: Run) -> tuple[Classes, CodedPlane]:
    """Encode side: the class and offset of every sample."""
    space = job.workspace(predictor)
    y, x = np.mgrid[0 : job.rows, 0 : job.columns]
    coded = y * job.columns + x < job.n_samples
    if not predictor.geometry.is_plane:
        coded &= x > 0
    table, low_bits, offset = (np.zeros(plane.shape, np.int64) for _ in range(3))
    found = Classes(table, low_bits, offset, coded)
    if job.step > 1:
        _close_loop(space, job, plane, run, found)
        return found, space.finish()
    network = predictor.network(job.expert, len(job.references))
    for top, n, features, neighbours, energy in band_features(space, job, plane):
        here = np.s_[top : top + n]
        outputs = answer(network, run, features)
        placed = places(predictor, neighbours, energy, outputs, job.lo, job.hi, job.step)
        found.enter(here, placed, plane[here])
    return found, space.finish()


def _close_loop(space: Workspace, job: Job, plane: Ints, run: Run, found: Classes) -> None:
    """`classify` where predictions depend on what comes back and not on the samples."""
    if not space.geometry.is_plane:
        _start_lanes(space, job, plane[:, 0])
    for y, x in steps(space.geometry, job.rows, job.columns, job.n_samples):
        placed, prediction, energy = _look(space, job, run, y, x)
        value = (plane[y, x] - placed.anchor + job.step // 2) // job.step
        found.enter((y, x), placed, value)
        _put(space, y, x, placed.anchor + job.step * value, prediction, energy)


def places(
    predictor: Predictor,
    found: Predictions,
    energy: Ints,
    outputs: Ints,
    lo: Any,
    hi: Any,
    step: int,
) -> Placed:
    """`place`, with flat surroundings expected to go on."""
    xp = namespace(energy)
    flat: Any = False
    prediction = found.prediction
    moved = gated(found, outputs[3:])
    if predictor.flat:
        flat = is_flat(found.differences, predictor.geometry)
        level = found.base
        if predictor.geometry.is_plane:
            level = level + found.differences[0]
        prediction = xp.where(flat, level << 8, prediction)
        moved = xp.where(flat, 0, moved)
        outputs = xp.where(flat, 0, outputs)
    return place(outputs, prediction, moved, energy, flat, predictor.tails, lo, hi, step)


def operations(
    geometry: Geometry,
    classes: Classes,
    frequencies: npt.NDArray[np.uint16],
    starts: npt.NDArray[np.uint32],
) -> tuple[npt.NDArray[Any], ...]:
    """rANS operations (lane, start, frequency, bits) of a plane, in decoding order.

    `frequencies` and `starts` have a row per class.
    """
    rows, columns = classes.table.shape
    order = keys(geometry, rows, columns)[classes.coded]
    table, low = classes.table[classes.coded], classes.low_bits[classes.coded]
    token, n_raw, raw = tokenise(classes.offset[classes.coded], low)
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
    tables: tuple[Any, Any, Any],
    lane_first_samples: Ints | None,
) -> tuple[Ints, CodedPlane]:
    """Decode side: the samples of one plane, and the plane as a reference for later ones.

    `tables` are slots, starts and frequencies of the table of every class; `lane_first_samples`
    holds the first sample of each lane of a track.
    """
    space = job.workspace(predictor)
    g = predictor.geometry
    if lane_first_samples is not None:
        _start_lanes(space, job, lane_first_samples)
    for y, x in steps(g, job.rows, job.columns, job.n_samples):
        _decode_step(space, job, run, decoder, n_states, tables, y, x)
    body = np.s_[g.up :, g.left : g.left + job.columns]
    return space.samples.data[body].copy(), space.finish()


def _start_lanes(space: Workspace, job: Job, lane_first_samples: Ints) -> None:
    """The first sample of every lane of a track, and what stands for the errors before it."""
    left = space.geometry.left
    for lane, value in enumerate(lane_first_samples.tolist()):
        sigma = job.bands[lane // job.band_rows].sigma
        space.samples.data[lane, : left + 1] = value
        space.errors.data[lane, : left + 1] = sigma
        space.sizes.data[lane, : left + 1] = sigma
        space.energy[lane, 0] = sigma
        if space.filter is not None:
            space.filter.mean_abs_miss[lane] = sigma


def _look(space: Workspace, job: Job, run: Run, y: Ints, x: Ints) -> tuple[Placed, Ints, Ints]:
    """Places, predictions and energies of the samples of one step."""
    predictor = space.predictor
    network = predictor.network(job.expert, len(job.references))
    look: Look = Samples(y, x)
    # Lanes of one step may belong to different coefficient sets.
    base, differences = space.differences(look)
    sets = y // job.band_rows
    prediction, energy = np.zeros_like(y), np.zeros_like(y)
    placed = Placed(*(np.zeros_like(y) for _ in fields(Placed)))
    for i in np.unique(sets):
        mine = sets == i
        part = Samples(y[mine], x[mine])
        band = job.bands[i]
        prediction[mine] = predict(base[mine], differences[:, mine], band.weights, band.shift)
        neighbours, energy[mine] = space.neighbours(
            part, base[mine], differences[:, mine], prediction[mine], band.sigma
        )
        features = inputs(predictor.geometry, neighbours, energy[mine])
        outputs = answer(network, run, features)
        here = places(predictor, neighbours, energy[mine], outputs, job.lo, job.hi, job.step)
        for name in fields(Placed):
            getattr(placed, name.name)[mine] = getattr(here, name.name)
    return placed, prediction, energy


def _put(space: Workspace, y: Ints, x: Ints, sample: Ints, prediction: Ints, energy: Ints) -> None:
    """Enter decoded samples."""
    error = (sample << 8) - prediction
    if space.geometry.is_plane:
        error = np.where((y == 0) & (x == 0), space.first_sigma, error)
    space.samples.put(y, x, sample)
    space.errors.put(y, x, error)
    space.sizes.put(y, x, np.abs(error))
    space.energy[y, x] = energy


def _decode_step(
    space: Workspace,
    job: Job,
    run: Run,
    decoder: Decoder,
    n_states: int,
    tables: tuple[Any, Any, Any],
    y: Ints,
    x: Ints,
) -> None:
    placed, prediction, energy = _look(space, job, run, y, x)
    lanes = (y % LANES % n_states).tolist()
    slots, starts, frequencies = tables
    token = np.array(
        [
            decoder.pop(lane, slots[t], starts[t], frequencies[t])
            for lane, t in zip(lanes, placed.table.tolist(), strict=True)
        ]
    )
    for i in np.flatnonzero(token == ESCAPE):
        token[i] = min(decoder.pop_raw(lanes[i], 8), N_TOKENS - 1)
    n_raw = raw_length(token, placed.low_bits)
    raw = np.zeros_like(token)
    for shift in (0, 16):
        for i in np.flatnonzero(n_raw > shift):
            raw[i] |= decoder.pop_raw(lanes[i], int(min(n_raw[i] - shift, 16))) << shift
    offset = untokenise(token, placed.low_bits, raw)
    value = np.where(placed.flip, placed.centre - offset, placed.centre + offset)
    sample = wrap32(placed.anchor + job.step * value) if job.step > 1 else wrap32(value)
    if ((sample < job.lo) | (sample > job.hi)).any():
        raise CodecError(f"frame is damaged: a sample lies outside of {job.lo} to {job.hi}")
    _put(space, y, x, sample, prediction, energy)
