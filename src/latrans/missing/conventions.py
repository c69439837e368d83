"""Conventions: what attributes of arrays say about missing values (CF, NUG, xarray, Zarr).

``_FillValue``, ``missing_value``, ``valid_min``, ``valid_max`` and ``valid_range`` are in units of
what is stored, as CF has it; limits that are floats beside packed integers are in those of what is
read, as the NetCDF Users Guide has it.  With ``_Unsigned`` integers are read with another sign than
they are stored with.  xarray writes a ``_FillValue`` of floats as base64 into Zarr format 3.

Zarr's own fill value counts where somebody chose it: where it is not 0, or where xarray will take
it for a mark, which it does in format 2.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from .missing import Missing, Number

DIMENSIONS = "_ARRAY_DIMENSIONS"  # where xarray keeps names of dimensions in format 2
FILL = "_FillValue"
_MARKS = (FILL, "missing_value")

Limits = tuple[Number, Number]


def declared(array: Any) -> Missing | None:
    """What an array says is missing; None for nothing.

    Parameters
    ----------
    array : zarr.Array, or anything with `dtype` and perhaps `attrs`, `fill_value` and `metadata`
        What is not a Zarr array has a fill value only because somebody gave it one.
    """
    attributes = getattr(array, "attrs", {})
    fill_value = getattr(array, "fill_value", None)
    metadata = getattr(array, "metadata", None)
    zarr_format = getattr(metadata, "zarr_format", None)
    chosen = not hasattr(array, "store_path") or (zarr_format == 2 and DIMENSIONS in attributes)
    return declared_by(attributes, np.dtype(array.dtype), fill_value, chosen)


def declared_by(
    attributes: Mapping[str, Any], dtype: Any, fill_value: Any = None, chosen: bool = True
) -> Missing | None:
    """What attributes and a fill value say is missing.

    Parameters
    ----------
    attributes : mapping
    dtype : dtype of what is stored
    fill_value : scalar, optional
    chosen : bool
        Whether a fill value of 0 was somebody's choice, not a default.

    Examples
    --------
    >>> declared_by({"_FillValue": 255, "valid_range": [0, 200]}, "u1")
    Missing(values=(255,), ranges=((0, 200),))
    >>> declared_by({"_Unsigned": "true", "_FillValue": 255}, "i1")
    Missing(values=(-1,), ranges=((-128, -1), (0, 127)))
    """
    dtype = np.dtype(dtype)
    if dtype.kind not in "iuf":
        return None
    values: list[Number] = []
    for name in _MARKS:
        values += numbers_in(attributes.get(name))
    values += [value for value in numbers_in(fill_value) if chosen or value]
    read = dtype_as_read(attributes, dtype)
    if read != dtype:
        values = [_wrapped(value, dtype) for value in values]
    values = [value for value in values if math.isfinite(value)]
    limits = _limits(attributes, dtype)
    ranges: tuple[Limits, ...] = () if limits is None else (limits,)
    if read != dtype:
        ranges = _wrapped_ranges(limits, dtype, read)
    missing = Missing(tuple(dict.fromkeys(values)), ranges)
    return missing if missing != Missing() else None


def dtype_as_read(attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype that readers see stored integers as: with ``_Unsigned`` that of the other sign."""
    told = str(attributes.get("_Unsigned", "")).lower()
    if dtype.kind == "i" and told == "true":
        return np.dtype(f"{dtype.byteorder}u{dtype.itemsize}")
    if dtype.kind == "u" and told == "false":
        return np.dtype(f"{dtype.byteorder}i{dtype.itemsize}")
    return dtype


def numbers_in(value: Any) -> list[Number]:
    """All numbers that an attribute holds, however they were written."""
    if isinstance(value, str | bytes):
        text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
        number = _number_in(text)
        return [] if number is None else [number]
    if isinstance(value, list | tuple | np.ndarray):
        return [number for part in value for number in numbers_in(part)]
    if isinstance(value, bool | np.bool_):
        return []
    if isinstance(value, int | np.integer):
        return [int(value)]
    return [float(value)] if isinstance(value, float | np.floating) else []


def _number_in(text: str) -> Number | None:
    """A number in text: as xarray writes floats into format 3, or in digits."""
    if len(text) == 12 and text.endswith("="):
        try:
            return float(struct.unpack("<d", base64.b64decode(text, validate=True))[0])
        except (binascii.Error, struct.error, ValueError):
            return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def _limits(attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> Limits | None:
    """The one range of valid values, in units of what is stored; None where nothing makes sense."""
    given = numbers_in(attributes.get("valid_range"))
    if len(given) != 2:
        low, high = (numbers_in(attributes.get(name)) for name in ("valid_min", "valid_max"))
        if not low and not high:
            return None
        given = [low[0] if low else -math.inf, high[0] if high else math.inf]
    if dtype.kind in "iu" and any(isinstance(v, float) and math.isfinite(v) for v in given):
        given = _packed(given, attributes)
    if any(math.isnan(value) for value in given) or given[0] > given[1]:
        return None
    return given[0], given[1]


def _packed(given: list[Number], attributes: Mapping[str, Any]) -> list[Number]:
    """Limits of what is read as limits of the integers that are stored."""
    scale, offset = (
        numbers_in(attributes.get("scale_factor")),
        numbers_in(attributes.get("add_offset")),
    )
    if not scale and not offset:
        return given
    factor, start = (scale or [1])[0], (offset or [0])[0]
    if not factor or not math.isfinite(factor):
        return given
    found = sorted((value - start) / factor for value in given)
    # What rounds to a whole number is one.
    near = [round(v) if math.isfinite(v) and abs(v - round(v)) < 1e-3 else v for v in found]
    return list(near)


def _wrapped(value: Number, dtype: np.dtype[Any]) -> Number:
    """A number as integers of the dtype store it, modulo their size."""
    if not math.isfinite(value) or value != int(value):
        return value
    info = np.iinfo(dtype)
    size = int(info.max) - int(info.min) + 1
    return (int(value) - int(info.min)) % size + int(info.min)


def _wrapped_ranges(
    limits: Limits | None, dtype: np.dtype[Any], read: np.dtype[Any]
) -> tuple[Limits, ...]:
    """Ranges of stored integers that are read in order; there is a leap between them."""
    info = np.iinfo(read)
    low, high = int(info.min), int(info.max)
    if limits is not None:
        # Limits may be as they are stored or as they are read.
        ends = [_wrapped(value, read) for value in limits]
        if ends[0] <= ends[1]:
            low = math.ceil(ends[0]) if math.isfinite(ends[0]) else low
            high = math.floor(ends[1]) if math.isfinite(ends[1]) else high
    middle = 0 if read.kind == "i" else (int(info.max) + 1) // 2  # where what is stored leaps
    parts = [(low, min(high, middle - 1)), (max(low, middle), high)]
    stored = [(_wrapped(a, dtype), _wrapped(b, dtype)) for a, b in parts if a <= b]
    return tuple(sorted(stored))
