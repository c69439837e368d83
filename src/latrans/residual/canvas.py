"""Canvases: planes with margins, so that every neighbour is one slice or one index (FORMAT.md 6.2).

Margins hold what a decoder already has.  In a plane: the left margin of a row repeats the first
sample of the row above, the right margin its own last sample, rows above the first repeat the
first row, and in the first row every neighbour above stands for the left one.  In a track: the
left margin of a lane repeats the lane's first sample.
"""

from __future__ import annotations

import numpy as np

from ..coding.fixed_point import Ints
from ..coding.geometry import Geometry, Offset


class Canvas:
    """A (rows, columns) plane inside its margins, filled row band by row band or lane by lane."""

    def __init__(self, geometry: Geometry, rows: int, columns: int, start: int) -> None:
        """`start` stands to the left of the plane's first sample, or of every lane."""
        self.geometry = geometry
        self.rows, self.columns = rows, columns
        g = geometry
        self.data = np.full((g.up + rows, g.left + columns + g.right), start, np.int64)

    def fill(self, top: int, values: Ints, left: Ints | None = None) -> None:
        """Put whole rows from `top` on, margins included.

        `left` overrides the left margin (tracks: one value per lane).
        """
        g = self.geometry
        n = len(values)
        body = self.data[g.up + top : g.up + top + n]
        body[:, g.left : g.left + self.columns] = values
        body[:, g.left + self.columns :] = values[:, -1:]
        if left is not None:
            body[:, : g.left] = left[:, None]
            return
        first_column = self.data[g.up + top - 1 : g.up + top + n - 1, g.left] if top else None
        if first_column is not None:
            body[:, : g.left] = first_column[:, None]
        else:
            body[1:, : g.left] = values[:-1, :1]
            self.data[: g.up] = self.data[g.up]

    def put(self, y: Ints, x: Ints, values: Ints) -> None:
        """Put single samples of a plane, in wavefront order, and the margins they imply."""
        g = self.geometry
        self.data[g.up + y, g.left + x] = values
        for row, column, value in zip(y.tolist(), x.tolist(), values.tolist(), strict=True):
            right = column == self.columns - 1
            if right:
                self.data[g.up + row, g.left + self.columns :] = value
            if row == 0 and g.is_plane:
                end = None if right else g.left + column + 1
                self.data[: g.up, g.left + column : end] = value
            if column == 0 and g.is_plane and row + 1 < self.rows:
                self.data[g.up + row + 1, : g.left] = value

    def view(self, offset: Offset, top: int, n: int) -> Ints:
        """The neighbours at `offset` of rows top .. top + n, shape (n, columns)."""
        g = self.geometry
        dy, dx = offset
        y, x = g.up + top + dy, g.left + dx
        out = self.data[y : y + n, x : x + self.columns]
        if top == 0 and dy < 0:
            out = out.copy()
            out[0] = self.data[g.up, g.left - 1 : g.left - 1 + self.columns]
        return out

    def at(self, offset: Offset, y: Ints, x: Ints) -> Ints:
        """The neighbours at `offset` of single samples, shape of `y`."""
        g = self.geometry
        dy, dx = offset
        in_first_row = (y == 0) & (dy < 0)
        yy = np.where(in_first_row, 0, y + dy)
        xx = np.where(in_first_row, x - 1, x + dx)
        return self.data[g.up + yy, g.left + xx]

    def window_sums(self, window: tuple[int, int, int], top: int, n: int) -> Ints:
        """Box sums of the values (taken as they are) around rows top .. top + n."""
        g = self.geometry
        above, left, right = window
        width = self.columns
        total = np.zeros((n, width), np.int64)
        if above:
            rows = self.data[g.up + top - above : g.up + top + n - 1]
            columns = np.zeros((len(rows) + 1, rows.shape[1]), np.int64)
            np.cumsum(rows, 0, out=columns[1:])
            boxes = np.cumsum(np.pad(columns[above:] - columns[:-above], ((0, 0), (1, 0))), 1)
            total += (
                boxes[:, g.left + right + 1 : g.left + right + 1 + width]
                - boxes[:, g.left - left : g.left - left + width]
            )
        run = np.cumsum(np.pad(self.data[g.up + top : g.up + top + n], ((0, 0), (1, 0))), 1)
        total += run[:, g.left : g.left + width] - run[:, g.left - left : g.left - left + width]
        if top == 0 and above:
            count = above * (left + right + 1) + left
            total[0] = count * self.data[g.up, g.left - 1 : g.left - 1 + width]
        return total

    def window_at(self, window: tuple[int, int, int], y: Ints, x: Ints) -> Ints:
        """Box sums around single samples."""
        above, left, right = window
        offsets = [(-dy, dx) for dy in range(above, 0, -1) for dx in range(-left, right + 1)]
        offsets += [(0, -dx) for dx in range(1, left + 1)]
        # `at` turns every neighbour above the first row into the left one; the left run stays.
        total = sum((self.at(o, y, x) for o in offsets), np.zeros_like(y))
        if above:
            count = above * (left + right + 1) + left
            total = np.where(y == 0, count * self.at((0, -1), y, x), total)
        return total


class Reference:
    """A finished plane (or the reconstruction of the current one), seen at any offset.

    Beyond its border the nearest sample stands.  A track is one line: its lanes continue each
    other.
    """

    def __init__(self, geometry: Geometry, values: Ints, n_samples: int) -> None:
        self.geometry = geometry
        self.values = np.asarray(values, np.int64)
        self.n_samples = n_samples

    def part(self, top: int, n: int, n_samples: int) -> Reference:
        """Some rows as a plane of their own."""
        return Reference(self.geometry, self.values[top : top + n], n_samples)

    def at(self, offset: Offset, y: Ints, x: Ints) -> Ints:
        dy, dx = offset
        rows, columns = self.values.shape
        if self.geometry.name == "track":
            position = np.clip(y * columns + x + dx, 0, self.n_samples - 1)
            return self.values.reshape(-1)[position]
        return self.values[np.clip(y + dy, 0, rows - 1), np.clip(x + dx, 0, columns - 1)]

    def view(self, offset: Offset, top: int, n: int) -> Ints:
        y, x = np.mgrid[top : top + n, 0 : self.values.shape[1]]
        return self.at(offset, y, x)
