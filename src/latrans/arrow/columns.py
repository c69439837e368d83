"""Columns: tables with tensor columns encoded, and decoded again.

A batch of rows is encoded and decoded together, by `Codec.encode_batch` and `Codec.decode_batch`;
its frames are those of its rows one by one, and null rows stay null.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from ..codec import Codec
from ..config import Configured
from ..errors import CodecError, ConfigError
from ..frame import Frame, unpack
from ..store import open_model
from .types import EXTENSION_NAME, Cells, TensorArray, TensorType, tensor_type
from .values import decoded_type, describe, from_rows, from_stacked, rows_of

Array = np.ndarray[Any, Any]

SLICE_NBYTES = 64 << 20  # of decoded rows that are in work at a time


def as_codec(codec: Any) -> Codec:
    """A codec from a `latrans.Codec`, a stored configuration, or whatever names a model."""
    if isinstance(codec, Codec):
        return codec
    if isinstance(codec, Configured):
        return codec._codec
    if isinstance(codec, Mapping):
        return Configured.from_mapping(codec)._codec
    return Codec(codec)


def configuration(codec: Codec) -> dict[str, Any]:
    """The stored form of a codec, its model by digest ("auto" stays)."""
    model = codec.model if codec.model == "auto" else f"sha256:{open_model(codec.model).digest}"
    return Configured(
        model,
        codec.mode,
        codec.max_error,
        codec.fill_value,
        codec.axes,
        codec.quality,
        codec.step,
    ).to_mapping()


def encode_array(
    array: pa.Array | pa.ChunkedArray,
    codec: Any = "image-1",
    shape: Sequence[int] | None = None,
    dtype: Any = None,
    threads: int | None = None,
) -> pa.Array | pa.ChunkedArray:
    """Encode a column of arrays.

    Parameters
    ----------
    array : pyarrow.Array or ChunkedArray
        Fixed-shape tensors, lists, or bytes, see `latrans.arrow.values`.
    codec : Codec, stored configuration, or what names a model
    shape, dtype : optional
        Of each row, where the column's type does not say them.
    threads : int, optional
        As in `Codec.encode_batch`.

    Raises
    ------
    ConfigError
        If the column holds no arrays of numbers, or a row has a null inside.
    """
    chosen, cells = as_codec(codec), describe(array.type, shape, dtype)
    kind = TensorType(cells, configuration(chosen))
    if isinstance(array, pa.ChunkedArray):
        parts = [_encoded(chunk, kind, chosen, dtype, threads) for chunk in array.chunks]
        return pa.chunked_array(parts, kind)
    return _encoded(array, kind, chosen, dtype, threads)


def decode_array(
    array: pa.Array | pa.ChunkedArray, kind: TensorType | None = None, threads: int | None = None
) -> pa.Array | pa.ChunkedArray:
    """Decode a column of frames.

    Parameters
    ----------
    array : pyarrow.Array or ChunkedArray
        Of type `latrans.tensor`, or of bytes that are frames.
    kind : TensorType, optional
        What the column's type does not say; by default what the first frame holds.
    threads : int, optional
        As in `Codec.decode_batch`.

    Returns
    -------
    pyarrow.Array or ChunkedArray
        Of fixed-shape tensors; where rows differ in shape, of lists, or of structs of data and
        shape for more than one dimension.

    Raises
    ------
    CodecError
        If a frame is damaged, or not of the column's type.
    ModelNotFoundError
        If the model that wrote a frame is not at hand.
    """
    kind = kind or tensor_type(array.type)
    cells = kind.cells if kind is not None else _cells_of(array)
    if isinstance(array, pa.ChunkedArray):
        parts = [_decoded(chunk, cells, threads) for chunk in array.chunks]
        return pa.chunked_array(parts, decoded_type(cells))
    return _decoded(array, cells, threads)


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
                columns[i] = _encoded(columns[i], kind, codec, dtype, self._threads)
            except ConfigError as error:
                raise ConfigError(f"column {name!r}: {error}") from error
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
    ) -> None:
        found = {i: tensor_type(field) for i, field in enumerate(schema)}
        wanted = None if columns is None else {index_of(schema, name) for name in columns}
        self._types = {
            i: kind
            for i, kind in found.items()
            if kind is not None and (wanted is None or i in wanted)
        }
        for i in (wanted or set()) - set(self._types):
            raise ConfigError(
                f"column {schema.names[i]!r} is {schema.types[i]}, not {EXTENSION_NAME}: there is "
                "nothing to decode; for plain bytes that are frames use decode_array"
            )
        self._threads = threads
        for i, kind in self._types.items():
            metadata = {
                key: value
                for key, value in (schema.field(i).metadata or {}).items()
                if not key.startswith(b"ARROW:extension:")
            }
            field = schema.field(i).with_type(decoded_type(kind.cells))
            schema = schema.set(i, field.with_metadata(metadata or None))
        self.schema = schema

    def decode(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Decode a batch."""
        columns = list(batch.columns)
        for i, kind in self._types.items():
            columns[i] = _decoded(columns[i], kind.cells, self._threads)
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def batches(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Decode a batch in slices, so that not too many rows are decoded at a time."""
        start = 0
        while start < len(batch):
            n = min(
                (_fitting(batch.column(i)[start:], kind.cells) for i, kind in self._types.items()),
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
    """Decode the `latrans.tensor` columns of a table, all or those named.

    Raises
    ------
    CodecError
        If a frame is damaged, or not of its column's type.
    ModelNotFoundError
        If the model that wrote a frame is not at hand.
    """
    source = as_table(table)
    decoder = TableDecoder(source.schema, columns, threads)
    batches = [decoder.decode(batch) for batch in source.to_batches()]
    return pa.Table.from_batches(batches, decoder.schema)


def as_table(table: Any) -> pa.Table:
    """A table from whatever pyarrow makes one of."""
    if isinstance(table, pa.Table):
        return table
    if isinstance(table, pa.RecordBatch):
        return pa.Table.from_batches([table])
    if not hasattr(table, "__arrow_c_stream__"):
        raise ConfigError(
            f"{type(table).__name__} is no table; expected a pyarrow.Table or an object with the "
            "Arrow C stream interface, such as a polars.DataFrame"
        )
    return pa.table(table)


def index_of(schema: pa.Schema, name: str) -> int:
    """Where a column is; `ConfigError` if there is none of that name, or more than one."""
    found = schema.get_all_field_indices(name)
    if len(found) != 1:
        what = "no" if not found else "more than one"
        raise ConfigError(f"there is {what} column {name!r}; there are {', '.join(schema.names)}")
    return int(found[0])


def decode_frames(frames: Sequence[bytes], cells: Cells, threads: int | None = None) -> list[Array]:
    """Arrays of frames, each checked against the column's type."""
    rows = Codec().decode_batch(frames, threads)
    for row in rows:
        cells.check(row)
    return rows


def decode_rows(array: pa.Array, threads: int | None = None) -> list[Array | None]:
    """Arrays of a column's rows, None for null rows."""
    found = iter(decode_frames(_frames(array), array.type.cells, threads))
    return [next(found) if valid else None for valid in _valid(array)]


def decode_stacked(array: pa.Array, threads: int | None = None) -> Array:
    """All rows of a column in one array, (rows, *shape)."""
    cells = array.type.cells
    if cells.shape is None:
        raise ConfigError("rows differ in shape: use to_pylist or to_numpy, one array per row")
    if array.null_count:
        raise ConfigError("the column has nulls: drop_null() first, or use to_pylist")
    return _stacked(array, cells, None, threads)


def _encoded(
    array: pa.Array, kind: TensorType, codec: Codec, dtype: Any, threads: int | None
) -> pa.Array:
    frames: list[bytes | None] = list(
        codec.encode_batch(rows_of(array, kind.cells, dtype), threads)
    )
    if array.null_count:
        there = iter(frames)
        frames = [next(there) if valid else None for valid in _valid(array)]
    return pa.ExtensionArray.from_storage(kind, pa.array(frames, pa.large_binary()))


def _decoded(array: pa.Array, cells: Cells, threads: int | None) -> pa.Array:
    valid = _valid(array) if array.null_count else None
    if cells.shape is not None:
        return from_stacked(_stacked(array, cells, valid, threads), valid, cells)
    rows = iter(decode_frames(_frames(array), cells, threads))
    there = _valid(array)
    return from_rows([next(rows) if is_there else None for is_there in there], cells)


def _stacked(array: pa.Array, cells: Cells, valid: Array | None, threads: int | None) -> Array:
    """Rows of one shape in one array, with zeros for null rows."""
    assert cells.shape is not None
    places = np.arange(len(array)) if valid is None else np.flatnonzero(valid)
    frames, step = _frames(array), max(1, SLICE_NBYTES // cells.row_nbytes)
    out = np.zeros((0, *cells.shape), cells.dtype)
    for start in range(0, len(frames), step):
        rows = decode_frames(frames[start : start + step], cells, threads)
        if not start:  # memory is taken when the first rows are what the column's type says
            out = np.zeros((len(array), *cells.shape), cells.dtype)
        for i, row in zip(places[start : start + step], rows, strict=True):
            out[i] = row
    return out if frames else np.zeros((len(array), *cells.shape), cells.dtype)


def _frames(array: pa.Array) -> list[bytes]:
    """Bytes of the rows that are not null."""
    storage = _storage(array).drop_null()
    if not len(storage):
        return []
    offsets = np.frombuffer(storage.buffers()[1], np.int64)[storage.offset :][: len(storage) + 1]
    data = memoryview(storage.buffers()[2] or b"")
    return [bytes(data[a:b]) for a, b in pairwise(offsets)]


def _storage(array: pa.Array) -> pa.Array:
    """A column as large_binary, with offsets that are inside of its bytes."""
    storage = array.storage if isinstance(array, pa.ExtensionArray) else array
    try:
        storage = storage.cast(pa.large_binary())
    except pa.ArrowNotImplementedError as error:
        raise ConfigError(f"a column of {array.type} holds no frames; expected bytes") from error
    try:
        # Columns that came over a connection may claim anything.
        storage.validate(full=True)
    except pa.ArrowInvalid as error:
        raise CodecError(f"a column of frames is damaged: {error}") from error
    return storage


def _valid(array: pa.Array) -> Array:
    return np.asarray(array.is_valid())


def _header(frame: bytes) -> Frame:
    return unpack(frame)


def _cells_of(array: pa.Array | pa.ChunkedArray) -> Cells:
    """What plain bytes hold, as their first frames tell."""
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    headers = [_header(frame) for chunk in chunks for frame in _frames(chunk)]
    if not headers:
        raise ConfigError("a column of bytes without frames has no shape: give its type")
    first = headers[0]
    alike = all(header.shape == first.shape for header in headers)
    return Cells(first.dtype.newbyteorder("="), len(first.shape), first.shape if alike else None)


def _fitting(array: pa.Array, cells: Cells) -> int:
    """How many of the first rows may be decoded together, at least one."""
    if cells.shape is not None:
        return max(1, SLICE_NBYTES // cells.row_nbytes)
    total = 0
    for i, value in enumerate(_storage(array)):
        if value.is_valid:
            header = _header(value.as_py())
            total += int(np.prod(header.shape, dtype=object)) * header.dtype.itemsize
        if i and total > SLICE_NBYTES:
            return i
    return max(1, len(array))


__all__ = ["TensorArray", "decode_array", "decode_table", "encode_array", "encode_table"]
