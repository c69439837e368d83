"""Missing: which values of an array stand for "no value", and how a codec leaves them alone.

Such values come back bit for bit in every mode, count for nothing where a range is asked for, and
no other value comes back as one of them: a pixel that was there does not disappear, and one that
was not does not appear.  NaN and infinities need no mention, see `mask`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Number = int | float
FillValue = Number | Sequence[Number]
ValidRange = Sequence[Any]  # (lowest, highest), either may be None; or several such pairs


@dataclass(frozen=True)
class Missing:
    """Values that are missing, and ranges outside of which all are.

    Attributes
    ----------
    values : tuple of numbers
    ranges : tuple of (lowest, highest)
        Both included, in order.  Everything is valid where there is none.  What lies in one of
        them does not come back in another.

    Examples
    --------
    >>> import numpy as np
    >>> missing = Missing.of((255, 254), (0, 200))
    >>> missing.where(np.array([7, 255, 201, 200], np.uint8))
    array([False,  True,  True, False])
    """

    values: tuple[Number, ...] = ()
    ranges: tuple[tuple[Number, Number], ...] = ()

    @classmethod
    def of(cls, fill_value: Any, valid_range: Any = None) -> Missing | None:
        """What arguments of a codec say; None where nothing is missing.

        Parameters
        ----------
        fill_value : number, sequence of numbers, Missing or None
        valid_range : (lowest, highest), several such pairs, or None

        Raises
        ------
        ConfigError
            If they say nothing that makes sense.
        """
        if isinstance(fill_value, Missing):
            return fill_value
        values = as_values(fill_value)
        ranges = as_ranges(valid_range)
        return cls(values, ranges) if values or ranges else None

    def joined(self, other: Missing | None) -> Missing:
        """What is missing by either; ranges of the other count only where this has none."""
        if other is None:
            return self
        more = tuple(v for v in other.values if v not in self.values)
        return Missing(self.values + more, self.ranges or other.ranges)

    def where(self, array: Array) -> Bools:
        """Which values are missing; of no other dtype than integers and floats, any."""
        found = np.zeros(array.shape, bool)
        if array.dtype.kind not in "iuf":
            return found
        for value in self.values_as(array.dtype):
            found |= array == value
        if self.ranges:
            valid = np.zeros(array.shape, bool)
            for low, high in self._ranges_of(array.dtype):
                valid |= (array >= low) & (array <= high)
            found |= ~valid & ~_is_nan(array)
        return found

    def spares(self, low: float, high: float, dtype: np.dtype[Any]) -> bool:
        """Whether none of the values between two limits is missing, and all are of one range."""
        if any(low <= float(value) <= high for value in self.values_as(dtype)):
            return False
        ranges = self._ranges_of(dtype) if self.ranges else [(-math.inf, math.inf)]
        return any(float(a) <= low and high <= float(b) for a, b in ranges)

    def repaired(self, before: Array, after: Array) -> tuple[Bools, Array] | None:
        """Where valid values came back as missing ones, and what they may come back as instead.

        The replacement is valid, of the same range, and no further off.  None for nowhere.

        Parameters
        ----------
        before, after : arrays of one shape and dtype
            What was encoded, and what it would be decoded to.
        """
        valid = ~self.where(before) & ~_is_nan(before)
        low, high = self._around(before)
        wrong = valid & self.moved(before, after)
        if not wrong.any():
            return None
        was, now = before[wrong], after[wrong]
        if low.shape:
            now = np.clip(now, low[wrong], high[wrong])
        # One step from what is missing towards what was; what was itself where that is missing.
        stepped = np.where(self.where(now), _step(now, was), now)
        out = after.copy()
        out[wrong] = np.where(self.where(stepped), was, stepped)
        return wrong, out

    def moved(self, before: Array, after: Array) -> Bools:
        """Where values that differ went into what is missing, out of it, or into another range."""
        low, high = self._around(before)
        beyond = (after < low) | (after > high)
        return self.where(before) | self.where(after) | beyond

    def _around(self, array: Array) -> tuple[Array, Array]:
        """The limits of the range of each value."""
        dtype = array.dtype
        ranges = self._ranges_of(dtype)
        if not ranges:
            return (np.asarray(_lowest(dtype)), np.asarray(_highest(dtype)))
        low = np.full(array.shape, _lowest(dtype), dtype)
        high = np.full(array.shape, _highest(dtype), dtype)
        for a, b in ranges:
            inside = (array >= a) & (array <= b)
            low[inside], high[inside] = a, b
        return low, high

    def values_as(self, dtype: np.dtype[Any]) -> list[Any]:
        """The values as the dtype has them; those it cannot have are left out."""
        native = dtype.newbyteorder("=")
        if dtype.kind == "f":
            with np.errstate(over="ignore"):
                return [native.type(value) for value in self.values]
        info = np.iinfo(native)
        found = []
        for value in self.values:
            for limit in (info.min, info.max):
                if isinstance(value, float) and value == float(limit):
                    value = int(limit)  # floats do not have the largest integers of 64 bits
            if math.isfinite(value) and value == int(value) and info.min <= value <= info.max:
                found.append(native.type(int(value)))
        return found

    def _ranges_of(self, dtype: np.dtype[Any]) -> list[tuple[Any, Any]]:
        native = dtype.newbyteorder("=")
        if dtype.kind == "f":
            with np.errstate(over="ignore"):
                return [(native.type(low), native.type(high)) for low, high in self.ranges]
        info = np.iinfo(native)
        found = []
        for low, high in self.ranges:
            first = int(info.min) if low == -math.inf else max(math.ceil(low), int(info.min))
            last = int(info.max) if high == math.inf else min(math.floor(high), int(info.max))
            if first <= last:
                found.append((native.type(first), native.type(last)))
        return found


def missing_in(array: Array, fill_value: Any) -> Bools:
    """Which values of an array a bound does not cover: NaN, infinities and what is missing.

    Parameters
    ----------
    array : integers or floats
    fill_value : as `Missing.of` takes it
    """
    found: Bools = ~np.isfinite(array)
    missing = Missing.of(fill_value)
    return found if missing is None else found | missing.where(array)


def as_values(fill_value: Any) -> tuple[Number, ...]:
    """One number or several, as a tuple of Python's numbers without repetitions."""
    if fill_value is None:
        return ()
    several = isinstance(fill_value, Iterable) and not isinstance(fill_value, str | bytes)
    found: list[Number] = []
    for value in np.asarray(fill_value, object).reshape(-1) if several else [fill_value]:
        number = _number(value)
        if number is None:
            raise ConfigError(
                f"fill_value is {value!r}; expected a number, several numbers, or None"
            )
        if number not in found:
            found.append(number)
    return tuple(found)


def as_number(text: str) -> Number:
    """A number of a command line; whole ones stay exact."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def as_ranges(valid_range: Any) -> tuple[tuple[Number, Number], ...]:
    """One pair of limits or several, as pairs in order; None is no limit."""
    if valid_range is None:
        return ()
    try:
        several = list(valid_range)
        if several and not isinstance(several[0], Iterable):
            several = [several]
        pairs = [tuple(pair) for pair in several]
    except TypeError:
        pairs = []
    found = []
    for pair in pairs:
        if len(pair) == 2:
            low = -math.inf if pair[0] is None else _number(pair[0])
            high = math.inf if pair[1] is None else _number(pair[1])
            if low is not None and high is not None and low <= high:
                found.append((low, high))
    found.sort()
    apart = all(a[1] < b[0] for a, b in pairwise(found))
    if not found or len(found) < len(pairs) or not apart:
        raise ConfigError(
            f"valid_range is {valid_range!r}; expected (lowest, highest), either of them None for "
            "no limit, or several such pairs that do not overlap"
        )
    return tuple(found)


def _number(value: Any) -> Number | None:
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, int | np.integer):
        return int(value)
    return float(value) if isinstance(value, float | np.floating) else None


def _step(values: Array, towards: Array) -> Array:
    """The next value of the dtype on the way to another."""
    if values.dtype.kind == "f":
        stepped: Array = np.nextafter(values, towards)
        return stepped
    up, down = towards > values, towards < values
    one = values.dtype.type(1)
    return np.where(up, values + one, np.where(down, values - one, values))


def _lowest(dtype: np.dtype[Any]) -> Any:
    return dtype.type(-np.inf) if dtype.kind == "f" else np.iinfo(dtype).min


def _highest(dtype: np.dtype[Any]) -> Any:
    return dtype.type(np.inf) if dtype.kind == "f" else np.iinfo(dtype).max


def _is_nan(array: Array) -> Bools:
    return np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
