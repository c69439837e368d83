"""The extension type ``latrans.columns``: several numeric columns stored as one.

Storage is a struct of ``row``, int64, and ``data``, large_binary (of other libraries also binary or
binary_view, and in any order).  Runs of rows are encoded together (`latrans.arrow.columns.value`):
the value is the ``data`` of the run's first row, the other rows have null there.  Each row's
``row`` says which value it belongs to and where in it, so that rows may be filtered, sorted and
joined by any reader and still decode, as long as the values are there.  Parquet stores these
numbers in next to nothing.

The type's parameters are JSON::

    {"version": 1, "columns": {"temperature": "double", "state": "int8"}, "positions": [1, 2],
     "bounds": {"temperature": 0.5}, "required": ["state"],
     "codec": {"model": "sha256:2753c0b4...", "mode": "lossless"}}

``columns`` are names and types, as pyarrow prints these.  ``positions`` say where in the table each
one was.  Of those that may be absent, ``bounds`` are largest absolute errors, ``required`` the
columns that may not be null, ``metadata`` that of the columns' fields.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from ...config import Configured
from ...errors import CodecError, LatransError
from ..tensor.cells import BYTES
from .numeric import number_dtype
from .value import MAX_ROWS

Array = np.ndarray[Any, Any]

EXTENSION_NAME = "latrans.columns"
TYPE_VERSION = 1
_ZONED = re.compile(r"timestamp\[(s|ms|us|ns), tz=(.+)\]")
ROW, DATA = "row", "data"
STORAGE = pa.struct([(ROW, pa.int64()), (DATA, pa.large_binary())])
ROW_BITS = (MAX_ROWS - 1).bit_length()  # of a row's number in its value; those above name it


class ColumnsType(pa.ExtensionType):  # type: ignore[misc]
    """The type of columns that are stored as one.

    Parameters
    ----------
    columns : pyarrow.Schema
        Names and types of the columns.
    positions : sequence of int
        Where in the table each of them was.
    bounds : sequence of float or None
        Largest absolute error of each.
    configuration : dict
        The stored form of the codec that wrote them, see `latrans.config.Configured`.
    storage : pyarrow.DataType, optional
        `STORAGE` by default, else what `is_storage` takes.
    """

    def __init__(
        self,
        columns: pa.Schema,
        positions: tuple[int, ...],
        bounds: tuple[float | None, ...],
        configuration: dict[str, Any],
        storage: pa.DataType | None = None,
    ) -> None:
        self.columns = columns
        self.positions = tuple(positions)
        self.bounds = tuple(bounds)
        self.configuration = Configured.from_mapping(configuration).to_mapping()
        super().__init__(STORAGE if storage is None else storage, EXTENSION_NAME)

    @property
    def dtypes(self) -> list[np.dtype[Any]]:
        """NumPy types of the columns' numbers."""
        return [number_dtype(kind) for kind in self.columns.types]

    def __arrow_ext_serialize__(self) -> bytes:
        names = self.columns.names
        optional = {
            "bounds": {n: b for n, b in zip(names, self.bounds, strict=True) if b is not None},
            "required": [field.name for field in self.columns if not field.nullable],
            "metadata": {f.name: _texts(f.metadata) for f in self.columns if f.metadata},
        }
        parameters = {
            "version": TYPE_VERSION,
            "columns": {field.name: str(field.type) for field in self.columns},
            "positions": self.positions,
            **{key: value for key, value in optional.items() if value},
            "codec": self.configuration,
        }
        return json.dumps(parameters, separators=(",", ":")).encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> ColumnsType:
        if not is_storage(storage_type):
            raise CodecError(
                f"a {EXTENSION_NAME} column is stored as {storage_type}; expected {STORAGE}, its "
                f"data {', '.join(map(str, BYTES))}: cast it before"
            )
        return _parse(serialized, storage_type)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ColumnsType):
            return False
        same = self.columns.equals(other.columns, check_metadata=True)
        return same and self._others == other._others

    def __ne__(self, other: object) -> bool:
        return not self == other  # pyarrow's own sees no parameter

    def __hash__(self) -> int:
        return hash((tuple(self.columns.names), self.positions, self.bounds))

    @property
    def _others(self) -> tuple[Any, ...]:
        return self.positions, self.bounds, self.configuration, self.storage_type

    def __reduce__(self) -> tuple[Any, ...]:
        return _parse, (self.__arrow_ext_serialize__(), self.storage_type)


def is_storage(kind: pa.DataType) -> bool:
    """Whether columns that are stored as one may be stored so."""
    if not pa.types.is_struct(kind) or kind.num_fields != 2:
        return False
    found = {field.name: field.type for field in kind}
    return found.get(ROW) == pa.int64() and found.get(DATA) in BYTES


def columns_type(field: pa.Field | pa.DataType) -> ColumnsType | None:
    """The type of a field, also where a reader without extension types left its metadata alone.

    It is that over `STORAGE`, whatever the storage is.
    """
    kind = field.type if isinstance(field, pa.Field) else field
    if isinstance(kind, ColumnsType):
        usual = kind.storage_type == STORAGE
        return kind if usual else _parse(kind.__arrow_ext_serialize__())
    if getattr(kind, "extension_name", None) == EXTENSION_NAME:
        return _parse(kind.__arrow_ext_serialize__())
    metadata = (field.metadata or {}) if isinstance(field, pa.Field) else {}
    if metadata.get(b"ARROW:extension:name") == EXTENSION_NAME.encode():
        return _parse(metadata.get(b"ARROW:extension:metadata", b""))
    return None


def origins(schema: pa.Schema) -> list[tuple[int, int | None]]:
    """Where each column of the table that a schema was made of is now.

    As the index in `schema` and, of columns that are stored as one, the index among these.
    """
    kinds = {i: columns_type(field) for i, field in enumerate(schema)}
    found: list[tuple[int, int | None]] = [(i, None) for i, k in kinds.items() if k is None]
    back = [
        (position, (i, j))
        for i, kind in kinds.items()
        if kind is not None
        for j, position in enumerate(kind.positions)
    ]
    for position, origin in sorted(back):
        found.insert(position, origin)
    return found


def restored(schema: pa.Schema) -> pa.Schema:
    """A schema with the columns that were stored as one where they were."""
    fields = []
    for i, j in origins(schema):
        kind = columns_type(schema.field(i))
        fields.append(schema.field(i) if kind is None or j is None else kind.columns.field(j))
    return pa.schema(fields, schema.metadata)


def id_of(value: bytes) -> int:
    """What names a value in its rows: the first bits of its SHA-256."""
    return int.from_bytes(hashlib.sha256(value).digest()[:8], "big") >> (1 + ROW_BITS)


def rows_of(value: bytes, n_rows: int) -> Array:
    """``row`` of each of a value's rows, (n_rows,) int64."""
    return (id_of(value) << ROW_BITS) + np.arange(n_rows)


def _parse(serialized: bytes, storage: pa.DataType | None = None) -> ColumnsType:
    """A type from its stored form; `CodecError` for anything else."""
    try:
        found = json.loads(serialized)
        version = found["version"]
        if version != TYPE_VERSION:
            raise CodecError(
                f"{EXTENSION_NAME} has version {version}; this latrans reads {TYPE_VERSION}: "
                "update latrans"
            )
        metadata, required = found.get("metadata", {}), found.get("required", ())
        fields = [
            pa.field(name, _type(text), name not in required, _bytes(metadata.get(name)))
            for name, text in found["columns"].items()
        ]
        for field in fields:
            number_dtype(field.type)
        positions = tuple(found["positions"])
        if len(positions) != len(fields) or not all(type(n) is int and n >= 0 for n in positions):
            raise CodecError(
                f"positions {positions} of {len(fields)} columns are not whole numbers"
            )
        given = found.get("bounds", {})
        bounds = tuple(float(given[f.name]) if f.name in given else None for f in fields)
        if not all(b is None or 0 < b < math.inf for b in bounds):
            raise CodecError(f"bounds {bounds} of columns are not above 0")
        return ColumnsType(pa.schema(fields), positions, bounds, found["codec"], storage)
    except CodecError:
        raise
    except (
        LatransError, ValueError, TypeError, KeyError, AttributeError, RecursionError,
        pa.ArrowException,
    ) as error:  # fmt: skip
        raise CodecError(
            f"parameters of a {EXTENSION_NAME} column are damaged ({type(error).__name__}: "
            f"{error}); found {serialized[:80]!r}"
        ) from error


def _type(text: str) -> pa.DataType:
    """Inverse of ``str`` of a type of numbers."""
    zoned = _ZONED.fullmatch(text)
    return pa.timestamp(*zoned.groups()) if zoned else pa.type_for_alias(text)


def _texts(metadata: Mapping[bytes, bytes]) -> dict[str, str]:
    return {key.decode("latin-1"): value.decode("latin-1") for key, value in metadata.items()}


def _bytes(metadata: Mapping[str, str] | None) -> dict[bytes, bytes]:
    given = (metadata or {}).items()
    return {key.encode("latin-1"): value.encode("latin-1") for key, value in given}


def register() -> None:
    """Make pyarrow know the type; harmless where it does already."""
    try:
        pa.register_extension_type(ColumnsType(pa.schema([]), (), (), {"model": "auto"}))
    except pa.ArrowKeyError:  # by an earlier import, or by another copy of latrans
        return
