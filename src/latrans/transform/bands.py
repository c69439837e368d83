"""Bands: which there are, in what order they are coded, and how coarsely (FORMAT.md 11.3)."""

from __future__ import annotations

from dataclasses import dataclass

from .lifting import sizes

FRACTION_BITS = 10  # coefficients and steps count in 1/1024 of the data's unit
MAX_LEVELS = 8
_SMALLEST = 16  # planes are split until no side is longer

LOW, HORIZONTAL, VERTICAL, DIAGONAL = range(4)

# round(2**14 / norm of the synthesis), per level: of the low band, of a band that is high along
# one axis, of the diagonal one.  One step of the data's noise is thus one step of every band.
STEPS = (
    (12612, 16201, 20811),
    (9102, 12417, 16939),
    (6746, 8969, 11925),
    (5074, 6654, 8725),
    (3833, 5006, 6537),
    (2899, 3782, 4933),
    (2194, 2861, 3730),
    (1660, 2164, 2822),
)


@dataclass(frozen=True)
class Subband:
    """One band of a plane: its level (1 is the finest), its kind, its size."""

    level: int
    kind: int
    rows: int
    columns: int

    def step(self, step: int) -> int:
        """The band's quantisation step for the plane's, both in 1/1024 of the data's unit."""
        if self.level == 0:
            return step
        weight = STEPS[self.level - 1][(self.kind + 1) // 2]
        return max(1, (step * weight) >> 14)


def n_levels(rows: int, columns: int) -> int:
    """How often a plane is split."""
    levels, longest = 0, max(rows, columns)
    while longest > _SMALLEST and levels < MAX_LEVELS:
        longest, levels = (longest + 1) // 2, levels + 1
    return levels


def bands(rows: int, columns: int) -> list[Subband]:
    """All bands of a plane in coding order: the low one, then level by level, coarse to fine."""
    levels = n_levels(rows, columns)
    tall, wide = sizes(rows, levels), sizes(columns, levels)
    out = [Subband(levels, LOW, tall[-1], wide[-1])]
    for level in range(levels, 0, -1):
        above, left = tall[level - 1] - tall[level], wide[level - 1] - wide[level]
        out.append(Subband(level, HORIZONTAL, tall[level], left))
        out.append(Subband(level, VERTICAL, above, wide[level]))
        out.append(Subband(level, DIAGONAL, above, left))
    return out
