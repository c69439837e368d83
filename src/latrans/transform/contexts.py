"""Contexts: what the network is told about a coefficient's surroundings (FORMAT.md 11.4).

Two kinds of inputs, all integers in [-127, 127].  *Known* ones come from bands that are already
decoded: the coarser band of the same kind, the other bands of the level, the same band of earlier
planes, the picture so far.  *Causal* ones come from the coefficient's own band.  Sizes are told
as logarithms, in octaves of the quantisation step, so that neither the data's range nor its noise
matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..coding.fixed_point import Ints, log2, saturate
from .bands import Subband

Inputs = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]

# (row, column) and weights of the neighbours in the two sums; all are causal in the order of
# `residual.schedule`, in which a row runs four columns behind the one above.
NEIGHBOURS = (
    (0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0),
    (-1, -2), (-1, 2), (-2, -1), (-2, 1),
)  # fmt: skip
NEAR_WEIGHTS = (2, 2, 1, 1, 0, 0, 0, 0, 0, 0)
WIDE_WEIGHTS = (1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
N_SINGLE = 6  # neighbours that are inputs of their own
N_CAUSAL = N_SINGLE + 2
N_KNOWN = 28
N_INPUTS = N_CAUSAL + N_KNOWN
UP, LEFT, RIGHT = 2, 2, 2  # margins of a canvas

_EMPTY = 1  # code of a band's mean from here on; 0 says that all of it is zero
_MEAN_BITS = 12
_LIMIT = 1 << 48


def size(quadrupled: Ints) -> Ints:
    """Four times a magnitude, as a network input: 0 for 0, 16 per octave."""
    return np.minimum((log2(quadrupled + 4) - 64) >> 1, 127)


# `size(4 * m)` for small m, which almost all are.
_SIZES = size(4 * np.arange(1024))


def size_of(magnitude: Ints) -> Ints:
    """`size` of magnitudes, by table where they are small."""
    small = _SIZES[np.minimum(magnitude, 1023)]
    if magnitude.size and int(magnitude.max()) > 1023:
        small = np.where(magnitude > 1023, size(4 * magnitude), small)
    return small


def mean_code(magnitude: Ints) -> int:
    """A band's mean magnitude in quarter octaves; 0 where all are zero."""
    total = int(magnitude.sum())
    if not total:
        return 0
    mean = max(1, (total << _MEAN_BITS) // magnitude.size)
    return _EMPTY + (int(log2(mean)) >> 3)


def code_input(code: int) -> int:
    """A mean's code as an input: 16 per octave, 0 for a mean of 1."""
    return max(-127, min(127, 4 * (code - 49)))


@dataclass(frozen=True)
class Surroundings:
    """Decoded bands around one that is to be coded.

    Attributes
    ----------
    parent : values of the coarser band of the same kind, None where there is none.
    parent_code : code of their mean magnitude, from `mean_code`.
    siblings : values of the bands of this level that are known, at most two.
    earlier : values of the same band in earlier planes of the same picture, at most two.
    low : the picture at this level, in 1/1024 of the data's unit; None for the low band itself.
    step : the band's quantisation step, in the same unit.
    """

    band: Subband
    parent: Ints | None
    parent_code: int
    siblings: Sequence[Ints]
    earlier: Sequence[Ints]
    low: Ints | None
    step: int

    def constants(self, code: int) -> Inputs:
        """Inputs (N_KNOWN,) that are the same everywhere; the others zero."""
        inputs = np.zeros(N_KNOWN, np.int8)
        inputs[19] = min(127, 16 * (self.band.level - 1)) if self.band.level else 0
        inputs[20 + self.band.kind] = 32
        inputs[24] = code_input(code)
        inputs[25] = code_input(self.parent_code) if self.parent is not None else 0
        inputs[26] = 32 * len(self.earlier)
        inputs[27] = 32 * (self.parent is not None)
        return inputs

    def inputs(self, code: int) -> Inputs:
        """All known inputs, (N_KNOWN, rows, columns), given the code of the band's mean."""
        return self._places + self.constants(code)[:, None, None]

    @cached_property
    def _places(self) -> Inputs:
        return known(self)


def known(s: Surroundings) -> Inputs:
    """Inputs that differ by place, (N_KNOWN, rows, columns); the others zero."""
    band = s.band
    shape = (band.rows, band.columns)
    out = np.zeros((N_KNOWN, *shape), np.int8)
    if s.parent is not None:
        parent = np.abs(s.parent)
        places = [np.arange(n) for n in shape]
        py, px = (np.minimum(i >> 1, n - 1) for i, n in zip(places, parent.shape, strict=True))
        ny, nx = (
            np.clip((i >> 1) + 2 * (i & 1) - 1, 0, n - 1)
            for i, n in zip(places, parent.shape, strict=True)
        )
        here = parent[np.ix_(py, px)]
        out[0] = size_of(here)
        out[1] = size(2 * here + parent[np.ix_(ny, px)] + parent[np.ix_(py, nx)])
        out[2] = size(_box(parent))[np.ix_(py, px)]
    for row, others in ((3, s.siblings), (7, s.earlier)):
        for i, other in enumerate(others):
            fitted = _fitted(np.abs(other), shape)
            out[row + 2 * i] = size_of(fitted)
            out[row + 2 * i + 1] = size(_box(fitted) >> 1)
    if s.low is not None:
        out[11:19] = _slopes(s.low, shape, s.step)
    return out


def causal(gathered: Ints) -> Ints:
    """Inputs (N_CAUSAL, ...) from magnitudes (neighbours, ...), zero where there are none."""
    near = np.tensordot(np.array(NEAR_WEIGHTS, np.int64), gathered, 1)
    wide = np.tensordot(np.array(WIDE_WEIGHTS, np.int64), gathered, 1)
    return np.concatenate([size_of(gathered[:N_SINGLE]), size(near)[None], size(wide)[None]])


def canvas(rows: int, columns: int) -> Ints:
    """Room for a band's magnitudes and their margins."""
    return np.zeros((rows + UP, LEFT + columns + RIGHT), np.int64)


def gather(magnitudes: Ints, n: int = len(NEIGHBOURS)) -> Ints:
    """The first `n` neighbours of every coefficient of a canvas, (n, rows, columns)."""
    rows, columns = magnitudes.shape[0] - UP, magnitudes.shape[1] - LEFT - RIGHT
    return np.stack(
        [
            magnitudes[UP + dy : UP + dy + rows, LEFT + dx : LEFT + dx + columns]
            for dy, dx in NEIGHBOURS[:n]
        ]
    )


def _fitted(magnitude: Ints, shape: tuple[int, int]) -> Ints:
    """A band of a slightly different size, its last row and column repeated or left out."""
    if magnitude.shape == shape:
        return magnitude
    y, x = (np.minimum(np.arange(n), m - 1) for n, m in zip(shape, magnitude.shape, strict=True))
    return magnitude[np.ix_(y, x)]


def _box(values: Ints) -> Ints:
    """Sums over 3 by 3 cells, zeros beyond the border."""
    padded = np.pad(values, 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]


def _slopes(low: Ints, shape: tuple[int, int], step: int) -> Ints:
    """First and second differences of the picture along both axes, and means of the first ones."""
    # Only damaged frames reach the limit; sums of what is within it have a logarithm.
    padded = np.pad(np.clip(low, -_LIMIT, _LIMIT), ((1, 2), (1, 2)), "edge")
    out = []
    for p in (padded, padded.T):
        centre = p[1:-2]
        first = np.abs(centre[:, 2:-1] - centre[:, 1:-2])
        second = np.abs(centre[:, :-3] - centre[:, 1:-2] - centre[:, 2:-1] + centre[:, 3:])
        wide = _box(first) >> 3
        across = np.abs(p[2:-1, 1:-2] - p[:-3, 1:-2])
        out.append((first, second, wide, across))
    rows = [*out[0], *(o.T for o in out[1])]
    unit = int(log2(step))
    return np.stack(
        [saturate((log2(_fitted(r, shape) + step) - unit) >> 1).astype(np.int8) for r in rows]
    )
