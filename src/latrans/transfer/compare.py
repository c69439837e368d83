"""Compare: how far a decoded array is from the one that was encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..format.dtypes import contiguous
from ..missing.missing import Missing


@dataclass(frozen=True)
class Difference:
    """How two arrays differ.

    Attributes
    ----------
    n_different : int
        Samples whose bits differ.
    n_outside : int
        Samples further apart than the bound; NaN, infinities and missing values must be equal.
        Without a bound, samples that became missing or ceased to be.
    worst : float
        Largest absolute difference, of complex samples its modulus; infinite where one side is
        not finite and the other is.
    position : tuple of int or None
        Where the worst is.
    """

    n_different: int = 0
    n_outside: int = 0
    worst: float = 0.0
    position: tuple[int, ...] | None = None

    @property
    def by(self) -> str:
        """By how much, in words."""
        if self.n_different and not self.worst:
            return "in the bits of NaN, or in the sign of a zero"
        return f"by up to {self.worst:g}"

    def joined(self, other: Difference, block: tuple[slice, ...] | None = None) -> Difference:
        """This and what was found in `block`, or in another part of the same array."""
        worst, position = self.worst, self.position
        if other.position is not None and (position is None or other.worst > worst):
            worst = other.worst
            position = other.position
            if block is not None:
                position = tuple(s.start + i for s, i in zip(block, position, strict=True))
        return Difference(
            self.n_different + other.n_different,
            self.n_outside + other.n_outside,
            worst,
            position,
        )


def difference(
    original: np.ndarray[Any, Any],
    decoded: np.ndarray[Any, Any],
    max_error: float | None = None,
    fill_value: Any = None,
) -> Difference:
    """Compare two arrays of one shape and dtype, byte order and padding of records aside.

    Parameters
    ----------
    original, decoded : arrays
    max_error : float, optional
    fill_value : Missing, number or numbers, optional
        What must not be moved, nor be what others come back as.
    """
    dtype = original.dtype.newbyteorder("=")
    a = contiguous(original.astype(dtype, copy=False), "C").reshape(-1)
    b = contiguous(decoded.astype(dtype, copy=False), "C").reshape(-1)
    bits = a.view(f"V{dtype.itemsize}") != b.view(f"V{dtype.itemsize}")
    where = np.flatnonzero(bits)
    if not where.size:
        return Difference()
    error = _absolute(a[where], b[where])
    missing, n_moved = Missing.of(fill_value), 0
    if missing is not None and dtype.kind in "iuf":
        moved = missing.moved(a[where], b[where]) & (error > 0)
        error[moved] = np.inf
        n_moved = int(moved.sum())
    worst = int(np.argmax(error))
    return Difference(
        n_different=int(where.size),
        n_outside=n_moved if max_error is None else int((error > max_error).sum()),
        worst=float(error[worst]),
        position=tuple(int(i) for i in np.unravel_index(where[worst], original.shape)),
    )


def _absolute(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Absolute differences as float64, exact for integers up to 2**53."""
    if a.dtype.kind in "iumM":
        # Unsigned subtraction of the larger less the smaller cannot overflow.
        unsigned = np.dtype(f"u{a.dtype.itemsize}")
        signed = a.dtype if a.dtype.kind in "iu" else np.dtype("i8")
        a, b = a.view(signed), b.view(signed)
        high, low = np.maximum(a, b).view(unsigned), np.minimum(a, b).view(unsigned)
        return (high - low).astype(np.float64)
    if a.dtype.kind == "c":  # by parts, since an infinite one would spoil the other
        return np.asarray(np.hypot(_absolute(a.real, b.real), _absolute(a.imag, b.imag)))
    if a.dtype.kind == "f":
        wide = np.result_type(a.dtype, np.float64)
        a, b = a.astype(wide), b.astype(wide)
        with np.errstate(invalid="ignore"):
            error = np.abs(a - b).astype(np.float64)
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        return np.asarray(np.where(same, 0.0, np.where(np.isnan(error), np.inf, error)))
    return np.full(a.shape, np.inf)
