"""Cells: what the arrays in the rows of a tensor column have in common."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import CodecError, ConfigError
from ...format.frame import MAX_NBYTES, MAX_NDIM

EXTENSION_NAME = "latrans.tensor"
BYTES = (pa.large_binary(), pa.binary(), pa.binary_view())  # that frames may be stored as
VALUE_TYPES = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float16", "float32", "float64",
)  # fmt: skip


@dataclass(frozen=True)
class Cells:
    """What the arrays in the rows of a column have in common.

    Attributes
    ----------
    dtype : numpy.dtype
        In the machine's byte order.
    ndim : int
    shape : tuple of int, optional
        None where rows differ in it.
    dim_names : tuple of str, optional
    list_type : {"list", "fixed_size_list"}, optional
        What decoded rows are: lists with 32-bit offsets instead of 64-bit ones where they differ in
        shape, (nested) fixed-size lists instead of tensors where they do not.
    """

    dtype: np.dtype[Any]
    ndim: int
    shape: tuple[int, ...] | None = None
    dim_names: tuple[str, ...] | None = None
    list_type: str | None = None

    def __post_init__(self) -> None:
        if self.dtype.name not in VALUE_TYPES:
            raise ConfigError(
                f"values are {self.dtype}; a tensor column holds {', '.join(VALUE_TYPES)}: cast "
                "the column first, as in timestamps to int64"
            )
        if not 1 <= self.ndim <= MAX_NDIM:
            raise ConfigError(f"rows have {self.ndim} dimensions; expected 1 to {MAX_NDIM}")
        if self.shape is not None and (len(self.shape) != self.ndim or min(self.shape) < 1):
            raise ConfigError(f"shape is {self.shape}; expected {self.ndim} numbers of at least 1")
        if self.row_nbytes > MAX_NBYTES:
            raise ConfigError(f"rows of shape {self.shape} exceed {MAX_NBYTES} bytes: split them")
        if self.dim_names is not None and len(self.dim_names) != self.ndim:
            raise ConfigError(f"dim_names {self.dim_names} do not name {self.ndim} dimensions")
        expected = "list" if self.shape is None else "fixed_size_list"
        if self.list_type not in (None, expected):
            raise ConfigError(f"list_type is {self.list_type!r}; expected {expected!r} or none")

    @property
    def row_nbytes(self) -> int:
        """Bytes of a decoded row; 0 where rows differ."""
        return 0 if self.shape is None else math.prod(self.shape) * self.dtype.itemsize

    @property
    def value_type(self) -> pa.DataType:
        return pa.from_numpy_dtype(self.dtype)

    def check(self, array: np.ndarray[Any, Any]) -> None:
        """Raise `CodecError` if a row is not what the column's type says."""
        shape = (array.ndim,) if self.shape is None else array.shape
        if array.dtype != self.dtype or shape != (self.shape or (self.ndim,)):
            what = f"{self.ndim} dimensions" if self.shape is None else f"shape {self.shape}"
            raise CodecError(
                f"frame holds {array.dtype} of shape {array.shape}, the column's type says "
                f"{self.dtype} and {what}: this frame and this column do not belong together"
            )
