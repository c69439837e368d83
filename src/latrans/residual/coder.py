"""Residual section: planes to bytes and back (FORMAT.md 6.6).

The section starts with a header, one record per plane that says how it is predicted, and ends
with the entropy-coded samples of all planes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from ..errors import CodecError
from .header import BYTE_RANGE, HeaderReader, HeaderWriter, deflate, inflate, pack_section
from .job import Job
from .piece_shape import PieceShape
from .plan import MIN_SAMPLES
from .plan_input import Plan, PlanePlanInput
from .plan_search import PlaneChooser
from .predictor import Predictor
from .protocol import Backend

STEP = 17  # of the closed loop in bounded mode


@dataclass(frozen=True)
class Encoded:
    """A residual section, its planes as they come back where that is not exactly, and experts.

    Of a small piece that was coded alone the expert is not told.
    """

    section: bytes
    planes: list[npt.NDArray[Any]]
    experts: list[int] | None


def encode(
    backend: Backend,
    infos: Sequence[PieceShape],
    planes: Sequence[Ints],
    reconstructions: Sequence[Ints] | None,
    max_reference_distance: int,
    step: int = 1,
    noise_parts: int = 12,
    experts: Sequence[int] | None = None,
) -> Encoded:
    """Encode planes, each (rows, columns) of integers that fit 32 bits, in order.

    `max_reference_distance` is the furthest distance back that any candidate names.  With a step,
    an odd number from 9 on, samples come back up to `step // 2` away from what they were;
    `noise_parts` as in `PlanePlanInput`.  Experts are tried unless they are given.
    """
    if step == 1 and reconstructions is None and experts is None and _is_alone(infos):
        quick = backend.encode_alone(planes[0])
        if quick is not None:
            return Encoded(deflate(quick[0]) + quick[1], [], None)
    writer, predictor = HeaderWriter(), backend.predictor
    lo, hi = limits(planes, step)
    previous: Plan | None = None
    classes, back, took = [], [], []
    walk = _walk(
        backend,
        infos,
        planes,
        reconstructions,
        max_reference_distance,
        step,
        noise_parts,
        (lo, hi),
        experts,
    )
    for i, (plane, (chosen, mine, coded)) in enumerate(zip(planes, walk, strict=True)):
        lane_first_samples = None if predictor.geometry.is_plane else plane[:, 0].astype(np.int64)
        writer.plane(chosen, predictor, previous, i, lane_first_samples)
        classes.append(mine)
        took.append(chosen.expert)
        if step != 1:
            back.append(backend.samples(coded))
        previous = chosen
    n_samples = sum(info.n_samples for info in infos)
    tables = backend.table_map(classes)
    header = pack_section(lo, hi, step, tables) + writer.bytes()
    return Encoded(deflate(header) + backend.encode(classes, tables, n_samples), back, took)


def classes_of(
    backend: Backend,
    infos: Sequence[PieceShape],
    planes: Sequence[Ints],
    reconstructions: Sequence[Ints] | None,
    max_reference_distance: int,
) -> Iterator[Any]:
    """The classes of every plane, as `encode` would code them."""
    extent = limits(planes, 1)
    for _, classes, _ in _walk(
        backend, infos, planes, reconstructions, max_reference_distance, 1, 12, extent
    ):
        yield classes


def limits(planes: Sequence[Ints], step: int) -> tuple[int, int]:
    """Range that predictions are held to: that of the samples, or all bytes."""
    margin = step // 2
    lo = min(int(p.min()) for p in planes) - margin
    hi = max(int(p.max()) for p in planes) + margin
    return BYTE_RANGE if BYTE_RANGE[0] <= lo and hi <= BYTE_RANGE[1] else (lo, hi)


def _walk(
    backend: Backend,
    infos: Sequence[PieceShape],
    planes: Sequence[Ints],
    reconstructions: Sequence[Ints] | None,
    max_reference_distance: int,
    step: int,
    noise_parts: int,
    extent: tuple[int, int],
    experts: Sequence[int] | None = None,
) -> Iterator[tuple[Plan, Any, Any]]:
    """Plan and classes of plane after plane, and the plane as the backend keeps it."""
    lo, hi = extent
    finished: list[Any] = []
    previous: Plan | None = None
    kept = _referred(infos)
    chooser = PlaneChooser(backend, infos, max_reference_distance)
    for i, (info, plane) in enumerate(zip(infos, planes, strict=True)):
        reconstruction = None if reconstructions is None else reconstructions[i]
        plane = backend.as_plane_dtype(plane)
        plan_input = PlanePlanInput(
            backend.predictor, plane, info.n_samples, finished, reconstruction, step, noise_parts
        )
        chosen = chooser.plan(plan_input, _indices(info, i), previous)
        job = plan_input.job(chosen, lo, hi, keep=i in kept)
        expert, classes = (
            chooser.expert(job, plane, i, previous) if experts is None else (experts[i], None)
        )
        if expert != chosen.expert:
            chosen, job = replace(chosen, expert=expert), replace(job, expert=expert)
        coded = None  # of a plane that no other refers to
        if classes is None:
            classes, coded = backend.classify(job, plane)
        finished.append(coded)
        if i >= max_reference_distance:
            finished[i - max_reference_distance] = None
        previous = chosen
        yield chosen, classes, coded


def _is_alone(infos: Sequence[PieceShape]) -> bool:
    """Whether all is one piece so small that it brings no coefficients."""
    return len(infos) == 1 and infos[0].n_samples < MIN_SAMPLES


def _referred(infos: Sequence[PieceShape]) -> set[int]:
    """Indices of the planes that later ones may refer to.

    A plane may refer as its candidates say, or as far back as the one before did.
    """
    distances: set[int] = set()
    referred: set[int] = set()
    for i, info in enumerate(infos):
        distances.update(d for candidate in info.candidates for d in candidate)
        referred.update(i - d for d in distances)
    return referred


def decode(
    backend: Backend,
    infos: Sequence[PieceShape],
    reconstructions: Sequence[Ints] | None,
    max_reference_distance: int,
    section: bytes,
) -> list[Ints]:
    """Inverse of `encode`."""
    return list(decoded(backend, infos, reconstructions, max_reference_distance, section))


def decoded(
    backend: Backend,
    infos: Sequence[PieceShape],
    reconstructions: Sequence[Ints] | None,
    max_reference_distance: int,
    section: bytes,
) -> Iterator[Ints]:
    """Inverse of `encode`, plane after plane; only after the last is all known to be sound."""
    shapes = [_shape(info) for info in infos]
    whole = backend.decode_section(section, shapes, reconstructions, max_reference_distance)
    return whole or _decoded(backend, infos, reconstructions, max_reference_distance, section)


def _decoded(
    backend: Backend,
    infos: Sequence[PieceShape],
    reconstructions: Sequence[Ints] | None,
    max_reference_distance: int,
    section: bytes,
) -> Iterator[Ints]:
    """How sections are decoded."""
    predictor = backend.predictor
    header, body = inflate(section)
    reader = HeaderReader(header)
    lo, hi, step, tables = reader.section()
    decoding = backend.decoding(section[body:], tables, sum(info.n_samples for info in infos))
    plans = list(_plans(reader, predictor, infos, lo, hi))
    kept = {j for chosen, _ in plans for j in chosen.references}
    finished: list[Any] = []
    for i, (info, (chosen, lane_first_samples)) in enumerate(zip(infos, plans, strict=True)):
        if any(finished[j] is None for j in chosen.references):
            raise CodecError(f"frame is damaged: plane {i} refers to one too far back")
        shape = _shape(info)
        if any(_shape(infos[j]) != shape for j in chosen.references):
            raise CodecError(f"frame is damaged: plane {i} refers to one of another shape")
        job = Job(
            rows=info.rows,
            columns=info.columns,
            n_samples=info.n_samples,
            bands=chosen.bands,
            band_rows=chosen.band_rows,
            references=[finished[j] for j in chosen.references],
            reconstruction=None if reconstructions is None else reconstructions[i],
            lo=lo,
            hi=hi,
            expert=chosen.expert,
            step=step,
            keep=i in kept,
        )
        plane, coded = decoding.plane(job, lane_first_samples)
        finished.append(coded)
        if i >= max_reference_distance:
            finished[i - max_reference_distance] = None
        yield plane
    decoding.finish()


def _plans(
    reader: HeaderReader, predictor: Predictor, infos: Sequence[PieceShape], lo: int, hi: int
) -> Iterator[tuple[Plan, Ints | None]]:
    """Plan and first samples of every plane, from the records of a header."""
    previous: Plan | None = None
    for i, info in enumerate(infos):
        n_lanes = 0 if predictor.geometry.is_plane else info.rows
        chosen, lane_first_samples = reader.plane(
            predictor, previous, i, info.rows, n_lanes, lo, hi
        )
        yield chosen, lane_first_samples
        previous = chosen
    reader.finish()


def _indices(info: PieceShape, i: int) -> list[tuple[int, ...]]:
    return [tuple(i - d for d in distances) for distances in info.candidates]


def _shape(info: PieceShape) -> tuple[int, int, int]:
    return info.rows, info.columns, info.n_samples
