"""What surrounds a sample, and fixed-point arithmetic: FORMAT.md 6.2 and 6.3 as plain Python.

Part of the independent reader, see independent_reader.py.
"""

import math

LOG = [round(32 * math.log2(1 + i / 64)) for i in range(64)]
RECIPROCAL = [round(16384 / (1 + (i + 0.5) / 64)) for i in range(64)]
SIGMA = [round(16 * 2 ** (i / 8)) for i in range(8)]
SURROUND = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1)]


class Plane:
    """What geometry *plane* puts in each row of the table of 6.2."""

    base = ((0, -1), (-1, 0))
    taps = (
        *((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-1, -2), (-1, 2)),
        *((-2, -1), (-2, 1), (-2, -2), (-2, 2), (0, -3), (-3, 0), (-1, -3), (-1, 3)),
        *((-3, -1), (-3, 1), (-2, -3), (-2, 3), (-3, -2), (-3, 2), (0, -4), (-4, 0)),
    )
    errors = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0))
    error_weights = (2, 2, 1, 1, 1, 1)
    windows = ((3, 3, 3), (6, 10, 3))
    reference_taps = (
        *((0, 0), (0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)),
        *((0, -2), (0, 2), (-2, 0), (2, 0)),
    )
    n_near = 5
    reference_errors = ((0, 0), (0, 1), (1, 0))
    skew = 4
    n_described = 4
    previous = ((0, -1), (-1, 0))

    @staticmethod
    def alternatives(at):
        w, n, nw, ne = at(0, -1), at(-1, 0), at(-1, -1), at(-1, 1)
        median = min(max(w + n - nw, min(w, n)), max(w, n))
        plane = [median, w + n - nw, w + ne - n, n + ne - at(-2, 1)]
        return [*plane, w, n, 2 * w - at(0, -2), 2 * n - at(-2, 0)]


class Track:
    """What geometry *track* puts there."""

    base = ((0, -1), (0, -1))
    taps = tuple((0, -i) for i in range(2, 34))
    errors = tuple((0, -i) for i in range(1, 9))
    error_weights = (2, 2, 1, 1, 1, 1, 0, 0)
    windows = ((0, 16, -1), (0, 64, -1), (0, 128, -1))
    reference_taps = ((0, 0), (0, -1), (0, 1))
    n_near = 3
    reference_errors = ((0, 0), (0, 1), (0, 2))
    skew = 0
    n_described = 3
    previous = ((0, -1), (0, -2))

    @staticmethod
    def alternatives(at):
        w, ww, www = at(0, -1), at(0, -2), at(0, -3)
        return [w, 2 * w - ww, 3 * w - 3 * ww + www]


def clamp(value, low, high):
    return min(max(value, low), high)


def sat(value):
    return clamp(value, -127, 127)


def log(value):
    high = value.bit_length() - 1
    return 32 * high + LOG[(64 * value >> high) - 64]


def ratio(value, unit):
    e = unit.bit_length() - 1
    r = RECIPROCAL[(64 * unit >> e) - 64]
    d = max(e - 12, 0)
    s = 10 + e - d
    value = clamp(value, -8 * unit, 8 * unit)
    return sat(((value >> d) * r + (1 << (s - 1))) >> s)


class Filter:
    """The adaptive filter of one lane (6.4)."""

    def __init__(self, sigma):
        self.weights, self.inputs = [0] * 16, [0] * 16
        self.foretold, self.energy, self.miss, self.share = 0, 1, sigma, 0

    def step(self, errors, energy):
        missed = errors[0] - self.foretold
        bend = clamp(ratio(missed, self.energy), -32, 32)
        pairs = list(zip(self.weights, self.inputs, strict=True))
        self.weights = [clamp(w + bend * u, -(1 << 18), 1 << 18) for w, u in pairs]
        self.miss += (abs(missed) - self.miss) >> 4
        self.inputs = [ratio(e, energy) for e in errors]
        total = sum(w * u for w, u in zip(self.weights, self.inputs, strict=True))
        self.share = clamp(total >> 11, -4096, 4096)
        self.foretold = (energy >> 10) * self.share + (((energy & 1023) * self.share) >> 10)
        self.energy = energy


class Piece:
    """One piece: lanes of samples, errors and energies, and what the header says of it."""

    def __init__(self, geometry, lengths, reconstruction):
        self.geometry = geometry
        self.lengths = lengths  # of each lane
        self.samples, self.errors, self.energies = ([[0] * n for n in lengths] for _ in range(3))
        self.reconstruction = reconstruction  # lanes of integers, or None
        self.references = []
        self.own = False
        self.rows_per_set = len(lengths)
        self.expert = 7
        self.filters = [None] * len(lengths)
        self.sets = []  # (shift, sigma, weights)

    def seen(self, grid, row, column, start):
        """Return a function of the offset that looks at `grid` by the margins of 6.2."""
        width = self.lengths[0]

        def plane(dr, dc):
            if row == 0 and dr < 0:
                dr, dc = 0, -1
            r = row + dr if row + dr > 0 else 0
            c = column + dc if column + dc < width else width - 1
            if c < 0:
                if r == 0:
                    return start
                r, c = r - 1, 0
            return grid[r][c]

        def track(_, dc):
            return grid[row][max(column + dc, 0)]

        return track if self.geometry is Track else plane

    def nearest(self, grid, row, column):
        """Return a function of the offset that looks at the whole `grid`, ending at its borders."""

        def plane(dr, dc):
            r = clamp(row + dr, 0, len(grid) - 1)
            return grid[r][clamp(column + dc, 0, len(grid[0]) - 1)]

        def track(_, dc):
            length = self.lengths[0]
            at = clamp(row * length + column + dc, 0, sum(self.lengths) - 1)
            return grid[at // length][at % length]

        return track if self.geometry is Track else plane

    def set_of(self, row):
        """Return (shift, sigma, weights) of a lane."""
        return self.sets[row // self.rows_per_set if self.own else 0]
