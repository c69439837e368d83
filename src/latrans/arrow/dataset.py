"""Datasets: files with tensor columns, scanned, with what was asked for decoded.

Filters and row groups are pyarrow's own: a tensor that is filtered out is never decoded, and a
column that is not projected is not even read.  Columns that are stored as one are decoded by
`latrans.arrow.columns.scan`, whatever the filter leaves of their rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from ..errors import CodecError, ConfigError
from . import models
from .columns.scan import Groups, asked_by, binds, filtered, has_statistics, scanner
from .columns.type import ColumnsType, columns_type, restored
from .files import locate, reading
from .lost import Watch
from .tables import TableDecoder, decoded_table, index_of
from .tensor.cells import Cells
from .tensor.type import TensorType, tensor_type


class Dataset:
    """Parquet files as one table, decoded while it is scanned.

    Made by `dataset`.

    Attributes
    ----------
    schema : pyarrow.Schema
        Of what scans give.
    encoded_schema : pyarrow.Schema
        Of the files, with `latrans.tensor` and `latrans.columns` columns.
    metadata : dict from bytes to bytes
        Of the first file's footer.
    """

    def __init__(
        self, inner: ds.Dataset, name: str, decode: bool = True, threads: int | None = None
    ) -> None:
        self._name, self._decode, self._threads = name, decode, threads
        with reading(name):
            first = next(iter(inner.get_fragments()), None)
            self.metadata = dict((first and first.metadata.metadata) or {})
        found = {field.name: tensor_type(field) for field in inner.schema}
        self._types = {k: kind for k, kind in found.items() if kind is not None}
        self.encoded_schema = models.without(inner.schema) if decode else inner.schema
        # As bytes, so that files whose columns were written by different codecs go together.
        stored = inner.schema
        for column, kind in self._types.items():
            i = index_of(stored, column)
            stored = stored.set(i, pa.field(column, pa.large_binary(), stored.field(i).nullable))
            self._encode(i, kind)
        groups = {f.name: group for f in inner.schema if (group := columns_type(f)) is not None}
        for column, group in groups.items():
            self._encode(index_of(stored, column), group)
        self._groups = Groups(groups, stored)
        self._inner, self._stored = inner, self._groups.stored
        # With the columns that are stored as one, and tensors still encoded.
        self._between = restored(self.encoded_schema) if decode else self.encoded_schema
        self.schema = self._decoder(None).schema if decode else self.encoded_schema

    def _encode(self, i: int, kind: pa.DataType) -> None:
        """Give a column its type, which it may have as metadata only."""
        field = self.encoded_schema.field(i).with_type(kind)
        self.encoded_schema = self.encoded_schema.set(i, field)

    def to_batches(
        self, columns: Sequence[str] | None = None, filter: Any = None, **options: Any
    ) -> Iterator[pa.RecordBatch]:
        """Scan, batch by batch.

        Parameters
        ----------
        columns : sequence of str, optional
            Which columns to read and decode.
        filter : pyarrow.compute.Expression or list of tuples, optional
            Which rows; the others are not decoded.
        **options
            Of `pyarrow.dataset.Fragment.scanner`, such as `batch_size`.

        Raises
        ------
        CodecError, ConfigError, ModelNotFoundError
            As `read_parquet`.

        Warns
        -----
        LatransWarning
            Where a column holds frames that are not decoded, since its file lost its type.
        """
        watch = Watch(self._schema_of(self._names(columns)), self._name) if self._decode else None
        for batch in self._batches(columns, filter, options):
            if watch is not None:
                watch.look(batch)
            yield batch

    def _batches(
        self, columns: Sequence[str] | None, filter: Any, options: Mapping[str, Any]
    ) -> Iterator[pa.RecordBatch]:
        names = self._names(columns)
        decoder = self._decoder(names)
        where = self._where(filter)
        grouped = self._groups.are_needed_for(where) and self._decode
        asked = self._asked_tensors(where)
        try:
            fragments = iter(list(self._inner.get_fragments(None if grouped else where)))
        except pa.ArrowException as error:
            raise ConfigError(f"{self._name} cannot be filtered like this: {error}") from error
        while True:
            with reading(self._name):
                fragment = next(fragments, None)
                if fragment is None:
                    return
                self._prepare(fragment, names, grouped)
                compared = bool(asked) and has_statistics(fragment, asked)
            late = grouped or compared
            if grouped or (self._decode and self._groups.hold(names)):
                batches = self._groups.batches(
                    fragment, self._between, names, where, self._threads, options, late, compared
                )
            elif compared:
                every = list(dict.fromkeys([*names, *asked_by(self._stored, where, names)]))
                scanned = scanner(fragment, self._stored, every, None, options)
                batches = filtered(scanned.to_batches(), where, names)
            else:
                scanned = scanner(fragment, self._stored, names, where, options)
                batches = iter(scanned.to_batches())
            while True:
                with reading(self._name):
                    batch = next(batches, None)
                if batch is None:
                    break
                if not names:
                    yield batch
                elif len(batch) and self._decode:
                    yield from decoder.batches(batch)
                elif len(batch):
                    yield self._typed(batch, self._schema_of(names))

    def to_reader(
        self, columns: Sequence[str] | None = None, filter: Any = None, **options: Any
    ) -> pa.RecordBatchReader:
        """The same as a stream, which any reader of Arrow takes."""
        schema = self._schema_of(self._names(columns))
        batches = self.to_batches(columns, filter, **options)
        return pa.RecordBatchReader.from_batches(schema, batches)

    def to_table(
        self, columns: Sequence[str] | None = None, filter: Any = None, **options: Any
    ) -> pa.Table:
        """The same as a table.

        Columns of bytes that are all frames are decoded, too, as by `decode_table`, which a stream
        cannot know beforehand.
        """
        schema = self._schema_of(self._names(columns))
        batches = list(self._batches(columns, filter, options))
        table = pa.Table.from_batches(batches, schema)
        if not self._decode:
            return table
        watch = Watch(schema, self._name, groups_only=True)
        for batch in batches:
            watch.look(batch)
        return decoded_table(table, None, self._threads)

    def count_rows(self, filter: Any = None) -> int:
        """How many rows there are; decodes nothing but what the filter asks for."""
        where = self._where(filter)
        grouped = self._decode and self._groups.are_needed_for(where)
        if grouped or self._asked_tensors(where):
            return sum(len(batch) for batch in self._batches([], where, {}))
        with reading(self._name):
            return int(self._inner.count_rows(filter=where))

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.to_reader().__arrow_c_stream__(requested_schema)

    def _where(self, given: Any) -> Any:
        """A filter as an expression; `ConfigError` for one that these columns cannot answer."""
        where = _expression(given)
        if where is not None and not binds(self._between, where):
            raise ConfigError(
                f"{self._name} cannot be filtered like this: {where} asks for columns that are not "
                "there, or of other types; of columns of arrays only whether they are null can be "
                "asked"
            )
        return where

    def _asked_tensors(self, where: Any) -> list[str]:
        """The encoded columns that a filter asks for."""
        if where is None:
            return []
        schema = self._between
        return [
            name
            for name in self._types
            if not binds(schema.remove(schema.get_field_index(name)), where)
        ]

    def _names(self, columns: Sequence[str] | None) -> list[str]:
        if columns is None:
            return list(self._between.names)
        for name in columns:
            index_of(self._between, name)
        return list(columns)

    def _decoder(self, names: list[str] | None) -> TableDecoder:
        chosen = self._between.names if names is None else names
        fields = [self._between.field(name) for name in chosen]
        schema = pa.schema(fields, self._between.metadata)
        return TableDecoder(schema, threads=self._threads)

    def _schema_of(self, names: list[str]) -> pa.Schema:
        if self._decode:
            return self._decoder(names).schema
        fields = [self.encoded_schema.field(name) for name in names]
        return models.without(pa.schema(fields, self.encoded_schema.metadata))

    def _prepare(self, fragment: Any, names: list[str], late: bool) -> None:
        """Check a file's columns, and take in the models that it holds."""
        for name in names:
            if name not in fragment.physical_schema.names:
                continue
            kind = self._types.get(name)
            other = tensor_type(fragment.physical_schema.field(name))
            if _rows(other) != _rows(kind):
                raise CodecError(
                    f"column {name!r} is {_say(other)} in {fragment.path} and {_say(kind)} in "
                    "the first file: read these files one by one"
                )
        for field in fragment.physical_schema:
            if columns_type(field) is not None and field.name not in self._groups.kinds:
                raise CodecError(
                    f"column {field.name!r} of {fragment.path} holds columns stored as one, which "
                    "it does not in the first file: read these files one by one"
                )
        for name, group in self._groups.kinds.items():
            there = name in fragment.physical_schema.names
            other_group = columns_type(fragment.physical_schema.field(name)) if there else None
            if other_group is None or not other_group.columns.equals(group.columns):
                raise CodecError(
                    f"column {name!r} holds other columns in {fragment.path} than in the first "
                    "file: read these files one by one"
                )
        held = late or self._groups.hold(names)
        if self._decode and (held or any(name in self._types for name in names)):
            models.take_in(fragment.metadata.metadata)

    def _typed(self, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
        columns = [
            pa.ExtensionArray.from_storage(field.type, column)
            if isinstance(field.type, (TensorType, ColumnsType))
            else column
            for field, column in zip(schema, batch.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=schema)


def dataset(where: Any, decode: bool = True, threads: int | None = None, **options: Any) -> Dataset:
    """Open Parquet files as one table.

    Parameters
    ----------
    where : path, list of paths, fsspec URL or binary file
        A folder stands for all files in it.  What names of folders say in Hive's manner, as in
        ``year=2013/``, is a column.
    decode : bool
        Whether scans give decoded columns; else `latrans.tensor`.
    threads : int, optional
        As in `Codec.decode_batch`.
    **options
        Of `pyarrow.dataset.dataset`, such as `partitioning`.

    Raises
    ------
    CodecError
        If a file is damaged or not a Parquet file.
    """
    checked = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    kind = ds.ParquetFileFormat(default_fragment_scan_options=checked)
    if hasattr(where, "read"):
        with reading("the file"):
            fragment = kind.make_fragment(pa.PythonFile(where, "r"))
            inner = ds.FileSystemDataset([fragment], fragment.physical_schema, kind)
        return Dataset(inner, "the file", decode, threads)
    several = isinstance(where, (list, tuple))
    located = [locate(one) for one in (where if several else [where])]
    paths, files = [path for _, path in located], located[0][0] if located else None
    name = paths[0] if len(paths) == 1 else f"one of {len(paths)} files"
    if files is None and not several and not os.path.exists(paths[0]):
        raise FileNotFoundError(2, "No such file or directory", paths[0])
    given = {"filesystem": files, "format": kind, **options}
    source = paths if several else paths[0]
    with reading(name):
        is_one = files is None and not several and os.path.isfile(paths[0])
        inner = _partitioned(source, given) if "partitioning" not in given and not is_one else None
        inner = ds.dataset(source, **given) if inner is None else inner
    return Dataset(inner, name, decode, threads)


def _partitioned(source: Any, options: Mapping[str, Any]) -> ds.Dataset | None:
    """A dataset with what its folders say; None where that contradicts a column in the files."""
    try:
        return ds.dataset(source, partitioning="hive", **options)
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return None


def _expression(given: Any) -> Any:
    """A filter as an expression."""
    if given is None or isinstance(given, ds.Expression):
        return given
    try:
        return pq.filters_to_expression(given)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise ConfigError(f"filter {given!r} cannot be used: {error}") from error


def _rows(kind: TensorType | None) -> Cells | None:
    """What the arrays in a column's rows are, whichever lists they are decoded to."""
    return None if kind is None else replace(kind.cells, list_type=None)


def _say(kind: TensorType | None) -> str:
    if kind is None:
        return "no tensor"
    return f"{kind.cells.dtype} of shape {kind.shape}"
