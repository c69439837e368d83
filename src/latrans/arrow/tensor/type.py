"""The extension type ``latrans.tensor``: a column of arrays, one frame per row.

Storage is ``large_binary``; ``binary`` and ``binary_view``, which other libraries make of it, are
read as what they are.  A value is one self-describing frame (FORMAT.md 2), byte for byte what
`latrans.Codec.encode` makes of the row's array and what a Zarr chunk holds, so each row decodes
alone and readers that know nothing of latrans see bytes.  The type's parameters are JSON::

    {"version": 1, "value_type": "uint8", "shape": [28, 28], "dim_names": ["y", "x"],
     "codec": {"model": "sha256:7395de16...", "mode": "lossless"}}

``shape`` is null where rows differ in it; then ``ndim`` says how many dimensions each has.
``list_type``, where it is there, says which kind of list the decoded rows are.
``codec`` is a stored configuration (`latrans.config`) with the model by its digest.  It says how
the column was written; what decodes a row follows from its frame alone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ...config import Configured
from ...errors import CodecError, LatransError
from . import decode
from .cells import BYTES, EXTENSION_NAME, VALUE_TYPES, Cells

if TYPE_CHECKING:
    from ...codec import Codec

TYPE_VERSION = 1


class TensorScalar(pa.ExtensionScalar):  # type: ignore[misc]
    """One row; `as_py` decodes it."""

    def as_py(self, **_: Any) -> np.ndarray[Any, Any] | None:
        """The row's array, or None."""
        if self.value is None:
            return None
        return decode.decode_frames([self.value.as_py()], self.type.cells)[0]


class TensorArray(pa.ExtensionArray):  # type: ignore[misc]
    """Rows of frames; what asks for values decodes all of them in one batch."""

    def to_pylist(self, **_: Any) -> list[np.ndarray[Any, Any] | None]:
        """Arrays, None for null rows."""
        return decode.decode_rows(self)

    def to_numpy(self, zero_copy_only: bool = False, writable: bool = True) -> np.ndarray[Any, Any]:
        """`to_numpy_ndarray` where rows are alike and none is null, else an array of objects."""
        if self.type.cells.shape is not None and not self.null_count:
            return self.to_numpy_ndarray()
        rows = np.empty(len(self), object)
        for i, row in enumerate(self.to_pylist()):
            rows[i] = row
        return rows

    def to_numpy_ndarray(self) -> np.ndarray[Any, Any]:
        """One array of all rows, (rows, \\*shape).

        Raises
        ------
        ConfigError
            If rows differ in shape, or one is null.
        """
        return decode.decode_stacked(self)

    def decode(self, threads: int | None = None) -> pa.Array:
        """The column as `latrans.arrow.decode_array` gives it."""
        return decode.decode_column(self, self.type.cells, threads)


class TensorType(pa.ExtensionType):  # type: ignore[misc]
    """The type of an encoded column.

    Parameters
    ----------
    cells : Cells
        What the rows' arrays have in common.
    configuration : dict
        The stored form of the codec that wrote them, see `latrans.config.Configured`.
    storage : pyarrow.DataType, optional
        Of the frames: ``large_binary`` by default, else one of `BYTES`.

    Examples
    --------
    >>> import numpy as np, pyarrow as pa
    >>> from latrans.arrow import encode_array
    >>> column = pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((3, 28, 28), np.uint8))
    >>> encode_array(column, "digits-1").type.shape
    (28, 28)
    """

    def __init__(
        self,
        cells: Cells,
        configuration: dict[str, Any],
        storage: pa.DataType | None = None,
    ) -> None:
        self.cells = cells
        self.configuration = Configured.from_mapping(configuration).to_mapping()
        # A type that claims another layout than its arrays have reads memory that is not theirs.
        super().__init__(pa.large_binary() if storage is None else storage, EXTENSION_NAME)

    @property
    def value_type(self) -> pa.DataType:
        return self.cells.value_type

    @property
    def shape(self) -> tuple[int, ...] | None:
        return self.cells.shape

    @property
    def dim_names(self) -> tuple[str, ...] | None:
        return self.cells.dim_names

    @property
    def codec(self) -> Codec:
        """A codec like the one that wrote the column."""
        return Configured.from_mapping(self.configuration)._codec

    def __arrow_ext_serialize__(self) -> bytes:
        cells = self.cells
        parameters: dict[str, Any] = {
            "version": TYPE_VERSION,
            "value_type": cells.dtype.name,
            "shape": cells.shape,
            "dim_names": cells.dim_names,
            "codec": self.configuration,
        }
        if cells.shape is None:
            parameters["ndim"] = cells.ndim
        if cells.list_type is not None:
            parameters["list_type"] = cells.list_type
        return json.dumps(parameters, separators=(",", ":")).encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> TensorType:
        if storage_type not in BYTES:
            raise CodecError(
                f"a {EXTENSION_NAME} column is stored as {storage_type}; expected "
                f"{', '.join(map(str, BYTES))}: cast it before"
            )
        return cls(*parse(serialized), storage_type)

    def __arrow_ext_class__(self) -> type:
        return TensorArray

    def __arrow_ext_scalar_class__(self) -> type:
        return TensorScalar

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TensorType):
            return False
        same = (self.cells, self.configuration) == (other.cells, other.configuration)
        return same and self.storage_type == other.storage_type

    def __ne__(self, other: object) -> bool:
        return not self == other  # pyarrow's own sees neither parameter

    def __hash__(self) -> int:
        return hash((self.__arrow_ext_serialize__(), self.storage_type))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).__arrow_ext_deserialize__, (
            self.storage_type,
            self.__arrow_ext_serialize__(),
        )


def parse(serialized: bytes) -> tuple[Cells, dict[str, Any]]:
    """Parameters of a type from their stored form; `CodecError` for anything else."""
    try:
        found = json.loads(serialized)
        version = found["version"]
        if version != TYPE_VERSION:
            raise CodecError(
                f"{EXTENSION_NAME} has version {version}; this latrans reads {TYPE_VERSION}: "
                "update latrans"
            )
        if found["value_type"] not in VALUE_TYPES:
            raise CodecError(f"{EXTENSION_NAME} of unknown value type {found['value_type']!r}")
        shape, names = found["shape"], found["dim_names"]
        if shape is not None and not all(type(n) is int for n in shape):
            raise CodecError(f"{EXTENSION_NAME} has shape {shape!r}, expected whole numbers")
        cells = Cells(
            np.dtype(found["value_type"]),
            int(found["ndim"]) if shape is None else len(shape),
            None if shape is None else tuple(shape),
            None if names is None else tuple(map(str, names)),
            found.get("list_type"),
        )
        return cells, Configured.from_mapping(found["codec"]).to_mapping()
    except CodecError:
        raise
    except (LatransError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CodecError(
            f"parameters of a {EXTENSION_NAME} column are damaged ({type(error).__name__}: "
            f"{error}); found {serialized[:80]!r}"
        ) from error


def tensor_type(field: pa.Field | pa.DataType) -> TensorType | None:
    """The tensor type of a field or type, also where another copy of latrans registered it.

    A field that lost its type but kept its metadata, as through readers without extension types,
    has it as well.  It is that over ``large_binary``, whatever the storage is.
    """
    kind = field.type if isinstance(field, pa.Field) else field
    if isinstance(kind, TensorType):
        usual = kind.storage_type == pa.large_binary()
        return kind if usual else TensorType(kind.cells, kind.configuration)
    if getattr(kind, "extension_name", None) == EXTENSION_NAME:
        return TensorType(*parse(kind.__arrow_ext_serialize__()))
    metadata = (field.metadata or {}) if isinstance(field, pa.Field) else {}
    if metadata.get(b"ARROW:extension:name") == EXTENSION_NAME.encode():
        return TensorType(*parse(metadata.get(b"ARROW:extension:metadata", b"")))
    return None


def register() -> None:
    """Make pyarrow know the type; harmless where it does already."""
    example = TensorType(Cells(np.dtype(np.uint8), 1), {"model": "auto"})
    try:
        pa.register_extension_type(example)
    except pa.ArrowKeyError:  # by an earlier import, or by another copy of latrans
        return
