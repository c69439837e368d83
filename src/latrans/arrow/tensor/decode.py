"""Decode: columns of frames back to columns of arrays.

A batch of rows is decoded together, by `Codec.decode_batch`; null rows stay null.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from ...codec import Codec
from ...errors import CodecError, ConfigError
from ...format.frame import unpack
from .arrays import decoded_type, from_rows, from_stacked
from .cells import BYTES, Cells

Array = np.ndarray[Any, Any]

SLICE_NBYTES = 64 << 20  # of decoded rows that are in work at a time


def decode_frames(frames: Sequence[bytes], cells: Cells, threads: int | None = None) -> list[Array]:
    """Arrays of frames, each checked against the column's type."""
    rows = Codec().decode_batch(frames, threads)
    for row in rows:
        cells.check(row)
    return rows


def decode_rows(array: pa.Array, threads: int | None = None) -> list[Array | None]:
    """Arrays of a column's rows, None for null rows."""
    found = iter(decode_frames(_frames(array), array.type.cells, threads))
    return [next(found) if valid else None for valid in valid_rows(array)]


def decode_stacked(array: pa.Array, threads: int | None = None) -> Array:
    """All rows of a column in one array, (rows, *shape)."""
    cells = array.type.cells
    if cells.shape is None:
        raise ConfigError("rows differ in shape: use to_pylist or to_numpy, one array per row")
    if array.null_count:
        raise ConfigError("the column has nulls: drop_null() first, or use to_pylist")
    return _stacked(array, cells, None, threads)


def decode_column(
    array: pa.Array | pa.ChunkedArray, cells: Cells | None, threads: int | None = None
) -> pa.Array | pa.ChunkedArray:
    """A column of frames decoded; without `cells` it holds what its frames say."""
    cells = cells or cells_of(array)
    if isinstance(array, pa.ChunkedArray):
        parts = [decoded(chunk, cells, threads) for chunk in array.chunks]
        return pa.chunked_array(parts, decoded_type(cells))
    return decoded(array, cells, threads)


def decoded(array: pa.Array, cells: Cells, threads: int | None) -> pa.Array:
    array = bytes_of(array)
    valid = valid_rows(array) if array.null_count else None
    if cells.shape is not None:
        return from_stacked(_stacked(array, cells, valid, threads), valid, cells)
    rows = iter(decode_frames(_frames(array), cells, threads))
    there = valid_rows(array)
    return from_rows([next(rows) if is_there else None for is_there in there], cells)


def _stacked(array: pa.Array, cells: Cells, valid: Array | None, threads: int | None) -> Array:
    """Rows of one shape in one array, with zeros for null rows."""
    assert cells.shape is not None
    places = np.arange(len(array)) if valid is None else np.flatnonzero(valid)
    frames, step = _frames(array), max(1, SLICE_NBYTES // cells.row_nbytes)
    out = None
    for start in range(0, len(frames), step):
        rows = decode_frames(frames[start : start + step], cells, threads)
        if out is None:  # memory is taken when the first rows are what the column's type says
            out = _zeros(len(array), cells)
        for i, row in zip(places[start : start + step], rows, strict=True):
            out[i] = row
    return _zeros(len(array), cells) if out is None else out


def _zeros(n_rows: int, cells: Cells) -> Array:
    try:
        return np.zeros((n_rows, *(cells.shape or ())), cells.dtype)
    except (MemoryError, ValueError) as error:
        raise CodecError(
            f"a column claims {n_rows} rows of shape {cells.shape} at once, which do not fit into "
            "memory: take fewer of them, as in slices or batches, or it is damaged"
        ) from error


def _frames(array: pa.Array) -> list[bytes]:
    """Bytes of the rows that are not null."""
    storage = bytes_of(array).drop_null()
    if not len(storage):
        return []
    offsets = np.frombuffer(storage.buffers()[1], np.int64)[storage.offset :][: len(storage) + 1]
    data = memoryview(storage.buffers()[2] or b"")
    return [bytes(data[a:b]) for a, b in pairwise(offsets)]


def bytes_of(array: pa.Array) -> pa.Array:
    """A column of bytes as large_binary, with offsets that are inside of its bytes.

    Raises
    ------
    ConfigError
        If it holds something else.
    CodecError
        If its offsets or lengths are damaged.
    """
    storage = array.storage if isinstance(array, pa.ExtensionArray) else array
    kind = storage.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if kind not in BYTES and not pa.types.is_fixed_size_binary(kind) and kind != pa.null():
        raise ConfigError(
            f"a column of {array.type} holds no frames; expected bytes, as "
            f"{', '.join(map(str, BYTES))}"
        )
    try:
        # Columns that came over a connection may claim anything, which a cast believes.
        storage.validate(full=True)
        return storage.cast(pa.large_binary())
    except pa.ArrowException as error:
        raise CodecError(f"a column of frames is damaged: {error}") from error


def valid_rows(array: pa.Array) -> Array:
    return np.asarray(array.is_valid())


def cells_of(array: pa.Array | pa.ChunkedArray) -> Cells:
    """What plain bytes hold, as their frames tell.

    Raises
    ------
    ConfigError
        If there are none, or no column can hold what they do.
    CodecError
        If a frame is damaged.
    """
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    headers = [unpack(frame) for chunk in chunks for frame in _frames(chunk)]
    if not headers:
        raise ConfigError("a column of bytes without frames has no shape: give its type")
    first = headers[0]
    dtype, ndim = first.dtype.newbyteorder("="), len(first.shape)
    for header in headers:
        if header.dtype.newbyteorder("=") != dtype or len(header.shape) != ndim:
            raise ConfigError(
                f"frames hold {dtype} of {ndim} dimensions and {header.dtype} of "
                f"{len(header.shape)}, which no one column does: latrans.Codec().decode_batch "
                "gives an array for each"
            )
    alike = all(header.shape == first.shape for header in headers)
    return Cells(dtype, ndim, first.shape if alike else None)


def fitting(array: pa.Array, cells: Cells) -> int:
    """How many of the first rows may be decoded together, at least one."""
    if cells.shape is not None:
        return max(1, SLICE_NBYTES // cells.row_nbytes)
    total = 0
    for i, value in enumerate(bytes_of(array)):
        if value.is_valid:
            header = unpack(value.as_py())
            total += int(np.prod(header.shape, dtype=object)) * header.dtype.itemsize
        if i and total > SLICE_NBYTES:
            return i
    return max(1, len(array))
