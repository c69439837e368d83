"""Tables: streams and tables with tensor columns encoded, and decoded again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from ..errors import ConfigError
from .columns.rows import storage_of
from .columns.type import ColumnsType, columns_type
from .lost import types_of, warn_of_groups
from .sources import as_table, without_type
from .tensor.arrays import decoded_type, describe
from .tensor.cells import EXTENSION_NAME
from .tensor.decode import bytes_of, decoded, fitting
from .tensor.encode import as_codec, configuration, encoded
from .tensor.type import TensorType, tensor_type


class TableEncoder:
    """Encodes batches of one schema, whatever they come from.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of the batches before.
    codecs : mapping from column to codec
    shapes, dtypes : mappings from column to shape and dtype, optional
    threads : int, optional

    Attributes
    ----------
    schema : pyarrow.Schema
        Of the batches after.
    types, all_types : dicts from column to TensorType
        Of the columns that are encoded here; and of those that were before, too.
    """

    def __init__(
        self,
        schema: pa.Schema,
        codecs: Mapping[str, Any] | None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        dtypes: Mapping[str, Any] | None = None,
        threads: int | None = None,
    ) -> None:
        self.types: dict[str, TensorType] = {}
        self._codecs = {name: as_codec(codec) for name, codec in (codecs or {}).items()}
        self._shapes, self._dtypes, self._threads = shapes or {}, dtypes or {}, threads
        for option in (self._shapes, self._dtypes):
            for name in option:
                if name not in self._codecs:
                    raise ConfigError(f"column {name!r} has a shape or a dtype, but no codec")
        for name, codec in self._codecs.items():
            i = index_of(schema, name)
            try:
                shape, dtype = self._shapes.get(name), self._dtypes.get(name)
                cells = describe(schema.field(i).type, shape, dtype)
            except ConfigError as error:
                raise ConfigError(f"column {name!r}: {error}") from error
            self.types[name] = TensorType(cells, configuration(codec))
            schema = schema.set(i, schema.field(i).with_type(self.types[name]))
        # What was encoded before is handed on as latrans stores it, whoever had it meanwhile.
        self._before: dict[int, TensorType | ColumnsType] = {}
        for i, field in enumerate(schema):
            known = tensor_type(field) or columns_type(field)
            if known is not None and known != field.type:
                self._before[i] = known
                schema = schema.set(i, without_type(field).with_type(known))
        self.schema = schema
        found = {field.name: tensor_type(field.type) for field in schema}
        self.all_types = {name: kind for name, kind in found.items() if kind is not None}

    def encode(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Encode a batch."""
        columns = list(batch.columns)
        for name, kind in self.types.items():
            i = index_of(batch.schema, name)
            dtype, codec = self._dtypes.get(name), self._codecs[name]
            try:
                columns[i] = encoded(columns[i], kind, codec, dtype, self._threads)
            except ConfigError as error:
                raise ConfigError(f"column {name!r}: {error}") from error
        for i, kind in self._before.items():
            columns[i] = pa.ExtensionArray.from_storage(kind, _stored(columns[i], kind))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


class TableDecoder:
    """Decodes batches of one schema.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of the encoded batches.
    columns : sequence of str, optional
        Which columns to decode: all that are `latrans.tensor` by default.
    threads : int, optional
    lost : mapping from index to TensorType, optional
        What columns hold whose type says nothing.

    Attributes
    ----------
    schema : pyarrow.Schema
        Of the decoded batches.
    """

    def __init__(
        self,
        schema: pa.Schema,
        columns: Sequence[str] | None = None,
        threads: int | None = None,
        lost: Mapping[int, TensorType] | None = None,
    ) -> None:
        found = {i: tensor_type(field) for i, field in enumerate(schema)} | dict(lost or {})
        wanted = None if columns is None else {index_of(schema, name) for name in columns}
        self._types = {
            i: kind
            for i, kind in found.items()
            if kind is not None and (wanted is None or i in wanted)
        }
        for i in (wanted or set()) - set(self._types):
            raise ConfigError(
                f"column {schema.names[i]!r} is {schema.types[i]}, neither {EXTENSION_NAME} nor "
                "bytes that are all frames: there is nothing to decode"
            )
        self._threads = threads
        for i, kind in self._types.items():
            field = without_type(schema.field(i)).with_type(decoded_type(kind.cells))
            schema = schema.set(i, field)
        self.schema = schema

    def decode(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Decode a batch."""
        columns = list(batch.columns)
        for i, kind in self._types.items():
            columns[i] = decoded(columns[i], kind.cells, self._threads)
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def batches(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Decode a batch in slices, so that not too many rows are decoded at a time."""
        start = 0
        while start < len(batch):
            n = min(
                (fitting(batch.column(i)[start:], kind.cells) for i, kind in self._types.items()),
                default=len(batch),
            )
            yield self.decode(batch.slice(start, n))
            start += n


def encode_table(
    table: Any,
    codecs: Mapping[str, Any],
    shapes: Mapping[str, Sequence[int]] | None = None,
    dtypes: Mapping[str, Any] | None = None,
    threads: int | None = None,
) -> pa.Table:
    """Encode columns of a table; the others are taken over as they are.

    Parameters
    ----------
    table : pyarrow.Table, RecordBatch, or anything with the Arrow C stream interface
    codecs : mapping from column to codec
        A `latrans.Codec`, a stored configuration, or what names a model.
    shapes : mapping from column to shape, optional
        Of rows that are plain lists or bytes.
    dtypes : mapping from column to NumPy dtype, optional
        Of rows that are bytes.
    threads : int, optional
        As in `Codec.encode_batch`.

    Raises
    ------
    ConfigError
        If a column is not there or holds no arrays of numbers.

    Examples
    --------
    >>> import numpy as np, pyarrow as pa
    >>> from latrans.arrow import decode_table, encode_table
    >>> images = np.zeros((5, 28, 28), np.uint8)
    >>> column = pa.FixedShapeTensorArray.from_numpy_ndarray(images)
    >>> table = pa.table({"label": range(5), "image": column})
    >>> encoded = encode_table(table, {"image": "digits-1"})
    >>> encoded.schema.field("image").type.shape
    (28, 28)
    >>> decode_table(encoded) == table
    True
    """
    source = as_table(table)
    encoder = TableEncoder(source.schema, codecs, shapes, dtypes, threads)
    batches = [encoder.encode(batch) for batch in source.to_batches()]
    return pa.Table.from_batches(batches, encoder.schema)


def decode_table(
    table: Any, columns: Sequence[str] | None = None, threads: int | None = None
) -> pa.Table:
    """Decode the columns of frames in a table, all or those named.

    These are the columns of type `latrans.tensor` and, since frames say what they are, those of
    bytes that lost the type in another library, such as pandas or duckdb, and of which all values
    are frames.  Columns that are stored as one, type `latrans.columns`, are left to
    `decode_columns`.

    Parameters
    ----------
    table : pyarrow.Table, RecordBatch, or anything with the Arrow C stream interface
    columns : sequence of str, optional
        By default all that there are; the others are taken over as they are.
    threads : int, optional
        As in `Codec.decode_batch`.

    Raises
    ------
    ConfigError
        If a column that is named holds no frames.
    CodecError
        If a frame is damaged, or not of its column's type.
    ModelNotFoundError
        If the model that wrote a frame is not found.

    Warns
    -----
    LatransWarning
        Where a column that is not named holds frames that no one column can hold decoded, or
        columns stored as one that lost their type.

    Examples
    --------
    >>> import numpy as np, pyarrow as pa
    >>> from latrans import Codec
    >>> from latrans.arrow import decode_table
    >>> frames = [Codec("series-1").encode(np.arange(3, dtype="int16"))]
    >>> decode_table(pa.table({"signal": frames})).column("signal")[0].as_py()
    [0, 1, 2]
    """
    source = as_table(table)
    if columns is None:
        warn_of_groups(source)
    return decoded_table(source, columns, threads)


def decoded_table(source: pa.Table, columns: Sequence[str] | None, threads: int | None) -> pa.Table:
    """As `decode_table`, without a word of columns stored as one."""
    decoder = TableDecoder(source.schema, columns, threads, types_of(source, columns))
    if decoder.schema.equals(source.schema):  # nothing to decode; without columns rows are left
        return source
    batches = [decoder.decode(batch) for batch in source.to_batches()]
    return pa.Table.from_batches(batches, decoder.schema)


def _stored(array: pa.Array, kind: TensorType | ColumnsType) -> pa.Array:
    """An encoded column in the usual layout."""
    if isinstance(kind, TensorType):
        return bytes_of(array)
    return storage_of(pa.chunked_array([array]))


def index_of(schema: pa.Schema, name: str) -> int:
    """Where a column is; `ConfigError` if there is none of that name, or more than one."""
    found = schema.get_all_field_indices(name)
    if len(found) != 1:
        what = "no" if not found else "more than one"
        raise ConfigError(f"there is {what} column {name!r}; there are {', '.join(schema.names)}")
    return int(found[0])
