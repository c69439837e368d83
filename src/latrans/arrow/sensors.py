"""Sensors: numeric columns of a table encoded together, and decoded again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from ..codec import Codec
from ..errors import CodecError, ConfigError
from ..threads import count, spread
from .columns import as_codec, configuration
from .groups import (
    DATA,
    EXTENSION_NAME,
    ROW,
    ROW_BITS,
    STORAGE,
    ColumnsType,
    columns_type,
    id_of,
    origins,
    restored,
    rows_of,
)
from .numeric import from_numbers, number_dtype, takes_bound, to_numbers
from .sheet import Column, pack, unpack
from .tables import as_table, index_of

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
        columns = [
            made[name] if name in made else table.column(index_of(table.schema, name))
            for name in self.schema.names
        ]
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
    max_error : float or mapping from column to float, optional
        Largest absolute error of integers and floats: of all, or of some, which leaves the others
        exact.  Values are exact where that is smaller or the bound cannot be kept.  By default that
        of a codec of mode "bounded".
    name : str
        Of the column of type `latrans.columns` that stands in for them.
    threads : int, optional
        How many runs of 65,536 rows are in work at a time, as in `Codec.encode_batch`.

    Raises
    ------
    ConfigError
        If a column is not there or holds no numbers, or a bound is of no use.
    ModelNotFoundError
        If the model is not at hand.

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
    CodecError
        If a value is damaged, or not there.
    ModelNotFoundError
        If the model that wrote a value is not at hand.
    """
    # Polars exports structs of an extension type wrongly through the C stream, but not so.
    source = as_table(table.to_arrow() if hasattr(table, "to_arrow") else table)
    known = {f.name: kind for f in schema or () if (kind := columns_type(f)) is not None}
    typed, found = source.schema, {}
    for i, field in enumerate(source.schema):
        kind = columns_type(field) or known.get(field.name)
        if kind is not None:
            typed = typed.set(i, pa.field(field.name, kind))
            column = storage_of(source.column(i))
            values = values_in(column.field(DATA))
            found[i] = take(column.field(ROW), values, kind, threads)
    columns = [source.column(i) if j is None else found[i][j] for i, j in origins(typed)]
    return pa.table(columns, schema=restored(typed))


def take(
    rows: pa.Array, values: Mapping[int, bytes], kind: ColumnsType, threads: int | None = None
) -> list[pa.Array]:
    """Columns of some rows, from the values that they belong to.

    Parameters
    ----------
    rows : pyarrow.Array
        Their numbers; where null, all columns are.
    values : mapping from id to value
    """
    there = np.asarray(rows.is_valid())
    numbers = np.asarray(rows.fill_null(0).to_numpy(zero_copy_only=False))[there]
    ids, inverse = _in_order(numbers >> ROW_BITS)
    if missing := [one for one in ids.tolist() if one not in values]:
        raise CodecError(
            f"{len(missing)} of {len(ids)} values of these rows are not there: the first row of "
            "each was filtered out. Filter after decoding, or by read_parquet(..., filters=...)"
        )
    dtypes = kind.dtypes
    sheets = spread(lambda one: unpack(values[one], dtypes), ids.tolist(), count(threads))
    inside = numbers & ((1 << ROW_BITS) - 1)
    # An empty type has no columns to tell a length by, and needs none.
    lengths = np.array([len(sheet[0].numbers) if sheet else 0 for sheet in sheets], np.int64)
    if dtypes and (inside >= lengths[inverse]).any():
        raise CodecError("rows are damaged: they claim places that their values do not have")
    places = (np.cumsum(lengths) - lengths)[inverse] + inside
    whole = len(places) == len(rows) == lengths.sum() and bool((np.diff(places) == 1).all())
    out = []
    for i, field in enumerate(kind.columns):
        parts = [sheet[i] for sheet in sheets]
        found = _joined(parts, dtypes[i])
        if not whole:
            spot = np.zeros(len(rows), np.int64)
            spot[there] = places
            valid = there & (True if found.valid is None else _at(found.valid, spot))
            found = Column(_at(found.numbers, spot), None if valid.all() else valid)
        out.append(from_numbers(found.numbers, found.valid, field.type))
    return out


def storage_of(column: pa.ChunkedArray) -> pa.StructArray:
    """A column's struct in one array, checked; nulls of the whole are nulls inside."""
    chunks = [c.storage if isinstance(c, pa.ExtensionArray) else c for c in column.chunks]
    kind = chunks[0].type if chunks else STORAGE
    if not pa.types.is_struct(kind) or {field.name for field in kind} != {ROW, DATA}:
        raise CodecError(f"a {EXTENSION_NAME} column is stored as {kind}, expected {STORAGE}")
    parts = []
    for chunk in chunks:
        try:
            # Columns that came over a connection may claim anything.
            chunk.validate(full=True)
            flat = dict(zip([f.name for f in kind], chunk.flatten(), strict=True))
            columns = [flat[ROW].cast(pa.int64()), flat[DATA].cast(pa.large_binary())]
        except pa.ArrowException as error:
            raise CodecError(f"a {EXTENSION_NAME} column is damaged: {error}") from error
        parts.append(pa.StructArray.from_arrays(columns, fields=list(STORAGE)))
    return pa.concat_arrays(parts) if parts else pa.array([], STORAGE)


def values_in(data: pa.Array) -> dict[int, bytes]:
    """Values by what names them."""
    found: dict[int, bytes] = {}
    for value in data.drop_null().to_pylist():
        if found.setdefault(id_of(value), value) != value:
            raise CodecError("two values have one name: decode their row groups one by one")
    return found


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
        given = {name: given for name, kind in kinds.items() if takes_bound(kind)}
    for name, bound in given.items():
        if name not in kinds or not takes_bound(kinds[name]):
            what = "not among the columns" if name not in kinds else f"of {kinds[name]}"
            raise ConfigError(f"column {name!r} has a bound, but is {what}")
        if not isinstance(bound, (int, float, np.number)) or not 0 < bound < float("inf"):
            raise ConfigError(f"max_error of column {name!r} is {bound!r}; expected it above 0")
    return tuple(float(given[name]) if name in given else None for name in kinds)


def _joined(parts: Sequence[Column], dtype: np.dtype[Any]) -> Column:
    if len(parts) == 1:
        return parts[0]
    numbers = np.concatenate([part.numbers for part in parts] or [np.zeros(0, dtype)])
    if all(part.valid is None for part in parts):
        return Column(numbers)
    every = [np.ones(len(p.numbers), bool) if p.valid is None else p.valid for p in parts]
    return Column(numbers, np.concatenate(every))


def _at(values: Array, places: Array) -> Array:
    """Values at places; where there are none, zeros for the null rows that ask."""
    return values[places] if len(values) else np.zeros(len(places), values.dtype)


def _in_order(ids: Array) -> tuple[Array, Array]:
    """Distinct ids in order of appearance, and the index of each among them."""
    distinct, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return distinct[order], rank[inverse.reshape(-1)]
