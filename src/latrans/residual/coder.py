"""Residual section: planes to bytes and back (FORMAT.md 6.6).

The section starts with a header, one record per plane that says how it is predicted, and ends
with the entropy-coded samples of all planes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import CodecError
from .backend import Backend
from .fixed import Ints
from .header import BYTE_RANGE, Reader, Writer, deflate, inflate
from .plan import Plan, Surface, plan
from .predictor import Predictor
from .reference import Job
from .schedule import track_shape


@dataclass(frozen=True)
class PlaneInfo:
    """What both sides know of a plane before it is coded.

    Attributes
    ----------
    rows, columns, n_samples : lanes, their length, samples that exist.
    candidates : reference planes worth trying, each a tuple of distances back.
    """

    rows: int
    columns: int
    n_samples: int
    candidates: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def track(cls, n_samples: int, candidates: tuple[tuple[int, ...], ...] = ()) -> PlaneInfo:
        rows, columns = track_shape(n_samples)
        return cls(rows, columns, n_samples, candidates)


def encode(
    backend: Backend,
    predictor: Predictor,
    infos: Sequence[PlaneInfo],
    planes: Sequence[Ints],
    reconstructions: Sequence[Ints] | None,
    horizon: int,
) -> bytes:
    """Encode planes, each (rows, columns) int64, in order.

    `horizon` is the furthest distance back that any candidate names.
    """
    writer = Writer()
    lo, hi = limits(planes)
    writer.limits(lo, hi)
    previous: Plan | None = None
    classes = []
    walk = _walk(backend, predictor, infos, planes, reconstructions, horizon)
    for i, (plane, (chosen, mine)) in enumerate(zip(planes, walk, strict=True)):
        firsts = None if predictor.geometry.up else plane[:, 0]
        writer.plane(chosen, predictor, previous, i, firsts)
        classes.append(mine)
        previous = chosen
    n_samples = sum(info.n_samples for info in infos)
    return deflate(writer.bytes()) + backend.encode(classes, n_samples)


def classes_of(
    backend: Backend,
    predictor: Predictor,
    infos: Sequence[PlaneInfo],
    planes: Sequence[Ints],
    reconstructions: Sequence[Ints] | None,
    horizon: int,
) -> Iterator[Any]:
    """The classes of every plane, as `encode` would code them."""
    for _, classes in _walk(backend, predictor, infos, planes, reconstructions, horizon):
        yield classes


def limits(planes: Sequence[Ints]) -> tuple[int, int]:
    """Range that predictions are held to: that of the samples, or all bytes."""
    lo, hi = min(int(p.min()) for p in planes), max(int(p.max()) for p in planes)
    return BYTE_RANGE if BYTE_RANGE[0] <= lo and hi <= BYTE_RANGE[1] else (lo, hi)


def _walk(
    backend: Backend,
    predictor: Predictor,
    infos: Sequence[PlaneInfo],
    planes: Sequence[Ints],
    reconstructions: Sequence[Ints] | None,
    horizon: int,
) -> Iterator[tuple[Plan, Any]]:
    """Plan and classes of plane after plane."""
    lo, hi = limits(planes)
    finished: list[Any] = []
    previous: Plan | None = None
    for i, (info, plane) in enumerate(zip(infos, planes, strict=True)):
        surface = _surface(predictor, plane, info, finished, reconstructions, i)
        chosen = plan(surface, _indices(info, i), previous, trials=backend.trials(surface))
        classes, coded = backend.classify(surface.job(chosen, lo, hi), plane)
        finished.append(coded)
        if i >= horizon:
            finished[i - horizon] = None
        previous = chosen
        yield chosen, classes


def decode(
    backend: Backend,
    predictor: Predictor,
    infos: Sequence[PlaneInfo],
    reconstructions: Sequence[Ints] | None,
    horizon: int,
    section: bytes,
) -> list[Ints]:
    """Inverse of `encode`."""
    header, body = inflate(section)
    reader = Reader(header)
    lo, hi = reader.limits()
    decoding = backend.decoding(body, sum(info.n_samples for info in infos))
    finished: list[Any] = []
    planes = []
    previous: Plan | None = None
    for i, info in enumerate(infos):
        n_lanes = 0 if predictor.geometry.up else info.rows
        chosen, firsts = reader.plane(predictor, previous, i, info.rows, n_lanes, lo, hi)
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
        )
        plane, coded = decoding.plane(job, firsts)
        planes.append(plane)
        finished.append(coded)
        if i >= horizon:
            finished[i - horizon] = None
        previous = chosen
    decoding.finish()
    reader.finish()
    return planes


def estimate(
    backend: Backend,
    infos: Sequence[PlaneInfo],
    planes: Sequence[Ints],
    indices: Sequence[int],
) -> float:
    """Rough cost in bits of some planes, for choosing between maps; never the real size."""
    total = 0.0
    for i in indices:
        surface = Surface(backend.predictor, planes[i], infos[i].n_samples, (), None)
        total += plan(surface, (), None, trials=backend.trials(surface)).cost_bits
    return total


def _surface(
    predictor: Predictor,
    plane: Ints,
    info: PlaneInfo,
    finished: Sequence[Any],
    reconstructions: Sequence[Ints] | None,
    i: int,
) -> Surface:
    picture = None if reconstructions is None else reconstructions[i]
    return Surface(predictor, plane, info.n_samples, finished, picture)


def _indices(info: PlaneInfo, i: int) -> list[tuple[int, ...]]:
    return [tuple(i - d for d in distances) for distances in info.candidates]


def _shape(info: PlaneInfo) -> tuple[int, int, int]:
    return info.rows, info.columns, info.n_samples
