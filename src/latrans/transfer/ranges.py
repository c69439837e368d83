"""Ranges: what valid values of a source lie between, and bounds that are larger than that."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..chunking import default_chunks
from ..conventions import dtype_as_read
from ..errors import ConfigError
from ..missing import Missing, missing_in
from .blocks import block_grid


def range_of(source: Any, missing: Missing | None = None, axes: str | None = None) -> float:
    """Largest minus smallest valid value, by one pass over the data; 0 where there is none.

    Parameters
    ----------
    source : integers or floats
        Read block by block.  Integers count as they are read, see `latrans.conventions`.
    missing : Missing, optional
        What counts for nothing, as NaN and infinities do.
    axes : str, optional
        What blocks are cut by where the source has no chunks.
    """
    shape, dtype = tuple(source.shape), np.dtype(source.dtype)
    chunks = getattr(source, "chunks", None) or default_chunks(shape, axes)
    seen = dtype_as_read(getattr(source, "attrs", {}), dtype)
    low, high = math.inf, -math.inf
    for block in block_grid(shape, chunks, dtype.itemsize):
        part = np.asarray(source[block])
        valid = part[~missing_in(part, missing)].view(seen)
        if valid.size:
            low, high = min(low, _plain(valid.min())), max(high, _plain(valid.max()))
    return float(high - low) if high > low else 0.0


def refuse_large(max_error: float | None, known: float | None, called: str) -> None:
    """Raise a `ConfigError` for a bound that leaves nothing of values of a known range."""
    if max_error is not None and known and max_error > known:
        raise ConfigError(
            f"max_error {max_error:g} is larger than the range {known:g} of the valid values of "
            f"{called}, which would all become one: give a smaller one, in units of the values "
            "as they are stored"
        )


def known_range(source: Any, missing: Missing | None) -> float | None:
    """The range of valid values, where it is known without reading what is stored."""
    dtype = np.dtype(source.dtype)
    if dtype.kind not in "iuf":
        return None
    if isinstance(source, np.ndarray):
        return range_of(source, missing)
    known = math.inf
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        known = float(int(info.max) - int(info.min))
    if missing is not None and len(missing.ranges) == 1:
        (limits,) = missing.ranges
        known = min(known, float(limits[1] - limits[0]))
    return known if math.isfinite(known) else None


def _plain(value: Any) -> int | float:
    return int(value) if isinstance(value, np.integer) else float(value)
