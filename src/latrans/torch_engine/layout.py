"""Layouts: where the neighbours of every sample lie on a board, worked out once per shape.

A board is what a batch of planes is decoded on: (cells, items) int64, so that a row of it is one
cell of all items side by side and gathering a step's neighbours is one selection of rows.  Which
cell each neighbour is, margins and first rows included, is asked of the canvases themselves
(`residual.canvas`), filled with the numbers of cells instead of samples.

From one step to the next nearly all cells move on by one.  Only where some do not (at the margins,
and where a lane begins or ends) a row of cells is kept; see `Strip`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints
from ..coding.geometry import GEOMETRIES, RECONSTRUCTION_TAPS, Geometry, Offset, Offsets
from ..coding.schedule import LANES, steps
from ..residual.canvas import Canvas, Reference

PAD = 2  # samples around finished planes: the furthest that any neighbour there lies
_BLOCK = 128  # steps that are looked at together

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Shape:
    """What the cells of a board depend on.

    Attributes
    ----------
    geometry : name of the neighbourhood.
    rows, columns, n_samples : of every plane.
    n_references, n_described : finished planes, and those of them that networks see.
    pictured : whether there is a reconstruction.
    keep : whether later planes may refer to these.
    """

    geometry: str
    rows: int
    columns: int
    n_samples: int
    n_references: int
    n_described: int
    pictured: bool
    keep: bool


@dataclass(frozen=True)
class Strip:
    """Up to 16 lanes side by side, step after step; what `at` says of one strip holds for all.

    Attributes
    ----------
    top, n_lanes : first row, and rows.
    cells : (kept, neighbours * lanes) board rows to select.
    rises : (neighbours * lanes,) what is added to them for a strip that lies one row lower.
    kept, shift : row of `cells` that each step uses, and what is added to it.
    active : (steps, lanes) which lanes decode a sample.
    sample : (steps, lanes) number of that sample in its plane.
    """

    top: int
    n_lanes: int
    cells: Ints
    rises: Ints
    kept: list[int]
    shift: list[int]
    active: Flags
    sample: Ints


class Layout:
    """Sections of a board, and the neighbours of its samples in the order they are gathered in.

    Sections: samples, errors, sums of errors along each lane (tracks), energies (of planes to
    keep), one cell that nobody reads, finished planes.  One cell after the samples and one after
    the errors stand for what is before the first of a plane.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.geometry = g = GEOMETRIES[shape.geometry]
        n = shape.rows * shape.columns
        self.taps = _Taps(g, shape.pictured)
        self.samples, self.errors = 0, n + 1
        self.sums = self.errors + n + 1
        self.sum_lead = g.left + 1
        self.sum_stride = self.sum_lead + shape.columns
        self.energy = self.sums + (0 if g.is_plane else shape.rows * self.sum_stride)
        self.trash = self.energy + n * shape.keep
        self.finished = self.trash + 1
        n_finished = shape.n_references + 2 * shape.n_described + shape.pictured
        self.n_cells = self.finished + len(self.finished_cells) * n_finished

    @cached_property
    def finished_cells(self) -> Ints:
        """Number of the sample that each cell of a finished plane holds, margins included."""
        s = self.shape
        y, x = np.mgrid[-self._tall : s.rows + self._tall, -PAD : s.columns + PAD]
        reference = Reference(self.geometry, self._numbers, s.n_samples)
        return reference.at((0, 0), y, x).reshape(-1)

    @cached_property
    def strips(self) -> list[Strip]:
        """The first strip, one that stands for those that follow it, and the last."""
        s = self.shape
        tops = list(range(0, s.rows, LANES))
        if s.n_samples == s.rows * s.columns:
            tops = sorted({*tops[:2], tops[-1]})
        return [self._strip(top) for top in tops]

    def strip(self, top: int) -> Strip:
        """What tells of the strip that begins with row `top`."""
        n_lanes = min(LANES, self.shape.rows - top)
        exact = [s for s in self.strips if s.top == top]
        return (exact or [s for s in self.strips if s.top and s.n_lanes == n_lanes])[0]

    @cached_property
    def _numbers(self) -> Ints:
        s = self.shape
        return np.arange(s.rows * s.columns, dtype=np.int64).reshape(s.rows, s.columns)

    @cached_property
    def _canvas(self) -> Canvas:
        """A canvas that holds the number of each sample, and one more before the first."""
        s = self.shape
        canvas = Canvas(self.geometry, s.rows, s.columns, s.rows * s.columns)
        left = None if self.geometry.is_plane else self._numbers[:, 0]
        canvas.fill(0, self._numbers, left=left)
        return canvas

    @property
    def _tall(self) -> int:
        return PAD if self.geometry.is_plane else 0

    def _gather(self, y: Ints, x: Ints) -> Ints:
        """Board rows of all neighbours of samples: (neighbours, ...)."""
        canvas, taps = self._canvas, self.taps
        found = [self.samples + canvas.at(o, y, x) for o in taps.samples]
        found += [self.errors + canvas.at(o, y, x) for o in taps.errors[: taps.n_apart]]
        # Of the first row's windows the left neighbour is all (`Canvas.window_at`).
        beside = canvas.at((0, -1), y, x)
        windows = (canvas.at(o, y, x) for o in taps.errors[taps.n_apart :])
        found += [self.errors + np.where(y == 0, beside, cells) for cells in windows]
        lane = self.sums + y * self.sum_stride + self.sum_lead + x
        found += [lane + dx for dx in taps.sums]
        start = self.finished
        for offsets in self._finished_taps():
            found += [start + self._finished_cell(o, y, x) for o in offsets]
            start += len(self.finished_cells)
        return np.stack(found)

    def _finished_taps(self) -> list[Offsets]:
        """Offsets in every finished plane on the board."""
        s, g = self.shape, self.geometry
        beside = [g.reference_errors, ((0, 0),)] * s.n_described
        return [g.reference_taps] * s.n_references + beside + [self.taps.picture] * s.pictured

    def _finished_cell(self, offset: Offset, y: Ints, x: Ints) -> Ints:
        dy, dx = offset
        row = y + dy + self._tall if self.geometry.is_plane else y
        return row * (self.shape.columns + 2 * PAD) + x + dx + PAD

    def _strip(self, top: int) -> Strip:
        s = self.shape
        n_lanes = min(LANES, s.rows - top)
        lanes = np.arange(n_lanes)
        at = [
            (y - top, x)
            for y, x in steps(self.geometry, s.rows, s.columns, s.n_samples)
            if top <= y[0] < top + LANES
        ]
        active = np.zeros((len(at), n_lanes), np.bool_)
        column = np.zeros((len(at), n_lanes), np.int64)
        for step, (lane, x) in enumerate(at):
            active[step, lane], column[step, lane] = True, x
        y = np.broadcast_to(top + lanes, column.shape)
        cells, follows = self._runs(y, column, active)
        begun = np.flatnonzero(~follows)
        kept = np.cumsum(~follows) - 1
        shift = np.arange(len(at)) - begun[kept]
        rises = np.repeat(self._rises(), n_lanes)
        sample = y * s.columns + column
        return Strip(top, n_lanes, cells, rises, kept.tolist(), shift.tolist(), active, sample)

    def _runs(self, y: Ints, x: Ints, active: Flags) -> tuple[Ints, Flags]:
        """Cells of the steps that begin a run, and which steps follow from the one before."""
        follows = np.zeros(len(y), np.bool_)
        cells = []
        last = None
        for start in range(0, len(y), _BLOCK):
            here = np.s_[start : start + _BLOCK]
            found = np.where(active[here], self._gather(y[here], x[here]), 0).swapaxes(0, 1)
            before = found[:1] if last is None else last
            moved = np.diff(found, axis=0, prepend=before) == 1
            same = active[here] == active[max(0, start - 1)]
            same[1:] = active[here][1:] == active[here][:-1]
            follows[here] = (moved | ~active[here][:, None]).all((1, 2)) & same.all(1)
            follows[0] = False
            cells.append(found[~follows[here]].reshape(-1, found.shape[1] * found.shape[2]))
            last = found[-1:]
        return np.concatenate(cells or [np.zeros((0, 0), np.int64)]), follows

    def _rises(self) -> Ints:
        """By how much the cell of each neighbour grows from row to row."""
        t, s = self.taps, self.shape
        n_own = len(t.samples) + len(t.errors)
        n_finished = sum(map(len, self._finished_taps()))
        counts = [n_own, len(t.sums), n_finished]
        return np.repeat([s.columns, self.sum_stride, s.columns + 2 * PAD], counts)


class _Taps:
    """Neighbours of a sample on the board.

    Attributes
    ----------
    samples : the linear predictor's, and others that something looks at.
    errors : those that the network sees (not in its order), then windows' others.  The first
        `n_apart` are in no window of a first row's sample; `inner` and `outer` are how many the
        smaller and the larger window has after them.
    sums : columns of the sums along a lane that windows are differences of.
    picture : of a reconstruction.
    """

    def __init__(self, g: Geometry, pictured: bool) -> None:
        self.places: Offsets = ((0, -1), (-1, 0)) if g.is_plane else ((0, -1), (0, -2))
        more = [*g.base, *(o for p in g.predictors for _, o in p), *self.places]
        self.samples: Offsets = tuple(dict.fromkeys((*g.taps, *more)))
        self.picture: Offsets = ()
        if pictured:
            self.picture = tuple(dict.fromkeys((*RECONSTRUCTION_TAPS, *self.places)))
        self.sums: tuple[int, ...] = ()
        self.inner = self.outer = 0
        if not g.is_plane:
            self.errors: Offsets = tuple((0, -1 - i) for i in range(g.n_adaptive))
            self.n_apart = len(self.errors)
            self.sums = (-1, *(-1 - left for _, left, _ in g.windows))
            return
        apart = [o for o in g.errors if o[0] == 0 and o != (0, -1)]
        shared = [o for o in g.errors if o not in apart]
        inner, outer = (_window(w) for w in g.windows)
        self.n_apart, self.inner, self.outer = len(apart), len(inner), len(outer)
        self.errors = (*apart, *dict.fromkeys((*shared, *inner, *outer)))


def _window(window: tuple[int, int, int]) -> list[Offset]:
    above, left, right = window
    box = [(-dy, dx) for dy in range(1, above + 1) for dx in range(-left, right + 1)]
    return box + [(0, -dx) for dx in range(1, left + 1)]


@lru_cache(maxsize=64)
def layout(shape: Shape) -> Layout:
    """The layout of a shape, kept for the next batch."""
    return Layout(shape)
