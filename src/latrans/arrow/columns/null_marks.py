"""Null marks: which rows of a column hold nothing, told by where that changes (FORMAT.md 12.3)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import CodecError
from ...format.varint import Reader
from ...maps import integer_lists

Array = np.ndarray[Any, Any]

_TOGETHER = 32  # columns whose marks go together


def write(marks: Array) -> bytes:
    """Marks (columns, rows) by the rows where those of some columns change."""
    out = b""
    for block in _blocks(len(marks)):
        weights = np.int64(1) << np.arange(len(block))
        now = (marks[block] * weights[:, None]).sum(0)
        out += integer_lists.pack_sparse(now ^ np.concatenate([[0], now[:-1]]))
    return out


def read(data: bytes, n_columns: int, n_rows: int) -> Array:
    """Inverse of `write`."""
    reader = Reader(data)
    marks = np.zeros((n_columns, n_rows), bool)
    for block in _blocks(n_columns):
        changes = np.zeros(n_rows, np.int64)
        positions, values = integer_lists.unpack_sparse(reader, n_rows)
        changes[positions] = values
        now = np.bitwise_xor.accumulate(changes)
        for j, i in enumerate(block):
            marks[i] = now >> j & 1
    if reader.remaining:
        raise CodecError("a value is damaged: bytes are left over")
    return marks


def _blocks(n: int) -> list[range]:
    return [range(start, min(start + _TOGETHER, n)) for start in range(0, n, _TOGETHER)]
