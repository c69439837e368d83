"""Folders: an array as a folder of Parquet files, one row per item of its first dimension.

Each file is a part of so many rows, written whole or not at all, so parts may be written side by
side and a job that was stopped goes on with those that are not there.  Column "index" numbers the
rows through all parts; what else the array had (chunks, attributes, names) is JSON in the schema's
metadata, entry ``latrans.array``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import CodecError, ConfigError
from .dataset import dataset
from .files import locate, reading
from .parquet import write_parquet
from .tensor.arrays import decoded_type, from_stacked
from .tensor.cells import Cells
from .tensor.encode import as_codec, configuration
from .tensor.type import tensor_type

Array = np.ndarray[Any, Any]

INDEX = "index"
ARRAY = b"latrans.array"
_ROWS_NBYTES = 64 << 20  # of a part, unless a row is larger


@dataclass(frozen=True)
class Folder:
    """An array as it lies in a folder of Parquet files.

    Attributes
    ----------
    path : str
        Path or fsspec URL.
    column : str
        Name of the column of arrays.
    shape : tuple of int
        Of the whole array, rows first.
    dtype : str
        A NumPy name.
    part_rows : int
        Rows of each part but the last.
    chunks, attributes, dimension_names
        Of the array that it was; None where it had none.
    """

    path: str
    column: str
    shape: tuple[int, ...]
    dtype: str
    part_rows: int
    chunks: tuple[int, ...] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    dimension_names: tuple[str | None, ...] | None = None

    @property
    def starts(self) -> range:
        """The first row of each part."""
        return range(0, self.shape[0], self.part_rows)

    def part(self, start: int) -> str:
        """Path of the part that begins with a row."""
        return f"{self.path.rstrip('/')}/part-{start:012}.parquet"

    def stop(self, start: int) -> int:
        """The row after the last one of a part."""
        return min(start + self.part_rows, self.shape[0])


def plan(
    source: Any, path: str | os.PathLike[str], column: str = "array", part_rows: int | None = None
) -> Folder:
    """How an array will lie in a folder.

    Parameters
    ----------
    source : array
        With shape, dtype and indexing by slices, such as a `zarr.Array`.
    path : path or fsspec URL
    column : str
    part_rows : int, optional
        By default as many as make 64 MiB, in whole chunks of the source.

    Raises
    ------
    ConfigError
        If the array has fewer than two dimensions, or values that no column holds.
    """
    if not hasattr(source, "shape"):
        raise ConfigError(f"{source!r:.80} is not an array; expected one, not a group")
    shape, dtype = tuple(source.shape), np.dtype(source.dtype).newbyteorder("=")
    if len(shape) < 2 or not shape[0]:
        raise ConfigError(f"an array of shape {shape} has no rows that are arrays")
    cells = Cells(dtype, len(shape) - 1, shape[1:])
    chunks = getattr(source, "chunks", None)
    if part_rows is None:
        whole = chunks[0] if chunks else 1
        part_rows = max(1, _ROWS_NBYTES // (cells.row_nbytes * whole)) * whole
    if part_rows < 1:
        raise ConfigError(f"parts of {part_rows} rows; expected at least 1")
    names = getattr(getattr(source, "metadata", None), "dimension_names", None)
    return Folder(
        os.fspath(path),
        column,
        shape,
        dtype.name,
        part_rows,
        chunks and tuple(chunks),
        dict(getattr(source, "attrs", {})),
        names and tuple(names),
    )


def write_part(
    folder: Folder, source: Any, start: int, codec: Any, model_in_footer: bool | None = None
) -> int:
    """Write one part, unless it is there; returns the bytes that it takes.

    Raises
    ------
    ConfigError
        If what is there is a part of another array, or was written by another codec.
    """
    path = folder.part(start)
    described = {ARRAY: json.dumps({**asdict(folder), "path": None}).encode()}
    there = _size(path)
    if there is not None:
        schema = _schema(path)
        kind = tensor_type(schema.field(folder.column)) if folder.column in schema.names else None
        how = configuration(as_codec(codec))
        same = (schema.metadata or {}).get(ARRAY) == described[ARRAY]
        if not same or kind is None or kind.configuration != how:
            raise ConfigError(
                f"{path} is a part of another array or of another codec: choose another folder, "
                "or remove what is in this one"
            )
        return there
    stop = folder.stop(start)
    rows = np.ascontiguousarray(source[start:stop], np.dtype(folder.dtype))
    column = from_stacked(rows, None, _cells(folder))
    fields = [pa.field(INDEX, pa.int64()), pa.field(folder.column, column.type)]
    table = pa.table([pa.array(np.arange(start, stop)), column], pa.schema(fields, described))
    _make_folder(folder.path)
    write_parquet(table, path, {folder.column: codec}, model_in_footer=model_in_footer)
    return _size(path) or 0


def read_part(folder: Folder, start: int, threads: int | None = None) -> Array:
    """Rows of one part, decoded, (rows, *shape).

    Raises
    ------
    CodecError
        If the part is damaged, or holds other rows.
    """
    path = folder.part(start)
    table = dataset(path, threads=threads).to_table([INDEX, folder.column])
    stop = folder.stop(start)
    expected = decoded_type(_cells(folder)).storage_type
    column = table[folder.column].combine_chunks()
    if table[INDEX].to_pylist() != list(range(start, stop)) or column.type.storage_type != expected:
        raise CodecError(f"{path} does not hold rows {start} to {stop - 1} of {folder.shape}")
    return np.asarray(column.to_numpy_ndarray())


def copy_part(folder: Folder, target: Any, start: int) -> int:
    """Write the rows of one part to an array; returns the bytes that they are."""
    rows = read_part(folder, start)
    target[start : start + len(rows)] = rows
    return rows.nbytes


def open_folder(path: str | os.PathLike[str]) -> Folder:
    """A folder that `write_part` has written all parts of.

    Raises
    ------
    ConfigError
        If it is not one, or parts are missing.
    """
    text = os.fspath(path)
    first = f"{text.rstrip('/')}/part-{0:012}.parquet"
    if _size(first) is None:
        raise ConfigError(f"{text} is not a folder of an array's rows: there is no {first}")
    try:
        found = json.loads((_schema(first).metadata or {})[ARRAY])
        folder = Folder(
            text,
            str(found["column"]),
            tuple(map(int, found["shape"])),
            str(found["dtype"]),
            int(found["part_rows"]),
            found["chunks"] and tuple(map(int, found["chunks"])),
            dict(found["attributes"]),
            found["dimension_names"] and tuple(found["dimension_names"]),
        )
        if folder.part_rows < 1:
            raise ValueError(f"parts of {folder.part_rows} rows")
        _cells(folder)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{first} does not say what array it is a part of: {error}") from error
    missing = next((start for start in folder.starts if _size(folder.part(start)) is None), None)
    if missing is not None:
        raise ConfigError(
            f"{text} lacks the part of {folder.part_rows} rows from row {missing}: finish the job "
            "that writes it"
        )
    return folder


def remove_parts(path: str | os.PathLike[str]) -> None:
    """Delete the parts in a folder, to write it anew."""
    for part in _parts(os.fspath(path)):
        files, inner = locate(part)
        if files is None:
            os.unlink(inner)
        else:
            files.rm(inner)


def _parts(path: str) -> Iterable[str]:
    files, inner = locate(path)
    if files is None:
        names = os.listdir(inner) if os.path.isdir(inner) else []
    else:
        found = files.ls(inner, detail=False) if files.exists(inner) else []
        names = [name.rpartition("/")[2] for name in found]
    parts = [name for name in names if name.startswith("part-") and name.endswith(".parquet")]
    return [f"{path.rstrip('/')}/{name}" for name in parts]


def _schema(path: str) -> pa.Schema:
    files, inner = locate(path)
    with reading(path):
        return pq.read_schema(inner, filesystem=files)


def _cells(folder: Folder) -> Cells:
    return Cells(np.dtype(folder.dtype), len(folder.shape) - 1, folder.shape[1:])


def _make_folder(path: str) -> None:
    files, inner = locate(path)
    if files is None:
        os.makedirs(inner, exist_ok=True)


def _size(path: str) -> int | None:
    """Bytes of a file, None if it is not there."""
    files, inner = locate(path)
    try:
        found = os.path.getsize(inner) if files is None else files.size(inner)
    except FileNotFoundError:
        return None
    return None if found is None else int(found)
