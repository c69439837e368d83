"""Measure: what a codec makes of an array, whether it kept its promise, and how fast it was."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import RivalError
from ..missing.missing import missing_in
from ..transfer.compare import difference
from .rival import Array, Rival, stored_nbytes


@dataclass(frozen=True)
class Outcome:
    """One codec on one array.

    Attributes
    ----------
    nbytes : size of what it made.
    encode_seconds, decode_seconds : wall time, once.
    error : largest difference of any sample in units of the bound, 0 if all bits agree and
        infinite where there is no bound or a missing value is lost.
    slack : what rounding alone may add to `error`: the spacing of the largest value's float, in
        units of the bound.
    """

    nbytes: int
    encode_seconds: float
    decode_seconds: float
    error: float
    slack: float = 0.0

    def kept(self, rounded: bool = False) -> bool:
        """Whether every sample came back as promised; `rounded` forgives `slack`."""
        return self.error <= 1 + (self.slack if rounded else 0)


def here(
    rival: Rival, array: Array, axes: str, max_error: float | None, fill_value: Any
) -> Outcome:
    """The same in this process; what a crash of the rival ends."""
    try:
        return timed(
            lambda: rival.encode(array, axes, max_error, fill_value),
            rival.decode,
            stored_nbytes,
            array,
            max_error,
            fill_value,
        )
    except Exception as error:  # a dozen libraries raise many kinds
        raise RivalError(f"{rival.label} failed: {type(error).__name__}: {error}") from error


def timed(
    encode: Callable[[], bytes],
    decode: Callable[[bytes], Array],
    size: Callable[[bytes], int],
    array: Array,
    max_error: float | None,
    fill_value: Any,
) -> Outcome:
    """Time both directions of any codec and compare what comes back."""
    start = time.perf_counter()
    encoded = encode()
    middle = time.perf_counter()
    decoded = decode(encoded)
    end = time.perf_counter()
    error = largest_error(array, decoded, max_error, fill_value)
    slack = 0.0
    if max_error is not None and array.dtype.kind == "f":
        largest = np.abs(array[covered(array, fill_value)]).max(initial=0)
        slack = float(np.spacing(largest)) / max_error
    return Outcome(size(encoded), middle - start, end - middle, error, slack)


def largest_error(array: Array, decoded: Array, max_error: float | None, fill_value: Any) -> float:
    """Largest difference in units of `max_error`; without one, 0 for equal bits, else infinity.

    Examples
    --------
    >>> largest_error(np.array([1.0, 5.0]), np.array([1.0, 5.25]), 0.5, None)
    0.5
    """
    if array.shape != decoded.shape or array.dtype != decoded.dtype:
        return float("inf")
    found = difference(array, decoded, max_error, fill_value)
    if max_error is None:
        return float("inf") if found.n_different else 0.0
    return found.worst / max_error


def value_range(array: Array, fill_value: Any) -> float:
    """Largest minus smallest value, without NaN, infinities and the fill value; 0 if none is left.

    Examples
    --------
    >>> value_range(np.array([1.0, np.nan, 4.0]), None)
    3.0
    """
    valid = array[covered(array, fill_value)]
    return float(valid.max()) - float(valid.min()) if valid.size else 0.0


def covered(array: Array, fill_value: Any) -> npt.NDArray[np.bool_]:
    """Which samples a bound covers: not NaN, infinities and what is missing."""
    return ~missing_in(array, fill_value)
