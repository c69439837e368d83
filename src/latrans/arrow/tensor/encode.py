"""Encode: arrays in rows encoded, and decoded again.

A batch of rows is encoded and decoded together, by `Codec.encode_batch` and `Codec.decode_batch`;
its frames are those of its rows one by one, and null rows stay null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ...codec import Codec
from ...config import Configured
from ...models.store import open_model
from ..sources import as_column
from .arrays import describe, rows_of
from .decode import decode_column, valid_rows
from .type import TensorType, tensor_type


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
    return Configured(**{**codec.stored(), "model": model}).to_mapping()


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
    array : pyarrow.Array or ChunkedArray, or a series of polars or pandas
        Fixed-shape tensors, lists, or bytes, see `latrans.arrow.tensor.arrays`.
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
    array = as_column(array)
    chosen, cells = as_codec(codec), describe(array.type, shape, dtype)
    kind = TensorType(cells, configuration(chosen))
    if isinstance(array, pa.ChunkedArray):
        parts = [encoded(chunk, kind, chosen, dtype, threads) for chunk in array.chunks]
        return pa.chunked_array(parts, kind)
    return encoded(array, kind, chosen, dtype, threads)


def encoded(
    array: pa.Array, kind: TensorType, codec: Codec, dtype: Any, threads: int | None
) -> pa.Array:
    frames: list[bytes | None] = list(
        codec.encode_batch(rows_of(array, kind.cells, dtype), threads)
    )
    if array.null_count:
        there = iter(frames)
        frames = [next(there) if valid else None for valid in valid_rows(array)]
    return pa.ExtensionArray.from_storage(kind, pa.array(frames, pa.large_binary()))


def decode_array(
    array: pa.Array | pa.ChunkedArray, kind: TensorType | None = None, threads: int | None = None
) -> pa.Array | pa.ChunkedArray:
    """Decode a column of frames.

    Parameters
    ----------
    array : pyarrow.Array or ChunkedArray, a series of polars or pandas, or a sequence of bytes
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
        If the model that wrote a frame is not found.
    """
    array = as_column(array)
    kind = kind or tensor_type(array.type)
    return decode_column(array, None if kind is None else kind.cells, threads)
