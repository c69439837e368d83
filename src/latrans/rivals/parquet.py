"""Parquet with zstd-19, one column per channel of a table.

Columns as dictionaries or with their bytes split into streams, whichever is smaller.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from .rival import Array, Rival, pack, plain, unpack

LEVEL = 19
_MAX_COLUMNS = 512


def suits(array: Array, axes: str) -> bool:
    if not plain(array) or array.ndim != 2 or sorted(axes) not in (["c", "t"], ["n", "t"]):
        return False
    columns = array.shape[1 - axes.index("t")]
    return array.dtype.str[1:] in ("i4", "i8", "f4", "f8", "i2", "u2") and columns <= _MAX_COLUMNS


def encode(array: Array, axes: str, max_error: float | None, fill_value: float | None) -> bytes:
    import pyarrow

    rows = array if axes.index("t") == 0 else array.T
    native = rows.astype(rows.dtype.newbyteorder("="), copy=False)
    columns = {str(i): np.ascontiguousarray(native[:, i]) for i in range(rows.shape[1])}
    table = pyarrow.table(columns)
    ways = [{"use_dictionary": True}]
    if array.itemsize >= 4:  # Parquet stores narrower integers in four bytes
        ways.append({"use_dictionary": False, "use_byte_stream_split": True})
    return pack([min((_write(table, **way) for way in ways), key=len)], array, axes=axes)


def _write(table: Any, **way: bool) -> bytes:
    import pyarrow.parquet

    file = io.BytesIO()
    pyarrow.parquet.write_table(
        table,
        file,
        row_group_size=len(table),
        compression="zstd",
        compression_level=LEVEL,
        write_statistics=False,
        store_schema=False,
        **way,
    )
    return file.getvalue()


def decode(data: bytes) -> Array:
    import pyarrow
    import pyarrow.parquet

    (stream,), header = unpack(data)
    source = pyarrow.BufferReader(stream)
    table = pyarrow.parquet.ParquetFile(source).read(use_threads=False)
    rows = np.stack([column.to_numpy() for column in table.columns], axis=1)
    array = rows if header["axes"].index("t") == 0 else rows.T
    return np.ascontiguousarray(array).astype(header["dtype"], copy=False)


RIVALS = (
    Rival(
        label="Parquet",
        modules=("pyarrow",),
        install="pip install pyarrow",
        suits=suits,
        encode=encode,
        decode=decode,
    ),
)
