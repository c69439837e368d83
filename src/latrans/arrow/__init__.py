"""latrans for Apache Arrow: columns of arrays and of numbers in tables, Parquet files and streams.

Importing this package makes pyarrow know the extension types ``latrans.tensor``, a frame per row,
and ``latrans.columns``, numeric columns stored as one, so that tables, files and streams that hold
some come back with them.  Readers without latrans see bytes and all other columns;
``latrans.Codec().decode_batch(column)`` decodes those of a tensor column anywhere.
"""

from __future__ import annotations

from .columns.encoder import decode_columns, encode_columns
from .columns.type import ColumnsType
from .columns.type import register as _register_columns
from .dataset import Dataset, dataset
from .parquet import read_parquet, write_parquet
from .tables import decode_table, encode_table
from .tensor.cells import Cells
from .tensor.encode import decode_array, encode_array
from .tensor.type import TensorArray, TensorScalar, TensorType, register

__all__ = [
    "Cells",
    "ColumnsType",
    "Dataset",
    "TensorArray",
    "TensorScalar",
    "TensorType",
    "dataset",
    "decode_array",
    "decode_columns",
    "decode_table",
    "encode_array",
    "encode_columns",
    "encode_table",
    "read_parquet",
    "write_parquet",
]

register()
_register_columns()
