"""Ranges: what valid values lie between, and bounds that are larger than that."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from .conventions import dtype_as_read
from .missing import Missing, missing_in

Array = npt.NDArray[Any]

_SLAB_SAMPLES = 1 << 20  # of an array in memory, looked at at a time


def range_of(parts: Iterable[Array], missing: Missing | None, attributes: Any = None) -> float:
    """Largest minus smallest valid value; 0 where there is none.

    Parameters
    ----------
    parts : iterable of arrays of integers or floats
        All of one dtype.
    missing : Missing, optional
        What counts for nothing, as NaN and infinities do.
    attributes : mapping, optional
        Integers count as they are read, see `latrans.missing.conventions.dtype_as_read`.

    Examples
    --------
    >>> range_of([np.array([3, 255, 9], np.uint8)], Missing((255,)))
    6.0
    """
    low: int | float = math.inf
    high: int | float = -math.inf
    for part in parts:
        valid = part[~missing_in(part, missing)].view(dtype_as_read(attributes or {}, part.dtype))
        if valid.size:
            low, high = min(low, valid.min().item()), max(high, valid.max().item())
    return float(high - low) if high > low else 0.0


def known_range(source: Any, missing: Missing | None) -> float | None:
    """The range of valid values, where it is known without reading what is stored."""
    dtype = np.dtype(source.dtype)
    if dtype.kind not in "iuf":
        return None
    if isinstance(source, np.ndarray):
        slab = max(1, _SLAB_SAMPLES * len(source) // max(1, source.size)) if source.ndim else 1
        starts = range(0, len(source) if source.ndim else 0, slab)
        return range_of((source[i : i + slab] for i in starts), missing)
    known = math.inf
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        known = float(int(info.max) - int(info.min))
    if missing is not None and len(missing.ranges) == 1:
        (limits,) = missing.ranges
        known = min(known, float(limits[1] - limits[0]))
    return known if math.isfinite(known) else None


def refuse_large(max_error: float | None, known: float | None, called: str) -> None:
    """Raise a `ConfigError` for a bound above a range that is known, and not 0."""
    if max_error is not None and known and max_error > known:
        raise ConfigError(
            f"max_error {max_error:g} is larger than {known:g}, the range of the valid values of "
            f"{called}, so that nothing would be left of them: give a smaller one, in units of "
            "the values as they are stored"
        )
