"""Scan: files whose columns are stored as one, row group by row group.

A value holds many rows, so pyarrow's own filter never sees it: what it leaves of the rows' numbers
says which values are wanted, and these are read apart.  Filters of columns that only decoding shows
are applied to decoded values, of which few are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from ...errors import ConfigError
from ...threads import count
from .encoder import VALUE_ROWS
from .rows import take, values_in
from .type import DATA, ROW, ROW_BITS, STORAGE, ColumnsType


class Groups:
    """Columns of a file that are stored as one.

    Parameters
    ----------
    kinds : mapping from name to ColumnsType
    schema : pyarrow.Schema
        Of the file, with tensors as bytes.

    Attributes
    ----------
    stored : pyarrow.Schema
        The same, with those as the structs that they are.
    """

    def __init__(self, kinds: Mapping[str, ColumnsType], schema: pa.Schema) -> None:
        self.kinds = dict(kinds)
        fields = [f.with_type(STORAGE) if f.name in kinds else f for f in schema]
        self.stored = pa.schema(fields, schema.metadata)
        self._plain = pa.schema([field for field in schema if field.name not in kinds])
        self._home = {column: name for name, k in kinds.items() for column in k.columns.names}

    def hold(self, names: Iterable[str]) -> bool:
        """Whether any of these columns is stored with others."""
        return any(name in self._home for name in names)

    def are_needed_for(self, where: Any) -> bool:
        """Whether a filter can only be told after decoding."""
        return bool(self.kinds) and where is not None and not binds(self._plain, where)

    def batches(
        self,
        fragment: Any,
        schema: pa.Schema,
        names: Sequence[str],
        where: Any,
        threads: int | None,
        options: Mapping[str, Any],
        late: bool = False,
        compared: bool = False,
    ) -> Iterator[pa.RecordBatch]:
        """Rows of a file, tensors still encoded.

        Parameters
        ----------
        fragment : pyarrow.dataset.ParquetFileFragment
        schema : pyarrow.Schema
            Of the file with all columns that are stored as one.
        names : sequence of str
            The columns to give.
        where : pyarrow.compute.Expression, optional
            The rows to give.
        threads : int, optional
        options : of a scanner
        late : bool
            Whether to filter decoded rows.
        compared : bool
            Whether the filter asks for a column whose statistics nothing can be compared with.
        """
        needed = [*names, *(asked_by(schema, where, names) if late else ())]
        homes = list(dict.fromkeys(self._home[name] for name in needed if name in self._home))
        plain = list(dict.fromkeys(name for name in needed if name not in self._home))
        columns = {f"c{i}": ds.field(name) for i, name in enumerate(plain)}
        columns |= {f"g{i}": ds.field(name, ROW) for i, name in enumerate(homes)}
        early = None if late else where
        # What a filter says of other columns leaves row groups out, whatever else it asks for.
        pruned = {"schema": schema if late else self.stored, "filter": None if compared else where}
        for part in fragment.split_by_row_group(**pruned):
            rows = scanner(part, self.stored, columns, early, options).to_table()
            if not len(rows):
                continue
            numbers = {home: _one(rows.column(f"g{i}")) for i, home in enumerate(homes)}
            own = part.row_groups[0].id
            values = {h: self._values(fragment, own, h, n) for h, n in numbers.items()}
            for start, stop in _runs(next(iter(numbers.values())), VALUE_ROWS * count(threads)):
                some = rows.slice(start, stop - start)
                found = {name: some.column(f"c{i}") for i, name in enumerate(plain)}
                for home in homes:
                    inside = numbers[home].slice(start, stop - start)
                    kind = self.kinds[home]
                    parts = take(inside, values[home], kind, threads)
                    found |= dict(zip(kind.columns.names, parts, strict=True))
                table = pa.table({name: found[name] for name in dict.fromkeys(needed)})
                if late:
                    table = table.filter(where)
                yield from table.select(list(names)).to_batches()

    def _values(self, fragment: Any, own: int, home: str, numbers: pa.Array) -> dict[int, bytes]:
        """The values that rows of a row group belong to.

        They are in the same row group as `write_parquet` writes files, before it or anywhere as
        other writers do.
        """
        ids = np.asarray(numbers.drop_null()) >> ROW_BITS
        wanted = set(np.unique(ids).tolist())
        found: dict[int, bytes] = {}
        others = [*range(own - 1, -1, -1), *range(own + 1, fragment.num_row_groups)]
        for group in (own, *others):
            if wanted <= set(found):
                break
            part = fragment.subset(row_group_ids=[group], schema=self.stored)
            data = ds.field(home, DATA)
            read = scanner(part, self.stored, {DATA: data}, data.is_valid(), {}).to_table()
            new = values_in(_one(read.column(DATA)))
            found |= {one: value for one, value in new.items() if one in wanted}
        return found


def scanner(
    fragment: Any, schema: pa.Schema, columns: Any, where: Any, options: Mapping[str, Any]
) -> Any:
    """A scanner of a file; `ConfigError` for a filter or options that do not suit."""
    try:
        return fragment.scanner(schema=schema, columns=columns, filter=where, **options)
    except (pa.ArrowException, TypeError) as error:
        raise ConfigError(f"{fragment.path} cannot be scanned like this: {error}") from error


def filtered(
    batches: Iterable[pa.RecordBatch], where: Any, names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """What a filter leaves of batches that hold more columns than are wanted."""
    for batch in batches:
        yield from pa.Table.from_batches([batch]).filter(where).select(list(names)).to_batches()


def has_statistics(fragment: Any, names: Sequence[str]) -> bool:
    """Whether a file has minima and maxima of columns, as others write them of frames, too.

    pyarrow fails to compare those of an extension type.
    """
    footer = fragment.metadata
    columns = [
        column
        for i in range(footer.num_row_groups)
        for column in map(footer.row_group(i).column, range(footer.num_columns))
    ]
    return any(column.path_in_schema in names and column.is_stats_set for column in columns)


def _runs(numbers: pa.Array, n_rows: int) -> Iterator[tuple[int, int]]:
    """Runs of about so many rows, cut where one value's end if they can be."""
    ids = np.asarray(numbers.fill_null(-1).to_numpy(zero_copy_only=False)) >> ROW_BITS
    ends = np.append(np.flatnonzero(np.diff(ids)) + 1, len(ids))
    start = 0
    while start < len(ids):
        within = ends[(ends > start) & (ends <= start + n_rows)]
        stop = int(within[-1]) if within.size else min(start + n_rows, len(ids))
        yield start, stop
        start = stop


def asked_by(schema: pa.Schema, where: Any, names: Sequence[str]) -> list[str]:
    """The columns that a filter asks for, beside those named."""
    if not binds(schema, where):
        raise ConfigError(f"filter {where} asks for columns that are not there, or of other types")
    others = [i for i, field in enumerate(schema) if field.name not in names]
    return [schema.names[i] for i in others if not binds(schema.remove(i), where)]


def binds(schema: pa.Schema, where: Any) -> bool:
    # Schema.empty_table knows no tensors with a permutation.
    nothing = pa.table([pa.chunked_array([], field.type) for field in schema], schema=schema)
    try:
        nothing.filter(where)
    except pa.ArrowException:
        return False
    return True


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
