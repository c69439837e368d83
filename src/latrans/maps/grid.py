"""Grids: floats that an archive packed as offset + step * integer (FORMAT.md 5.1).

GRIB, PP and netCDF keep fields as integers with a step and an offset per plane.  The smallest gap
between distinct values betrays the step; an offset (and a step that is no power of two) that rounds
to every value is then found as the middle of what the values allow.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CodecError
from ..format.varint import Reader, pack_varint
from . import integer_lists
from .two_layer import ordered, unordered

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

_LIMIT = 1 << 30
_MIN_GAPS = 8  # fewer distinct values are a matter for palettes
_FINEST = 3.0  # of the largest value's spacing; finer steps are the floats' own
_ROUNDS = 40
_WORST = 4.0  # times half a spacing: floats packed in single precision miss by so much
_FARTHEST = 2.0**62
_LARGEST = 1e300  # of values; sums of larger ones may overflow


@dataclass(frozen=True)
class Grid:
    """Values offset + step * q, the product and the sum in float64, then rounded to the dtype."""

    step: float
    offset: float
    misses: bytes = b"\0"  # how many floats further some values lie

    @property
    def pointwise(self) -> bool:
        return self.misses == b"\0"

    @classmethod
    def of(cls, values: Array) -> Grid | None:
        """The grid of finite values, if there seems to be one."""
        ordered_values = np.sort(values, axis=None)
        distinct = ordered_values[np.diff(ordered_values, prepend=np.nan) != 0].astype(np.float64)
        if distinct.size <= _MIN_GAPS:
            return None
        if float(np.abs(distinct[[0, -1]]).max()) > _LARGEST:
            return None
        spacing = 2 * float(_half_spacing(distinct[[0, -1]], values.dtype).max())
        gaps = np.diff(distinct)
        smallest = float(gaps.min())
        if smallest < _FINEST * spacing or distinct[-1] - distinct[0] >= _LIMIT * smallest:
            return None
        # Half the spacing of either neighbour is what a gap may be off by.
        near = gaps[gaps < 1.5 * smallest + spacing]
        power = 2.0 ** round(math.log2(float(np.median(near))))
        for step in (power, power / 2):
            found = cls._with_step(distinct, values.dtype, step)
            if found is not None:
                return found
        return cls._fitted(distinct, gaps, float(near.mean()), values.dtype)

    @classmethod
    def _with_step(cls, distinct: Doubles, dtype: np.dtype[Any], step: float) -> Grid | None:
        q = np.rint((distinct - distinct[0]) / step)
        shift = math.floor(distinct[0] / step)
        rest = distinct - (q + shift) * step
        half = _half_spacing(distinct, dtype)
        low, high = float((rest - half).max()), float((rest + half).min())
        if low > high:
            return None
        return cls(step, 0.0 if low <= 0 <= high else (low + high) / 2)

    @classmethod
    def _fitted(
        cls, distinct: Doubles, gaps: Doubles, step: float, dtype: np.dtype[Any]
    ) -> Grid | None:
        """A step of any size: gaps as multiples of it, then the line that misses least."""
        for most in (8, 256, _LIMIT):  # a step that is not yet sharp cannot count wide gaps
            some = gaps < most * step
            multiples = np.rint(gaps[some] / step)
            if np.abs(gaps[some] - multiples * step).max() > step / 3:
                return None
            step = float((gaps[some] * multiples).sum() / (multiples * multiples).sum())
        for digits in (2, 4, 6):
            # Multiples of 0.1 are computed as often as they are printed.
            plain = cls(float(f"{step:.{digits}g}"), 0.0)
            if (plain._formula(np.rint(distinct / plain.step), dtype) == distinct).all():
                return plain
        q = np.concatenate([[0.0], np.cumsum(multiples)])
        half = _half_spacing(distinct, dtype)
        # Where the packing was undone in single precision, all are off like the largest.
        for tolerance in (half, np.full_like(half, half.max())):
            line = _least_miss(q, distinct, tolerance)
            if line is not None:
                shift = math.floor(line[0] / line[1])
                return cls(line[1], line[0] - shift * line[1])
        return None

    def forward(self, values: Array) -> tuple[Array, Grid] | None:
        """Integers, and the map that knows the misses; None where one is too large to store."""
        q = np.rint((values.astype(np.float64) - self.offset) / self.step)
        integers = np.clip(q, -_LIMIT, _LIMIT).astype(np.int64)
        formula, wanted = ordered(self._formula(integers, values.dtype)), ordered(values)
        far = np.abs(formula.astype(np.float64) - wanted.astype(np.float64)) >= _FARTHEST
        if far.any():
            return None
        return integers, Grid(self.step, self.offset, integer_lists.pack_sparse(wanted - formula))

    def invert(self, integers: Array, dtype: np.dtype[Any]) -> Array:
        values = self._formula(integers, dtype)
        positions, misses = integer_lists.unpack_sparse(Reader(self.misses), integers.size)
        if positions.size:
            flat = values.reshape(-1)
            places = ordered(flat[positions]) + misses
            flat[positions] = unordered(places, flat.dtype)
        return values

    def approximate(self, integers: Array) -> tuple[Array, Grid]:
        return integers, Grid(self.step, self.offset)

    def _formula(self, integers: Ints, dtype: np.dtype[Any]) -> Array:
        values = integers.astype(np.float64) * self.step
        values += self.offset
        with np.errstate(over="ignore"):
            rounded: Array = values.astype(dtype)
        rounded += 0  # no negative zeros
        return rounded

    def write(self) -> bytes:
        head = struct.pack("<dd", self.step, self.offset)
        return head + pack_varint(len(self.misses)) + self.misses

    @classmethod
    def read(cls, reader: Reader) -> Grid:
        step, offset = struct.unpack("<dd", reader.take(16))
        if not 0 < step < float("inf") or not math.isfinite(offset):
            raise CodecError(f"frame is damaged: grid of step {step} and offset {offset}")
        return cls(step, offset, bytes(reader.take(reader.varint())))


def _half_spacing(values: Doubles, dtype: np.dtype[Any]) -> Doubles:
    """How far from each value the numbers lie that round to it; never 0."""
    with np.errstate(over="ignore"):
        spacing = np.spacing(np.abs(values).astype(dtype)).astype(np.float64)
    return np.maximum(spacing / 2, np.finfo(np.float64).tiny)


def _least_miss(x: Doubles, y: Doubles, tolerance: Doubles) -> tuple[float, float] | None:
    """The line a + b x with the smallest of largest |y - a - b x| / tolerance.

    Exchange of three points with misses of alternating sign, after E. Remez (1934).  None where
    the smallest is above `_WORST`.
    """
    centre = y[0]
    y = y - centre
    chosen = [0, len(x) // 2, len(x) - 1]
    for _ in range(_ROUNDS):
        signs = np.array([1.0, -1.0, 1.0])
        matrix = np.stack([np.ones(3), x[chosen], signs * tolerance[chosen]], 1)
        try:
            a, b, level = np.linalg.solve(matrix, y[chosen])
        except np.linalg.LinAlgError:
            return None
        miss = (y - a - b * x) / tolerance
        worst = int(np.abs(miss).argmax())
        if abs(level) > _WORST:
            return None
        if abs(miss[worst]) <= abs(level) * (1 + 1e-9) or worst in chosen:
            break
        chosen = _exchanged(chosen, worst, miss)
    return float(a + centre), float(b)


def _exchanged(chosen: list[int], worst: int, miss: Doubles) -> list[int]:
    """Three points with the worst among them, signs still alternating."""
    sign = miss[worst] > 0
    first, middle, last = chosen
    if worst < first:
        return [worst, middle, last] if (miss[first] > 0) == sign else [worst, first, middle]
    if worst > last:
        return [first, middle, worst] if (miss[last] > 0) == sign else [middle, last, worst]
    left, right = (first, middle) if worst < middle else (middle, last)
    replaced = left if (miss[left] > 0) == sign else right
    return sorted({*chosen} - {replaced} | {worst})
