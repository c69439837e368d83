"""Pieces: mapped planes as the pieces that the residual coder works on (FORMAT.md 4.2).

A plane is one piece.  Tracks are cut in blocks of 65,536 samples; within a block all tracks of an
item follow each other, so that channels can refer to each other at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from ..coding.schedule import TRACK_BLOCK
from ..format.axes import Layout
from ..residual.piece_shape import PieceShape
from ..residual.plan_search import LARGE_SECTION

Candidates = tuple[tuple[int, ...], ...]
_LOOK_BACK = 64
_SKETCH_SAMPLES = 1 << 14
_FEW_SAMPLES = 1 << 12  # of each plane of large sections


@dataclass(frozen=True)
class PieceLayout:
    """Pieces in coding order.

    Attributes
    ----------
    places : (plane, first sample) of each piece; the first sample counts in tracks only.
    infos : what both sides know of each piece.
    horizon : how far back a piece may refer to another.
    shape : (planes, rows, columns) of the whole.
    """

    track: bool
    places: list[tuple[int, int]]
    infos: list[PieceShape]
    max_reference_distance: int
    shape: tuple[int, int, int]

    def cut(self, planes: Ints) -> list[Ints]:
        """Pieces of planes, each (rows, columns); a track's last lane is filled up."""
        if not self.track:
            return list(planes)
        parts = []
        for (plane, start), info in zip(self.places, self.infos, strict=True):
            run = planes[plane, 0, start : start + info.n_samples]
            lanes = np.pad(run, (0, info.rows * info.columns - info.n_samples), mode="edge")
            parts.append(lanes.reshape(info.rows, info.columns))
        return parts

    def paste(self, parts: Sequence[Any]) -> Any:
        """Inverse of `cut`."""
        if not self.track:
            return np.stack(parts)
        planes = np.empty(self.shape, parts[0].dtype)
        for (plane, start), info, part in zip(self.places, self.infos, parts, strict=True):
            run = part.reshape(-1)[: info.n_samples]
            planes[plane, 0, start : start + info.n_samples] = run
        return planes


def arrange(
    geometry: str, layout: Layout, shape: tuple[int, int, int], integers: Ints | None
) -> PieceLayout:
    """Layout of planes (planes, rows, columns).

    With `integers` (encoding) it also says which references are worth trying.
    """
    n_planes, rows, columns = shape
    if geometry == "plane":
        places = [(i, 0) for i in range(n_planes)]
        candidates = _plane_candidates(layout, integers)
        infos = [PieceShape(rows, columns, rows * columns, t) for t in candidates]
        return PieceLayout(False, places, infos, max(1, layout.max_reference_distance), shape)
    channels = layout.counts[-1] if layout.counts and layout.ordered[-1] else 1
    places, infos = [], []
    for item in range(0, n_planes, channels):
        for start in range(0, columns, TRACK_BLOCK):
            n = min(TRACK_BLOCK, columns - start)
            tried: list[Candidates] = [()] * channels
            if integers is not None and channels > 1:
                tried = _ranked_channels(integers[item : item + channels, 0, start : start + n])
            places += [(item + c, start) for c in range(channels)]
            infos += [PieceShape.track(n, candidates) for candidates in tried]
    return PieceLayout(True, places, infos, max(1, channels), shape)


def _plane_candidates(layout: Layout, planes: Ints | None) -> list[Candidates]:
    """For each plane, earlier planes worth trying: the likest along each axis, and pairs."""
    if planes is None or not layout.max_reference_distance:
        return [()] * layout.n_planes
    finest = _SKETCH_SAMPLES if planes.size <= LARGE_SECTION else _FEW_SAMPLES
    sketches = [_sketch(p, finest) for p in planes]
    out: list[Candidates] = []
    for i, sketch in enumerate(sketches):
        ranked = []
        for axis in layout.neighbours(i):
            likeness = {d: _likeness(sketch, sketches[i - d]) for d in axis}
            ranked.append(sorted(axis, key=likeness.__getitem__, reverse=True))
        tried: list[tuple[int, ...]] = [(axis[0],) for axis in ranked]
        if len(ranked) > 1:
            tried.append((ranked[0][0], ranked[1][0]))
        tried += [(axis[0], axis[1]) for axis in ranked if len(axis) > 1]
        out.append(tuple(dict.fromkeys(tried)))
    return out


def _sketch(plane: Ints, samples: int = _SKETCH_SAMPLES) -> npt.NDArray[np.float64]:
    """First differences along a few rows, scaled to small integers."""
    rows, columns = plane.shape
    some = plane[:: max(1, rows * columns // samples)]
    steps = np.diff(some.astype(np.int64), axis=1).reshape(-1)
    if steps.size == 0:
        return np.zeros(1)
    typical = max(1, int(np.abs(steps).sum()) // steps.size)
    return np.clip(16 * steps // typical, -127, 127).astype(np.float64)


def likest(plane: Ints, others: Sequence[Ints]) -> list[Ints]:
    """The planes that move most like a plane, best first."""
    sketch = _sketch(plane)
    return sorted(others, key=lambda other: -_likeness(sketch, _sketch(other)))


def _likeness(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Squared correlation times the power of `a`; sums of small integers, so exact."""
    # Not `a @ b`: threads of a BLAS wait for each other longer than so few products take.
    both, power = float(np.einsum("i,i", a, b)), float(np.einsum("i,i", b, b))
    return both**2 / max(1.0, power)


def _ranked_channels(tracks: Ints) -> list[Candidates]:
    """For each channel, the earlier channels that move most like it, best first.

    Correlation of first differences, in exact arithmetic: every machine ranks alike.
    """
    steps = np.diff(tracks[:, : (1 << 14) + 1].astype(np.int64), axis=1)
    if steps.shape[1] == 0:
        return [()] * len(tracks)
    typical = np.maximum(1, np.abs(steps).sum(1) // steps.shape[1])
    small = np.clip(16 * steps // typical[:, None], -127, 127).astype(np.float64)
    products = np.abs(small @ small.T)
    power = np.maximum(products.diagonal(), 1.0)
    out: list[Candidates] = []
    for channel in range(len(tracks)):
        first = max(0, channel - _LOOK_BACK)
        if channel == 0:
            out.append(())
            continue
        likeness = products[channel, first:channel] ** 2 / power[first:channel]
        best = (np.argsort(-likeness, kind="stable") + first).tolist()
        distances = [channel - c for c in best]
        sizes = sorted({n for n in (1, 2, 4) if n <= len(distances)})
        out.append(tuple(tuple(distances[:n]) for n in sizes))
    return out
