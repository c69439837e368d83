"""Arrays: from Arrow columns of arrays to NumPy, and back.

Columns may be fixed-shape tensors (with a permutation, too), lists and fixed-size lists of
numbers, nested ones with a shape, the struct of data and shape that stands for tensors of varying
shape, and bytes with a shape and a dtype.  What comes back has the type that was there; where a
shape was given, and where the type says nothing, it is a fixed-shape tensor if all rows have one
shape, otherwise a large list per row for one dimension, that struct for more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import CodecError, ConfigError
from .cells import EXTENSION_NAME, Cells

Array = np.ndarray[Any, Any]


def describe(kind: pa.DataType, shape: Sequence[int] | None = None, dtype: Any = None) -> Cells:
    """What a column of a type holds.

    Parameters
    ----------
    kind : pyarrow.DataType
    shape : sequence of int, optional
        Of each row; needed for bytes and nested lists.
    dtype : numpy dtype, optional
        Of bytes; other columns say theirs.

    Raises
    ------
    ConfigError
        If the type holds no arrays of numbers, or shape and dtype are missing or do not fit.
    """
    given = None if shape is None else tuple(int(n) for n in shape)
    if _is_bytes(kind):
        if given is None or dtype is None:
            raise ConfigError(f"a column of {kind} needs shape and dtype of its rows: give both")
        return Cells(np.dtype(dtype).newbyteorder("="), len(given), given)
    if dtype is not None:
        raise ConfigError(f"dtype is for columns of bytes, found one of {kind}: leave it out")
    if getattr(kind, "extension_name", None) == EXTENSION_NAME:
        raise ConfigError(f"the column is {EXTENSION_NAME} already: decode it first")
    if isinstance(kind, pa.FixedShapeTensorType):
        order = _permutation(kind)
        own: tuple[int, ...] | None = tuple(kind.shape[i] for i in order)
        names = kind.dim_names and tuple(kind.dim_names[i] for i in order)
        return _fixed(_dtype(kind.value_type), own, given, names or None)
    if _is_varying(kind):
        ndim = kind.field("shape").type.list_size
        data = kind.field("data").type
        return _listed(_fixed(_dtype(data.value_type), None, given, None, ndim), data, given)
    sizes: list[int | None] = []
    leaf = kind
    while _is_list(leaf):
        sizes.append(leaf.list_size if pa.types.is_fixed_size_list(leaf) else None)
        leaf = leaf.value_type
    if not sizes:
        raise ConfigError(
            f"a column of {kind} holds no arrays; expected fixed-shape tensors, lists, or bytes "
            "with a shape and a dtype. Columns of numbers are compressed together: tables= in "
            "Python, --together on the command line"
        )
    own = None if None in sizes else tuple(n for n in sizes if n is not None)
    if own is None and given is None and len(sizes) > 1:
        raise ConfigError(f"a column of {kind} needs the shape of its rows: give it")
    return _listed(_fixed(_dtype(leaf), own, given, None, len(sizes)), kind, given)


def rows_of(array: pa.Array, cells: Cells, dtype: Any = None) -> list[Array]:
    """Arrays of the rows that are not null; `dtype` is that of bytes, byte order included.

    Raises
    ------
    ConfigError
        If there is a null inside a row, or a row is not of the shape that it should have.
    """
    array = array.drop_null() if array.null_count else array
    if _is_bytes(array.type):
        return list(_from_bytes(array, cells, np.dtype(dtype)))
    if isinstance(array.type, pa.FixedShapeTensorType):
        kind = array.type
        flat = _numbers(array.storage.flatten())
        stacked = flat.reshape(len(array), *kind.shape)
        stacked = stacked.transpose(0, *(1 + i for i in _permutation(kind)))
        return list(stacked.reshape(len(array), *(cells.shape or ())))
    if _is_varying(array.type):
        data, shapes = array.field("data"), array.field("shape")
        if data.null_count or shapes.null_count or shapes.flatten().null_count:
            raise _nested_null()
        every = _numbers(shapes.flatten()).reshape(len(array), cells.ndim).astype(np.int64)
        flat = _numbers(data.flatten())
        ends = np.cumsum(_lengths(data))
        if (every < 0).any() or (every.prod(1) != _lengths(data)).any():
            raise ConfigError("a row's data and its shape do not have the same number of values")
        split = np.split(flat, ends[:-1])
        return [part.reshape(tuple(one)) for part, one in zip(split, every, strict=False)]
    if cells.shape is None:
        flat = _numbers(array.flatten())
        return np.split(flat, np.cumsum(_lengths(array))[:-1]) if len(array) else []
    n_rows, level, inner = len(array), array, 0
    while _is_list(level.type):
        if level.null_count:
            raise _nested_null()
        if inner or _is_list(level.type.value_type):
            _expect(level, cells.shape[inner])
            inner += 1
        else:
            _expect(level, math.prod(cells.shape))
        level = level.flatten()
    return list(_numbers(level).reshape(n_rows, *cells.shape))


def decoded_type(cells: Cells) -> pa.DataType:
    """The type that decoded columns have."""
    if cells.shape is not None:
        if cells.list_type is not None:
            return reduce(pa.list_, reversed(cells.shape), cells.value_type)
        names = None if cells.dim_names is None else list(cells.dim_names)
        return pa.fixed_shape_tensor(cells.value_type, cells.shape, dim_names=names)
    data = (pa.large_list if cells.list_type is None else pa.list_)(cells.value_type)
    if cells.ndim == 1:
        return data
    return pa.struct([("data", data), ("shape", pa.list_(pa.int32(), cells.ndim))])


def from_stacked(rows: Array, valid: Array | None, cells: Cells) -> pa.Array:
    """A column of fixed-shape tensors; `rows` has a place for each null row, too."""
    kind = decoded_type(cells)
    values = pa.array(rows.reshape(-1))
    mask = None if valid is None else pa.array(~valid)
    if cells.list_type is not None and cells.shape is not None:
        for size in reversed(cells.shape[1:]):
            values = pa.FixedSizeListArray.from_arrays(values, size)
        return pa.FixedSizeListArray.from_arrays(values, cells.shape[0], mask=mask)
    storage = pa.FixedSizeListArray.from_arrays(values, type=kind.storage_type, mask=mask)
    return pa.ExtensionArray.from_storage(kind, storage)


def from_rows(rows: Sequence[Array | None], cells: Cells) -> pa.Array:
    """A column of arrays of varying shape, None for null rows."""
    valid = np.array([row is not None for row in rows], bool)
    mask = None if valid.all() else pa.array(~valid)
    there = [row.reshape(-1) for row in rows if row is not None]
    flat = np.concatenate(there) if there else np.empty(0, cells.dtype)
    lengths = [0 if row is None else row.size for row in rows]
    small = cells.list_type is not None
    if small and flat.size > np.iinfo(np.int32).max:
        raise CodecError(
            f"{flat.size} values are too many for one column of lists with 32-bit offsets: decode "
            "it in slices or batches"
        )
    offsets = pa.array(np.cumsum([0, *lengths]).astype(np.int32 if small else np.int64))
    data_mask = mask if cells.ndim == 1 else None
    lists = pa.ListArray if small else pa.LargeListArray
    data = lists.from_arrays(offsets, pa.array(flat), mask=data_mask)
    if cells.ndim == 1:
        return data
    none = (0,) * cells.ndim
    shapes = np.array([none if row is None else row.shape for row in rows], np.int32).reshape(-1)
    shape = pa.FixedSizeListArray.from_arrays(pa.array(shapes), cells.ndim)
    fields = list(decoded_type(cells))
    return pa.StructArray.from_arrays([data, shape], fields=fields, mask=mask)


def _fixed(
    dtype: np.dtype[Any],
    own: tuple[int, ...] | None,
    given: tuple[int, ...] | None,
    names: tuple[str, ...] | None,
    ndim: int = 0,
) -> Cells:
    """Cells of a column whose type has a shape of its own, or none."""
    if own is not None and given is not None and own != given:
        # A row of numbers may be cut into any shape; one with a shape has that.
        if len(own) > 1 or math.prod(own) != math.prod(given):
            raise ConfigError(f"the column's rows have shape {own}, not {given}")
        own, names = given, None
    shape = own or given
    if shape is not None and own is None and ndim > 1 and len(shape) != ndim:
        raise ConfigError(f"rows of {ndim} dimensions cannot have shape {shape}")
    return Cells(dtype, ndim if shape is None else len(shape), shape, names)


def _listed(cells: Cells, kind: pa.DataType, given: tuple[int, ...] | None) -> Cells:
    """Cells that remember which lists their rows were, unless a shape makes tensors of them."""
    if given is not None:
        return cells
    fixed = pa.types.is_fixed_size_list(kind) and cells.shape is not None
    name = "fixed_size_list" if fixed else "list" if pa.types.is_list(kind) else None
    return replace(cells, list_type=name)


def _from_bytes(array: pa.Array, cells: Cells, dtype: np.dtype[Any]) -> Array:
    if not pa.types.is_fixed_size_binary(array.type):
        array = array.cast(pa.large_binary())
        _expect(array, cells.row_nbytes)
        start, end = np.frombuffer(array.buffers()[1], np.int64)[array.offset :][[0, len(array)]]
        data = memoryview(array.buffers()[2] or b"")[start:end]
    else:
        width = array.type.byte_width
        if width != cells.row_nbytes:
            raise ConfigError(f"rows have {width} bytes; expected {cells.row_nbytes}")
        data = memoryview(array.buffers()[1])[array.offset * width :][: len(array) * width]
    return (
        np.frombuffer(data, dtype).astype(cells.dtype, copy=False).reshape(-1, *(cells.shape or ()))
    )


def _expect(array: pa.Array, length: int) -> None:
    """Refuse a column of lists or bytes that are not all of one length."""
    lengths = _lengths(array)
    wrong = lengths != length
    if wrong.any():
        raise ConfigError(
            f"a row has {lengths[wrong][0]} items where {length} are expected: drop or pad such "
            "rows, or give another shape"
        )


def _lengths(array: pa.Array) -> Array:
    if pa.types.is_large_binary(array.type):
        return np.asarray(pc.binary_length(array))
    return np.asarray(pc.list_value_length(array), np.int64)


def _numbers(leaf: pa.Array) -> Array:
    if leaf.null_count:
        raise _nested_null()
    return np.asarray(leaf.to_numpy(zero_copy_only=False))


def _nested_null() -> ConfigError:
    return ConfigError(
        "a row has a null inside; a row is null as a whole or not at all: fill it first "
        "(pyarrow.compute.fill_null; NaN for floats), or make the row null"
    )


def _permutation(kind: pa.FixedShapeTensorType) -> Sequence[int]:
    return kind.permutation or range(len(kind.shape))


def _dtype(kind: pa.DataType) -> np.dtype[Any]:
    try:
        return np.dtype(kind.to_pandas_dtype())
    except (NotImplementedError, TypeError) as error:
        raise ConfigError(
            f"values of type {kind} are not of a number type that NumPy has: cast them"
        ) from error


def _is_bytes(kind: pa.DataType) -> bool:
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return bool(binary or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _is_varying(kind: pa.DataType) -> bool:
    """Whether a type is the struct of data and shape that tensors of varying shape have."""
    if not pa.types.is_struct(kind) or {field.name for field in kind} != {"data", "shape"}:
        return False
    data, shape = kind.field("data").type, kind.field("shape").type
    return _is_list(data) and pa.types.is_fixed_size_list(shape)
