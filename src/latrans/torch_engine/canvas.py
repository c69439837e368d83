"""Canvases of bands of a batch of planes: `residual.canvas` with an axis for items.

A band is some rows of planes, or some columns of tracks, with the margins around them, so that
every neighbour is one slice.  What lies before a band is carried over from the one before it; no
plane is ever held whole with margins.  `Band` is the `Look` at one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..coding.fixed_point import Unit
from ..coding.geometry import Geometry, Offset
from ..residual.neighbours import Look
from ..residual.nlms import Filter

REACH = 2  # samples around a finished plane: the furthest that any neighbour there lies


@dataclass(frozen=True)
class Canvas:
    """A band inside its margins.

    Attributes
    ----------
    data : (items, up + rows, left + columns + right) int64
    columns : of the band
    first : whether it holds the first rows of planes.
    """

    geometry: Geometry
    data: torch.Tensor
    columns: int
    first: bool

    def view(self, offset: Offset) -> torch.Tensor:
        """The neighbours at `offset` of all samples, (items, rows, columns)."""
        g = self.geometry
        dy, dx = offset
        n = self.data.shape[1] - g.up
        out = self.data[:, g.up + dy : g.up + dy + n, g.left + dx : g.left + dx + self.columns]
        return self._with_first_row(out, self._left) if self.first and dy < 0 else out

    def window_sums(self, window: tuple[int, int, int]) -> torch.Tensor:
        """Box sums of the values around all samples, (items, rows, columns)."""
        g = self.geometry
        above, left, right = window
        n = self.data.shape[1] - g.up
        beside = self.data[:, g.up :, g.left - left : g.left + self.columns - 1]
        total = sliding_sums(beside, left, 2)
        if not above:
            return total
        end = g.left + right + self.columns
        box = sliding_sums(self.data[:, g.up - above : g.up + n - 1, g.left - left : end], above, 1)
        total = total + sliding_sums(box, left + right + 1, 2)
        count = above * (left + right + 1) + left
        return self._with_first_row(total, count * self._left) if self.first else total

    @property
    def _left(self) -> torch.Tensor:
        """What stands for all neighbours above the first row: the left ones."""
        g = self.geometry
        return self.data[:, g.up, g.left - 1 : g.left - 1 + self.columns]

    @staticmethod
    def _with_first_row(out: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        return torch.cat([row[:, None], out[:, 1:]], 1)


def plane_canvas(
    geometry: Geometry, values: torch.Tensor, start: torch.Tensor, before: Canvas | None
) -> Canvas:
    """Rows of planes (items, rows, columns) below those of the canvas `before`.

    `start` (items,) stands to the left of the planes' first samples.
    """
    g = geometry
    columns = values.shape[2]
    first_left = start[:, None] if before is None else before.data[:, -1, g.left, None]
    left = torch.cat([first_left, values[:, :-1, 0]], 1)
    body = torch.cat(
        [
            left[:, :, None].expand(-1, -1, g.left),
            values,
            values[:, :, -1:].expand(-1, -1, g.right),
        ],
        2,
    )
    above = body[:, :1].expand(-1, g.up, -1) if before is None else before.data[:, -g.up :]
    return Canvas(g, torch.cat([above, body], 1), columns, before is None)


def track_canvas(
    geometry: Geometry, values: torch.Tensor, start: torch.Tensor, before: Canvas | None
) -> Canvas:
    """Columns of tracks (items, lanes, columns) right of those of the canvas `before`.

    `start` (items, lanes) stands to the left of each lane.
    """
    if before is None:
        margin = start[:, :, None].expand(-1, -1, geometry.left)
    else:
        margin = before.data[:, :, -geometry.left :]
    return Canvas(geometry, torch.cat([margin, values], 2), values.shape[2], False)


def sliding_sums(values: torch.Tensor, n: int, axis: int) -> torch.Tensor:
    """Sums of every n values in a row along an axis, by doubling."""
    n_sums = values.shape[axis] - n + 1
    total: torch.Tensor | None = None
    done, width, block = 0, 1, values
    while True:
        if n & width:
            part = block.narrow(axis, done, n_sums)
            total = part if total is None else total + part
            done += width
        if 2 * width > n:
            assert total is not None
            return total
        length = block.shape[axis] - width
        block = block.narrow(axis, 0, length) + block.narrow(axis, width, length)
        width *= 2


@dataclass(frozen=True)
class Beyond:
    """A band of finished planes and what lies around it; see `residual.canvas.Reference`.

    `data` has `REACH` more columns on either side; of planes also rows, while lanes are one line.
    """

    data: torch.Tensor

    def view(self, offset: Offset, rows: int, columns: int) -> torch.Tensor:
        dy, dx = offset
        top = REACH + dy if self.data.shape[1] > rows else 0
        left = REACH + dx
        return self.data[:, top : top + rows, left : left + columns]


def beyond(
    geometry: Geometry, values: torch.Tensor, n_samples: int, rows: range, columns: range
) -> Beyond:
    """A band of finished planes (items, rows, columns)."""
    height, width = values.shape[1:]

    def around(part: range) -> torch.Tensor:
        return torch.arange(part.start - REACH, part.stop + REACH, device=values.device)

    x = around(columns)
    if geometry.is_plane:
        y = around(rows).clamp(0, height - 1)
        return Beyond(values[:, y[:, None], x.clamp(0, width - 1)].long())
    lanes = torch.arange(rows.start, rows.stop, device=values.device)
    places = (lanes[:, None] * width + x).clamp(0, n_samples - 1)  # lanes are one line
    return Beyond(values.flatten(1)[:, places].long())


@dataclass(frozen=True)
class Band(Look):
    """All samples of a band, which begins with column `left`."""

    rows: int
    columns: int
    left: int

    def canvas(self, canvas: Canvas, offset: Offset) -> Any:
        return canvas.view(offset)

    def reference(self, reference: Beyond, offset: Offset) -> Any:
        return reference.view(offset, self.rows, self.columns)

    def window(self, canvas: Canvas, window: tuple[int, int, int]) -> Any:
        return canvas.window_sums(window)

    def predicted_error(self, filter_: Filter, errors: Any, energy: Any) -> tuple[Any, Any, Any]:
        # Time comes first, so that what belongs to a sample lies side by side; all that does not
        # depend on the filters is worked out before they start.
        def by_time(values: Any) -> Any:
            return values.movedim(-1, 0).contiguous()

        units = Unit.of(energy)
        inputs, of_unit = by_time(units.ratio(errors)), [by_time(p) for p in vars(units).values()]
        error, energy = by_time(errors[0]), by_time(energy)
        found = torch.zeros_like(energy).expand(3, *energy.shape).clone()
        before = Unit.of(filter_.energy)
        for x in range(0 if self.left else 1, self.columns):
            filter_.update(..., error[x], before)
            found[0, x], found[1, x] = filter_.predict(..., inputs[x], energy[x])
            found[2, x] = filter_.mean_abs_miss
            before = Unit(*(part[x] for part in of_unit))
        predicted_error, share, miss = found.movedim(1, -1)
        return predicted_error, share, miss
