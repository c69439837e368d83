"""Numeric: plain Arrow columns of numbers to NumPy and back, bit for bit, nulls apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import ConfigError

Array = np.ndarray[Any, Any]
Types = pa.types


def number_dtype(kind: pa.DataType) -> np.dtype[Any]:
    """The NumPy type of the numbers behind a column: uint8 for booleans, ticks for times.

    Raises
    ------
    ConfigError
        If the column holds no numbers.
    """
    if Types.is_boolean(kind):
        return np.dtype(np.uint8)
    if Types.is_integer(kind) or Types.is_floating(kind):
        return np.dtype(kind.to_pandas_dtype())
    if Types.is_temporal(kind) and not Types.is_interval(kind):
        return np.dtype(np.int32 if kind.bit_width == 32 else np.int64)
    raise ConfigError(
        f"a column of {kind} holds no numbers; expected integers, floats, booleans or times: leave "
        "it out, or cast it"
    )


def takes_bound(kind: pa.DataType) -> bool:
    """Whether values of a column may be off by a little."""
    return bool(Types.is_integer(kind) or Types.is_floating(kind))


def to_numbers(array: pa.Array) -> tuple[Array, Array | None]:
    """Numbers of a column and which of them are valid (None: all).

    A null is given the number before it, the cheapest that could stand there.
    """
    dtype, n = number_dtype(array.type), len(array)
    if Types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    data = array.buffers()[1]
    if n == 0 or data is None:
        return np.zeros(n, dtype), None if not n else np.zeros(n, bool)
    numbers: Array = np.frombuffer(data, dtype)[array.offset : array.offset + n]
    if not array.null_count:
        return numbers, None
    valid = np.asarray(array.is_valid())
    return held(numbers, valid), valid


def held(numbers: Array, valid: Array) -> Array:
    """Numbers with those that are not valid replaced by the one before, else by the first."""
    there = np.flatnonzero(valid)
    if not there.size:
        return np.zeros_like(numbers)
    before = np.searchsorted(there, np.arange(len(numbers)), "right") - 1
    return numbers[there[np.maximum(before, 0)]]


def from_numbers(numbers: Array, valid: Array | None, kind: pa.DataType) -> pa.Array:
    """Inverse of `to_numbers`."""
    if Types.is_boolean(kind):
        return pa.array(numbers.astype(bool), kind, mask=None if valid is None else ~valid)
    bits = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    data = pa.py_buffer(np.ascontiguousarray(numbers))
    return pa.Array.from_buffers(kind, len(numbers), [bits, data])
