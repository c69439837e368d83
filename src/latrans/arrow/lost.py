"""Lost types: columns of frames that came through a library which keeps no extension types.

pandas, duckdb, Iceberg and others hand bytes on.  A frame says by itself what it is, so a column of
bytes is one of frames if each value begins as one and the first has the checksum of one.  A value
of several columns says that it is one, but neither their names nor their types.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from ..errors import CodecError, ConfigError, LatransWarning
from ..format.frame import FORMAT_VERSION, MAGIC, unpack
from .columns.type import DATA, ROW, columns_type
from .columns.value import frames_in
from .tensor.cells import BYTES
from .tensor.decode import bytes_of, cells_of
from .tensor.type import TensorType, tensor_type

Column: TypeAlias = pa.Array | pa.ChunkedArray
_SMALLEST = 8  # bytes of a frame


def is_plain(field: pa.Field) -> bool:
    """Whether a column is bytes or a struct whose type says nothing of latrans."""
    kind = field.type
    may = kind in BYTES or (pa.types.is_struct(kind) and {f.name for f in kind} == {ROW, DATA})
    return bool(may) and tensor_type(field) is None and columns_type(field) is None


def holds_frames(column: Column) -> bool:
    """Whether all values of a column of bytes are frames, by how they begin, and some is there."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    first = None
    for chunk in chunks:
        if chunk.type not in BYTES:
            return False
        storage = bytes_of(chunk).drop_null()
        if not len(storage):
            continue
        offsets = np.frombuffer(storage.buffers()[1], np.int64)
        offsets = offsets[storage.offset :][: len(storage) + 1]
        data = np.frombuffer(storage.buffers()[2] or b"", np.uint8)
        if (np.diff(offsets) < _SMALLEST).any():
            return False
        starts = offsets[:-1]
        if (data[starts] != MAGIC).any() or (data[starts + 1] >> 4 != FORMAT_VERSION).any():
            return False
        if first is None:
            first = bytes(data[offsets[0] : offsets[1]])
    return first is not None and _is_whole(first)


def holds_values(column: Column) -> bool:
    """Whether a struct of row and data holds columns that are stored as one."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    for chunk in chunks:
        index = chunk.type.get_field_index(DATA)
        if chunk.type.field(index).type not in BYTES:
            return False
        for value in bytes_of(chunk.field(index)).drop_null():
            try:
                frames_in(value.as_py())
            except CodecError:
                return False
            return True
    return False


def types_of(table: pa.Table, names: Iterable[str] | None = None) -> dict[int, TensorType]:
    """Types of a table's columns of frames that have lost theirs, by what the frames say.

    Parameters
    ----------
    names : iterable of str, optional
        The columns to look at; all by default, where those whose frames no column can hold decoded
        are left with a warning.
    """
    wanted = None if names is None else set(names)
    found = {}
    for i, field in enumerate(table.schema):
        if (wanted is not None and field.name not in wanted) or not is_plain(field):
            continue
        if not holds_frames(table.column(i)):
            continue
        try:
            found[i] = TensorType(cells_of(table.column(i)), {"model": "auto"})
        except ConfigError as error:
            if wanted is not None:
                raise ConfigError(f"column {field.name!r}: {error}") from error
            warnings.warn(
                f"column {field.name!r} holds frames, but was not decoded: {error}",
                LatransWarning,
                stacklevel=3,
            )
    return found


def warn_of_groups(table: pa.Table) -> None:
    """Warn of columns of a table that are stored as one and have lost their type."""
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_struct(field.type) and is_plain(field) and holds_values(column):
            warnings.warn(refusal(field.name), LatransWarning, stacklevel=3)


def refusal(name: str) -> str:
    """What to say of columns that are stored as one and lost their type."""
    return (
        f"column {name!r} holds columns stored as one, but lost its type on the way, which said "
        "their names and types: give schema=pyarrow.parquet.read_schema(path) of the file that it "
        "came from to latrans.arrow.decode_columns"
    )


class Watch:
    """Warns, once for each column of a stream, of what passes by and was not decoded.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of the stream.
    what : str
        Where it comes from.
    groups_only : bool
        Say nothing of frames, which whoever asks is going to decode.
    """

    def __init__(self, schema: pa.Schema, what: str, groups_only: bool = False) -> None:
        self._left = [i for i, field in enumerate(schema) if is_plain(field)]
        self._schema, self._what, self._groups_only = schema, what, groups_only

    def look(self, batch: pa.RecordBatch) -> None:
        """Look at the next batch of the stream."""
        for i in list(self._left):
            column, name = batch.column(i), self._schema.names[i]
            if column.null_count == len(column):
                continue
            if pa.types.is_struct(column.type):
                self._left.remove(i)
                if holds_values(column):
                    self._warn(refusal(name))
            else:
                self._left.remove(i)
                if not self._groups_only and holds_frames(column):
                    self._warn(
                        f"column {name!r} holds frames, but lost its type in another library and "
                        "is not decoded in a stream: use latrans.arrow.read_parquet, or "
                        "decode_table on what is read"
                    )

    def _warn(self, message: str) -> None:
        warnings.warn(f"{self._what}: {message}", LatransWarning, stacklevel=4)


def _is_whole(frame: bytes) -> bool:
    try:
        unpack(frame)
    except CodecError:
        return False
    return True
