"""Rows: rows of columns that are stored as one, from the values that they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import CodecError
from ...threads import count, spread
from ..tensor.cells import BYTES
from .numeric import from_numbers
from .type import DATA, EXTENSION_NAME, ROW, ROW_BITS, STORAGE, ColumnsType, id_of
from .value import Column, unpack

Array = np.ndarray[Any, Any]


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
    parsed = spread(lambda one: unpack(values[one], dtypes), ids.tolist(), count(threads))
    inside = numbers & ((1 << ROW_BITS) - 1)
    # An empty type has no columns to tell a length by, and needs none.
    lengths = np.array([len(columns[0].numbers) if columns else 0 for columns in parsed], np.int64)
    if dtypes and (inside >= lengths[inverse]).any():
        raise CodecError("rows are damaged: they refer to rows that their values do not have")
    places = (np.cumsum(lengths) - lengths)[inverse] + inside
    whole = len(places) == len(rows) == lengths.sum() and bool((np.diff(places) == 1).all())
    out = []
    for i, field in enumerate(kind.columns):
        parts = [columns[i] for columns in parsed]
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
    parts = []
    for chunk in chunks:
        kind = chunk.type
        types = {f.name: f.type for f in kind} if pa.types.is_struct(kind) else {}
        if (
            kind.num_fields != 2
            or not pa.types.is_integer(types.get(ROW, pa.null()))
            or types.get(DATA) not in (*BYTES, pa.null())
        ):
            raise CodecError(
                f"a {EXTENSION_NAME} column is stored as {kind}; expected {STORAGE}, its data "
                f"{', '.join(map(str, BYTES))}"
            )
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
            raise CodecError(
                "two values have the same identifier: decode their row groups one by one"
            )
    return found


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
