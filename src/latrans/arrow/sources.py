"""Sources: tables, streams and columns from whatever other libraries have of them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ..errors import ConfigError
from .columns.type import columns_type
from .tensor.type import tensor_type


def as_table(table: Any) -> pa.Table:
    """A table from whatever pyarrow makes one of."""
    if isinstance(table, pa.Table):
        return table
    if hasattr(table, "scanner"):
        return as_reader(table).read_all()
    if isinstance(table, pa.RecordBatch):
        return pa.Table.from_batches([table])
    made = _by_polars(table)
    if made is not None:
        return made
    if not hasattr(table, "__arrow_c_stream__"):
        raise ConfigError(
            f"{type(table).__name__} is not a table; expected a pyarrow.Table or an object with "
            "the Arrow C stream interface, such as a polars.DataFrame"
        )
    return pa.table(table)


def as_reader(data: Any) -> pa.RecordBatchReader:
    """A stream of record batches from whatever makes one."""
    if isinstance(data, pa.RecordBatchReader):
        return data
    if hasattr(data, "get_fragments") and hasattr(data, "scanner"):  # pyarrow's Dataset
        # Files may have other layouts than their dataset, which for extension types pyarrow does
        # not cast.
        plain = _with_bytes(data.schema)
        scans = (part.scanner(schema=plain).to_batches() for part in data.get_fragments())
        batches = (batch.cast(plain) for scan in scans for batch in scan)
        return pa.RecordBatchReader.from_batches(plain, batches)
    if hasattr(data, "to_reader"):  # Table, Scanner and our Dataset
        return as_reader(data.to_reader())
    if isinstance(data, pa.RecordBatch):
        return pa.RecordBatchReader.from_batches(data.schema, [data])
    made = _by_polars(data)
    if made is not None:
        return made.to_reader()
    if not hasattr(data, "__arrow_c_stream__"):
        raise ConfigError(
            f"{type(data).__name__} is not a table; expected a pyarrow.Table, a RecordBatchReader "
            "or an object with the Arrow C stream interface, such as a polars.DataFrame"
        )
    return pa.RecordBatchReader.from_stream(data)


def nbytes_of(batch: pa.RecordBatch) -> int:
    """Bytes of a batch; of whole buffers where its layouts cannot be cut, as views cannot."""
    try:
        return int(batch.nbytes)
    except pa.ArrowTypeError:  # older pyarrow's
        return int(batch.get_total_buffer_size())


def as_column(values: Any) -> pa.Array | pa.ChunkedArray:
    """A column of Arrow's from what other libraries have of them.

    Parameters
    ----------
    values : pyarrow.Array or ChunkedArray, polars.Series, pandas.Series, or a sequence of bytes

    Raises
    ------
    ConfigError
        If no column can be made of it.
    """
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    try:
        # Polars exports structs of an extension type wrongly through the C stream, but not so.
        if hasattr(values, "to_arrow"):
            return values.to_arrow()
        if hasattr(values, "__arrow_c_stream__"):
            return pa.chunked_array(values)
        if isinstance(values, (bytes, str)):
            raise TypeError("one value is not a column: give a list of them")
        return pa.array(values if hasattr(values, "__arrow_c_array__") else list(values))
    except (pa.ArrowException, TypeError) as error:
        raise ConfigError(
            f"{type(values).__name__} is not a column: {error}; expected a pyarrow.Array or "
            "ChunkedArray, a series of polars or pandas, or a sequence of bytes"
        ) from error


def without_type(field: pa.Field) -> pa.Field:
    """A field without what its metadata say of an extension type."""
    kept = {
        key: value
        for key, value in (field.metadata or {}).items()
        if not key.startswith(b"ARROW:extension:")
    }
    return field.with_metadata(kept or None)


def _by_polars(table: Any) -> pa.Table | None:
    """A table of a polars frame; None of anything else.

    Through the C stream polars hands structs of an extension type over in another layout than it
    says, which pyarrow refuses.
    """
    made = getattr(table, "to_arrow", None)
    found = made() if made is not None else None
    return found if isinstance(found, pa.Table) else None


def _with_bytes(schema: pa.Schema) -> pa.Schema:
    """A schema whose encoded columns are what they are stored as, their types in metadata."""
    for i, field in enumerate(schema):
        kind = tensor_type(field) or columns_type(field)
        if kind is not None:
            known = {
                "ARROW:extension:name": kind.extension_name,
                "ARROW:extension:metadata": kind.__arrow_ext_serialize__(),
            }
            plain = without_type(field).with_type(kind.storage_type)
            metadata = {**(plain.metadata or {}), **known}
            schema = schema.set(i, plain.with_metadata(metadata))
    return schema
