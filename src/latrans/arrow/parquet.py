"""Parquet files with tensor columns: written as a stream, read whole.

Frames are as small as they get, so their columns are not compressed again, and have neither
dictionary nor statistics.  They are stored as DELTA_BYTE_ARRAY, which keeps what a value has in
common with the one before only once: of frames, the header.  All readers of Parquet undo it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import ConfigError
from . import models
from .columns.encoder import GroupEncoder
from .columns.type import DATA, ROW, columns_type
from .dataset import dataset
from .files import writing
from .sources import as_reader, nbytes_of
from .tables import TableEncoder
from .tensor.decode import SLICE_NBYTES

GROUP_NBYTES = 64 << 20  # of decoded rows in a row group
MAX_GROUP_ROWS = 1 << 20
_ENCODING = "DELTA_BYTE_ARRAY"
_NUMBERS = "DELTA_BINARY_PACKED"  # of rows in their values, which count up by one


def write_parquet(
    data: Any,
    where: Any,
    codecs: Mapping[str, Any] | None = None,
    *,
    tables: Mapping[str, Any] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    dtypes: Mapping[str, Any] | None = None,
    row_group_size: int | None = None,
    model_in_footer: bool | None = None,
    compression: str | Mapping[str, str] = "zstd",
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    **options: Any,
) -> None:
    """Write a table to a Parquet file, columns of arrays as frames, batch by batch.

    Memory holds a row group, its tensor columns encoded, and the batch in work.

    Parameters
    ----------
    data : pyarrow.RecordBatchReader, Table, RecordBatch, or a Dataset or Scanner of pyarrow or of
        latrans, or anything with the Arrow C stream interface, such as a polars.DataFrame
    where : path, fsspec URL or binary file
        A path or URL appears only when the file is complete.
    codecs : mapping from column to codec, optional
        As in `encode_table`.  Columns that are `latrans.tensor` already are written as they are.
    tables : mapping from name to (columns, codec) or (columns, codec, max_error), optional
        Numeric columns to encode together as one column of that name, as in `encode_columns`;
        max_error is a mapping from column to float, and columns that it does not name are exact.
    shapes, dtypes : mappings from column to shape and dtype, optional
        As in `encode_table`.
    row_group_size : int, optional
        In rows; by default as many as make 64 MiB decoded.
    model_in_footer : bool, optional
        Put the models themselves into the file, which then needs nothing beside it; by default
        those that are not shipped with latrans.
    compression : str, or mapping from column path to str
        Of all other columns.
    threads : int, optional
        As in `Codec.encode_batch`.
    progress : function of one int, optional
        Called with the number of rows of each row group that is written.
    **options
        Of `pyarrow.parquet.ParquetWriter`.

    Raises
    ------
    ConfigError
        If a column is not there or holds no arrays of numbers.
    ModelNotFoundError
        If a model is not found.
    """
    if row_group_size is not None and row_group_size < 1:
        raise ConfigError(f"row_group_size is {row_group_size}; expected at least 1 row")
    reader = as_reader(data)
    encoder = TableEncoder(reader.schema, codecs, shapes, dtypes, threads)
    together = GroupEncoder(encoder.schema, tables, threads)
    kinds = {f.name: kind for f in together.schema if (kind := columns_type(f)) is not None}
    types: dict[str, Any] = {**encoder.all_types, **kinds}
    digests = models.digests_of(types.values())
    chosen = [name for name, kind in types.items() if kind.configuration["model"] == "auto"]
    known = {**(encoder.schema.metadata or {}), **(models.note(digests) if types else {})}
    schema = together.schema.with_metadata(known or None)
    encoded = {**dict.fromkeys(encoder.all_types, _ENCODING), **_encodings(kinds)}
    layout = _layout(schema, encoded, compression, options)
    with writing(where) as file, pq.ParquetWriter(file, schema, **layout) as writer:
        for raw in _groups(reader, encoder, row_group_size):
            group = together.encode(raw)
            for name in chosen:
                for chunk in group.column(name).chunks:
                    digests |= models.digests_in(chunk)
            writer.write_table(group.cast(schema), row_group_size=max(1, len(group)))
            if progress is not None:
                progress(len(group))
        if chosen:
            writer.add_key_value_metadata(models.note(digests))
        kept = models.kept(digests, model_in_footer)
        if kept:
            writer.add_key_value_metadata(models.inside(kept))


def read_parquet(
    where: Any,
    columns: Sequence[str] | None = None,
    filters: Any = None,
    decode: bool = True,
    threads: int | None = None,
) -> pa.Table:
    """Read a Parquet file, or a folder of them, with its tensor columns decoded.

    Columns of bytes that are all frames, as other libraries write them anew, are decoded, too.
    What names of folders say in Hive's manner, as in ``year=2013/``, is a column.

    Parameters
    ----------
    where : path, list of paths, fsspec URL or binary file
    columns : sequence of str, optional
        Which columns to read; others are neither read nor decoded.
    filters : pyarrow.compute.Expression, or list of tuples as in `pyarrow.parquet.read_table`
        Which rows to read; others are not decoded, and row groups without any not read.
    decode : bool
        Whether columns come decoded; else as `latrans.tensor`.
    threads : int, optional
        As in `Codec.decode_batch`.

    Raises
    ------
    CodecError
        If the file or a frame in it is damaged.
    ConfigError
        If there is no such column.
    ModelNotFoundError
        If a model is neither found nor in the file.

    Warns
    -----
    LatransWarning
        Where a column that was encoded is not decoded, since its type, or a column that can hold
        what it does, is not there.
    """
    return dataset(where, decode=decode, threads=threads).to_table(columns, filters)


def _groups(
    reader: Iterable[pa.RecordBatch], encoder: TableEncoder, size: int | None
) -> Iterator[pa.Table]:
    """Row groups of a stream, tensors encoded: of `size` rows, or of so many decoded bytes."""
    parts: list[pa.RecordBatch] = []
    n_rows = nbytes = 0
    for batch in reader:
        start = 0
        row_nbytes = nbytes_of(batch) / max(1, len(batch))
        while start < len(batch):
            most = max(1, int(SLICE_NBYTES / max(row_nbytes, 1)))
            left = (size or MAX_GROUP_ROWS) - n_rows
            if size is None:
                left = min(left, 1 + int(max(0, GROUP_NBYTES - nbytes) / max(row_nbytes, 1)))
            part = batch.slice(start, min(most, left))
            parts.append(encoder.encode(part))
            start += len(part)
            n_rows += len(part)
            nbytes += int(len(part) * row_nbytes)
            if n_rows == (size or MAX_GROUP_ROWS) or (size is None and nbytes >= GROUP_NBYTES):
                yield pa.Table.from_batches(parts, encoder.schema)
                parts, n_rows, nbytes = [], 0, 0
    if parts:
        yield pa.Table.from_batches(parts, encoder.schema)


def _layout(
    schema: pa.Schema,
    encoded: Mapping[str, str],
    compression: str | Mapping[str, str],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Options of the writer: those given, for all columns but the encoded ones."""
    others = [path for path in _leaves(schema) if path not in encoded]
    layout = {"write_page_checksum": True, **options}
    chosen = {path: _for(compression, path, "zstd") for path in others}
    numbers = {path for path, how in encoded.items() if how == _NUMBERS}
    layout["compression"] = {**chosen, **{p: "zstd" if p in numbers else "none" for p in encoded}}
    if options.get("compression_level") is not None:
        levels = {path: _for(options["compression_level"], path, None) for path in others}
        layout["compression_level"] = {k: v for k, v in levels.items() if v is not None}
    given = dict(options.get("column_encoding") or {})
    for name in ("use_dictionary", "write_statistics"):
        wanted = options.get(name, True)
        here = others if wanted is True else [] if not wanted else [*wanted]
        # A column has an encoding of its own or a dictionary, not both.
        off = {*encoded, *given} if name == "use_dictionary" else encoded
        layout[name] = [path for path in here if path not in off]
    layout["column_encoding"] = {**given, **encoded} or None
    return layout


def _encodings(names: Iterable[str]) -> dict[str, str]:
    """How the parts of columns that are stored as one are."""
    return {f"{n}.{part}": how for n in names for part, how in ((ROW, _NUMBERS), (DATA, _ENCODING))}


def _for(given: Any, path: str, otherwise: Any) -> Any:
    """An option of a column, from one for all or one per column."""
    return given.get(path, otherwise) if isinstance(given, Mapping) else given


def _leaves(schema: pa.Schema) -> list[str]:
    """Paths of a schema's columns in Parquet, which nested ones have several of."""
    empty = pa.BufferOutputStream()
    pq.ParquetWriter(empty, schema).close()
    found = pq.ParquetFile(pa.BufferReader(empty.getvalue())).schema
    return [found.column(i).path for i in range(len(found))]
