"""Decimals and common divisors: values (g q + o + r) / 10**k with r mostly 0 (FORMAT.md 5.1).

Tables print numbers with a few decimals, instruments count in steps of 5 or 64, and a column of
round numbers may hold one in ten that a conversion of units or a mean has left between them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CodecError
from ..format.varint import Reader, pack_varint
from . import integer_lists

try:
    from .. import _native
except ImportError:  # the reference engine runs without
    _native = None

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

MAX_DECIMALS = 22  # 10**22 is the last power of ten that float64 holds exactly
_TRIED_DECIMALS = 10
_EXACT = 1 << 53
_LIMIT = 1 << 62  # of parameters in a frame
_WIDEST = 1 << 60  # of what is encoded, so that no sum of parts leaves 64 bits
_SAMPLES = 1 << 14
_COUNTED = 1 << 12  # counting a narrower range beats sorting
_MOST_DISTINCT = 1 << 12
_REFERENCES, _PAIRED = 2, 8  # of the most frequent values
_MOST_RESTS = 0.25  # of the samples
_MATCH = 0.97  # of the samples, for decimals to be worth a look
_LEFT_OUT = 0.003  # exceptions are dear, but so are decimals that few samples need


def scaled(values: Array, decimals: int) -> Ints:
    """Finite values times 10**decimals, rounded; integers as they are."""
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    return np.rint(values.astype(np.float64) * 10.0**decimals).astype(np.int64)


def unscaled(integers: Ints, decimals: int, dtype: np.dtype[Any]) -> Array:
    """Inverse of `scaled`: one division in float64, then rounded to the dtype."""
    if dtype.kind in "iu":
        return integers
    with np.errstate(over="ignore"):
        return (integers.astype(np.float64) / 10.0**decimals).astype(dtype)


def decimals_of(values: Array) -> list[int]:
    """How many decimals finite floats may have: the fewest that suit most, then that suit all."""
    sample = values.reshape(-1)
    largest = max(float(sample.max()), -float(sample.min()))
    sample = sample[:: -(-sample.size // _SAMPLES)]
    with np.errstate(over="ignore"):
        spacing = float(np.spacing(np.array(largest, values.dtype)))
    shares: list[float] = []
    while len(shares) < _TRIED_DECIMALS and max(shares, default=0.0) < 1:
        k = len(shares)
        if largest * 10.0**k >= _EXACT or 10.0**-k < spacing:
            break
        shares.append(float((unscaled(scaled(sample, k), k, values.dtype) == sample).mean()))
    best = max(shares, default=0.0)
    if best < _MATCH:
        return []
    coarse = next(k for k, share in enumerate(shares) if share >= _MATCH)
    fine = next(k for k, share in enumerate(shares) if share >= best - _LEFT_OUT)
    return sorted({coarse, fine})


@dataclass(frozen=True)
class Divided:
    """Decimals (none, for integers) divided by what most of them share; the rest is kept apart."""

    decimals: int
    divisor: int
    offset: int
    rests: bytes = b"\0"

    @property
    def pointwise(self) -> bool:
        return self.rests == b"\0"

    @classmethod
    def of(cls, values: Array, decimals: int) -> Iterator[Divided]:
        """With the divisor that promises most, and with none."""
        lo, hi = scaled(np.array([values.min(), values.max()]), decimals).tolist()
        if max(-lo, hi, hi - lo) >= _WIDEST:
            return
        flat = values.reshape(-1)
        divisor, offset = _divisor(scaled(flat[:: -(-flat.size // _SAMPLES)], decimals))
        for g, start in ((divisor, offset), (1, 0))[: 1 + (divisor > 1)]:
            if hi - lo >= g << 30:
                continue
            if max(-lo, hi) >= g << 30:
                start += (lo - start) // g * g
            yield cls(decimals, g, start)

    def forward(self, values: Array) -> tuple[Array, Divided] | None:
        g = self.divisor
        integers = scaled(values, self.decimals) - self.offset
        q = (integers + g // 2) // g
        rests = integer_lists.pack_sparse(integers - q * g)
        return q, Divided(self.decimals, g, self.offset, rests)

    def invert(self, integers: Array, dtype: np.dtype[Any]) -> Array:
        positions, rests = integer_lists.unpack_sparse(Reader(self.rests), integers.size)
        farthest = int(np.abs(integers).max(initial=0)) * self.divisor + abs(self.offset)
        if farthest + int(np.abs(rests).max(initial=0)) >= 1 << 63:
            raise CodecError("frame is damaged: decimals of a value are out of range")
        values = integers.astype(np.int64) * self.divisor + self.offset
        values.reshape(-1)[positions] += rests
        return unscaled(values, self.decimals, dtype)

    def approximate(self, integers: Array) -> tuple[Array, Divided]:
        return integers, Divided(self.decimals, self.divisor, self.offset)

    def write(self) -> bytes:
        head = bytes((self.decimals,)) + pack_varint(self.divisor) + struct.pack("<q", self.offset)
        return head + pack_varint(len(self.rests)) + self.rests

    @classmethod
    def read(cls, reader: Reader) -> Divided:
        decimals, divisor = reader.byte(), reader.varint()
        offset = struct.unpack("<q", reader.take(8))[0]
        if decimals > MAX_DECIMALS or not 0 < divisor < _LIMIT or abs(offset) >= _LIMIT:
            raise CodecError("frame is damaged: decimals of a value map are out of range")
        return cls(decimals, divisor, offset, bytes(reader.take(reader.varint())))


def _divisor(sample: Ints) -> tuple[int, int]:
    """The divisor (and offset below it) that saves most bits.

    Candidates are what all values share, and what pairs of the most frequent ones do: one of these
    is right even where the most frequent value of all is an outsider.
    """
    distinct, counts = _counted(sample)
    if not _may_share(distinct, counts, sample.size):
        return 1, 0
    order = np.argsort(-counts, kind="stable")[:_MOST_DISTINCT]
    most = _MOST_RESTS * sample.size
    frequent = distinct[order]
    best, saved = (1, 0), 0.0
    for first in frequent[:_REFERENCES].tolist():
        steps = np.abs(frequent - first)
        near = steps[:_PAIRED]
        pairs = np.gcd(near[:, None], near).reshape(-1)
        # Nearly always none of them is worth a closer look.
        shared = np.array(sorted({*pairs.tolist(), int(np.gcd.reduce(steps))} - {0, 1}), np.int64)
        distances = distinct - first
        missed = (distances % shared[:, None] != 0) @ counts
        for g in shared[missed <= most].tolist():
            bits = _saved(distances, counts, g)
            if bits > saved:
                best, saved = (g, first % g), bits
    return best


def _may_share(distinct: Ints, counts: Ints, n: int) -> bool:
    """Whether any divisor is worth a closer look; True where compiled code does not say."""
    if _native is None:
        return True
    most = int(_MOST_RESTS * n)
    found: bool = _native.field_may_share_divisor(
        distinct, counts, _MOST_DISTINCT, _REFERENCES, _PAIRED, most
    )
    return found


def _counted(sample: Ints) -> tuple[Ints, Ints]:
    """Distinct values in order, and how often each occurs."""
    lo = int(sample.min())
    if int(sample.max()) - lo > _COUNTED:
        return np.unique(sample, return_counts=True)
    counts = np.bincount(sample - lo)
    found = np.flatnonzero(counts)
    return found + lo, counts[found]


def _saved(distances: Ints, counts: Ints, g: int) -> float:
    """Bits per sample that division by g saves, less those of the rests; 0 where many have one."""
    n = int(counts.sum())
    rests = distances % g
    missed = float(counts[rests > 0].sum()) / n
    if missed > _MOST_RESTS:
        return 0.0
    saved = float(np.log2(g)) - _entropy(missed)
    if missed:
        kinds = len(np.unique(rests))
        saved -= missed * (np.log2(kinds) + 2) + 16 * kinds / n
    return saved


def _entropy(p: float) -> float:
    return 0.0 if p in (0.0, 1.0) else float(-p * np.log2(p) - (1 - p) * np.log2(1 - p))
