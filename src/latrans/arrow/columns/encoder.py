"""Encoder: numeric columns of a table encoded together, and decoded again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from ...codec import Codec
from ...errors import ConfigError
from ...threads import count, spread
from ..lost import holds_values, is_plain, refusal
from ..sources import as_table
from ..tables import index_of
from ..tensor.encode import as_codec, configuration
from .numeric import number_dtype, takes_bound, to_numbers
from .rows import storage_of, take, values_in
from .type import DATA, ROW, STORAGE, ColumnsType, columns_type, origins, restored, rows_of
from .value import Column, pack

Array = np.ndarray[Any, Any]
Bounds = float | Mapping[str, float] | None

VALUE_ROWS = 1 << 16  # that are encoded, and decoded, together


class GroupEncoder:
    """Encodes groups of columns of tables of one schema.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of the tables before.
    groups : mapping from name to (columns, codec) or (columns, codec, max_error)
    threads : int, optional

    Attributes
    ----------
    schema : pyarrow.Schema
        Of the tables after.
    kinds : dict from name to ColumnsType
    """

    def __init__(
        self, schema: pa.Schema, groups: Mapping[str, Any] | None, threads: int | None = None
    ) -> None:
        self.kinds: dict[str, ColumnsType] = {}
        self._codecs: dict[str, Codec] = {}
        self._threads = count(threads)
        logical = restored(schema)
        for name, group in (groups or {}).items():
            columns, codec, max_error = _group(name, group)
            self._codecs[name] = chosen = as_codec(codec)
            self.kinds[name] = kind = _kind(schema, logical, columns, chosen, max_error)
            place = min(index_of(schema, column) for column in columns)
            schema = schema.insert(place, pa.field(name, kind, nullable=False))
            for column in columns:
                schema = schema.remove(index_of(schema, column))
            index_of(schema, name)
        self.schema = schema

    def encode(self, table: pa.Table) -> pa.Table:
        """Encode a table, so many rows at a time."""
        made = {}
        for name, kind in self.kinds.items():
            part = table.select(kind.columns.names)
            parts = [part.slice(at, VALUE_ROWS) for at in range(0, len(table), VALUE_ROWS)]
            encode = partial(_encoded, kind=kind, codec=self._codecs[name])
            made[name] = pa.chunked_array(spread(encode, parts, self._threads), kind)
        inside = {column for kind in self.kinds.values() for column in kind.columns.names}
        # By place, since others may have one name.
        others = (
            column
            for name, column in zip(table.column_names, table.columns, strict=True)
            if name not in inside
        )
        columns = [made[name] if name in made else next(others) for name in self.schema.names]
        return pa.table(columns, schema=self.schema)


def encode_columns(
    table: Any,
    columns: Sequence[str],
    codec: Any = "table-1",
    max_error: Bounds = None,
    name: str = "columns",
    threads: int | None = None,
) -> pa.Table:
    """Encode numeric columns of a table together, each predicted from the others, too.

    Parameters
    ----------
    table : pyarrow.Table, RecordBatch, or anything with the Arrow C stream interface
        Rows in order of time, or of whatever else makes neighbours alike.
    columns : sequence of str
        Integers, floats, booleans, dates and times, with nulls.  NaN is none, and keeps its bits.
    codec : Codec, stored configuration, or what names a model
        A model for recordings or tables.
    max_error : mapping from column to float, optional
        Largest absolute error of integers and floats, for those columns that are named; the others
        are exact.  Values are exact where that is smaller or the bound cannot be kept.  A number
        alone, here or of a codec of mode "bounded", is for a single column: among several there may
        be identifiers, indices and times, which no bound is meant for.
    name : str
        Of the column of type `latrans.columns` that stands in for them.
    threads : int, optional
        How many runs of 65,536 rows are in work at a time, as in `Codec.encode_batch`.

    Raises
    ------
    ConfigError
        If a column is not there or holds no numbers, or a bound is of no use.
    ModelNotFoundError
        If the model is not found.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from latrans.arrow import decode_columns, encode_columns
    >>> table = pa.table({"t": [1, 2, 3], "a": [0.5, None, 0.75], "b": ["x", "y", "z"]})
    >>> encoded = encode_columns(table, ["t", "a"])
    >>> encoded.column_names
    ['columns', 'b']
    >>> decode_columns(encoded) == table
    True
    """
    source = as_table(table)
    return GroupEncoder(source.schema, {name: (columns, codec, max_error)}, threads).encode(source)


def decode_columns(
    table: Any, schema: pa.Schema | None = None, threads: int | None = None
) -> pa.Table:
    """Decode the `latrans.columns` columns of a table, which come back where they were.

    Rows may have been filtered, sorted and joined, as long as the rows that hold the values of
    those that are left are still among them.

    Parameters
    ----------
    table : pyarrow.Table, RecordBatch, or anything with the Arrow C stream interface
    schema : pyarrow.Schema, optional
        With the types of columns that lost theirs on the way through another library, such as
        ``pyarrow.parquet.read_schema(path)``.
    threads : int, optional
        As in `encode_columns`.

    Raises
    ------
    ConfigError
        If a column lost its type, and no schema says it.
    CodecError
        If a value is damaged, or not there.
    ModelNotFoundError
        If the model that wrote a value is not found.
    """
    source = as_table(table)
    known = {f.name: kind for f in schema or () if (kind := columns_type(f)) is not None}
    typed, found = source.schema, {}
    for i, field in enumerate(source.schema):
        kind = columns_type(field) or known.get(field.name)
        if kind is not None:
            typed = typed.set(i, pa.field(field.name, kind))
            column = storage_of(source.column(i))
            values = values_in(column.field(DATA))
            found[i] = take(column.field(ROW), values, kind, threads)
        elif is_plain(field) and holds_values(source.column(i)):
            raise ConfigError(refusal(field.name))
    columns = [source.column(i) if j is None else found[i][j] for i, j in origins(typed)]
    return pa.table(columns, schema=restored(typed))


def _encoded(table: pa.Table, kind: ColumnsType, codec: Codec) -> pa.Array:
    columns = [
        Column(*to_numbers(_one(column)), bound)
        for column, bound in zip(table.columns, kind.bounds, strict=True)
    ]
    value = pack(columns, codec)
    n = len(table)
    offsets = np.full(n + 1, len(value), np.int64)
    offsets[0] = 0
    only = np.zeros(n, bool)
    only[0] = True
    bits = pa.py_buffer(np.packbits(only, bitorder="little"))
    data = pa.Array.from_buffers(
        pa.large_binary(), n, [bits, pa.py_buffer(offsets), pa.py_buffer(value)]
    )
    storage = pa.StructArray.from_arrays([pa.array(rows_of(value, n)), data], fields=list(STORAGE))
    return pa.ExtensionArray.from_storage(kind, storage)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _group(name: str, group: Any) -> tuple[list[str], Any, Bounds]:
    if isinstance(group, str) or not isinstance(group, Sequence) or not 2 <= len(group) <= 3:
        raise ConfigError(f"{name!r} is {group!r:.80}; expected (columns, codec[, max_error])")
    columns, codec, *bounds = group
    if isinstance(columns, str) or not all(isinstance(column, str) for column in columns):
        raise ConfigError(f"columns of {name!r} are {columns!r:.80}; expected a list of names")
    if not columns or len(set(columns)) != len(columns):
        raise ConfigError(f"group {name!r} has no columns, or one twice: {', '.join(columns)}")
    return list(columns), codec, bounds[0] if bounds else None


def _kind(
    schema: pa.Schema, logical: pa.Schema, columns: list[str], codec: Codec, max_error: Bounds
) -> ColumnsType:
    if codec.mode == "lossy":
        raise ConfigError("columns together have no mode 'lossy': use 'bounded', or max_error")
    fields = []
    for column in columns:
        fields.append(schema.field(index_of(schema, column)))
        try:
            number_dtype(fields[-1].type)
        except ConfigError as error:
            raise ConfigError(f"column {column!r}: {error}") from error
    bounds = _bounds(fields, codec.max_error if max_error is None else max_error)
    positions = tuple(index_of(logical, column) for column in columns)
    return ColumnsType(pa.schema(fields), positions, bounds, configuration(codec))


def _bounds(fields: Iterable[pa.Field], given: Bounds) -> tuple[float | None, ...]:
    """The bound of each column."""
    kinds = {field.name: field.type for field in fields}
    if given is None:
        return (None,) * len(kinds)
    if not isinstance(given, Mapping):
        if len(kinds) > 1:
            raise ConfigError(
                f"max_error {given} names no column, and some of {', '.join(kinds)} may be "
                f"identifiers or indices: give {{name: {given}}} for each that may be off"
            )
        given = dict.fromkeys(kinds, given)
    for name, bound in given.items():
        if name not in kinds or not takes_bound(kinds[name]):
            what = "not among the columns" if name not in kinds else f"of {kinds[name]}"
            raise ConfigError(f"column {name!r} has a bound, but is {what}")
        if not isinstance(bound, (int, float, np.number)) or not 0 < bound < float("inf"):
            raise ConfigError(f"max_error of column {name!r} is {bound!r}; expected it above 0")
    return tuple(float(given[name]) if name in given else None for name in kinds)
