"""The frames of a Zarr array, read without decoding them.

The array is opened a second time with latrans replaced by a codec that keeps each frame and
decodes nothing.  Zarr itself then finds the frames: in shards, behind other codecs, in format 2
and in format 3.  No model is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numcodecs.abc import Codec as NumcodecsCodec

from ..errors import ConfigError
from ..format.frame import unpack

NAME = "latrans"


def configuration(array: Any) -> dict[str, Any] | None:
    """The latrans entry of a Zarr array's metadata, or None if it was written without latrans."""
    found: list[dict[str, Any]] = []

    def keep(entry: dict[str, Any]) -> dict[str, Any]:
        values = entry.get("configuration", entry)
        found.append({key: value for key, value in values.items() if key != "id"})
        return entry

    _replaced(array.metadata.to_dict(), keep)
    return found[0] if found else None


def frames_of(array: Any, selection: tuple[slice, ...]) -> list[bytes]:
    """Frames of the chunks that a selection touches, whole ones in no particular order.

    Parameters
    ----------
    array : zarr.Array
    selection : tuple of slice
        One per dimension.  Chunks that are not stored have no frame; one chunk has one at most.

    Raises
    ------
    ConfigError
        If the array was not written with latrans.
    CodecError
        Where Zarr's format 2 leads to bytes that are not a frame.
    """
    import zarr

    if configuration(array) is None:
        raise ConfigError("this Zarr array was not written with latrans: it holds no frames")
    found: list[bytes] = []
    metadata = _replaced(array.metadata.to_dict(), _recorder(found.append))
    recording = zarr.Array(zarr.AsyncArray(metadata=metadata, store_path=array.store_path))
    recording[selection]
    return found


def holds_chunks(array: Any) -> bool:
    """Whether a Zarr array's frames hold its chunks as they are, not changed by codecs before."""
    from zarr.abc.codec import ArrayArrayCodec
    from zarr.codecs import ShardingCodec

    if configuration(array) is None:
        return False
    if array.metadata.zarr_format == 2:
        filters = array.metadata.filters or ()
        return all(getattr(codec, "codec_id", None) == NAME for codec in filters)
    codecs = list(array.metadata.codecs)
    while codecs:
        codec = codecs.pop()
        if isinstance(codec, ArrayArrayCodec):
            return False
        codecs += codec.codecs if isinstance(codec, ShardingCodec) else ()
    return True


def _replaced(node: Any, swap: Callable[[dict[str, Any]], Any]) -> Any:
    """A copy of metadata in which `swap` has taken the place of every latrans entry."""
    if isinstance(node, dict):
        if node.get("name") == NAME or node.get("id") == NAME:
            return swap(node)
        # Attributes are the user's and may look like anything.
        return {k: v if k == "attributes" else _replaced(v, swap) for k, v in node.items()}
    if isinstance(node, list | tuple):
        return [_replaced(item, swap) for item in node]
    return node


def _recorder(keep: Callable[[bytes], None]) -> Callable[[dict[str, Any]], Any]:
    """The codec that takes the place of a metadata entry, by the entry's format."""
    zarr2, zarr3 = _recorders()
    return lambda entry: zarr2(keep) if "id" in entry else zarr3(keep)


@cache
def _recorders() -> tuple[Any, Any]:
    """Classes of codecs that keep frames, for formats 2 and 3; made when Zarr is there anyway."""
    from zarr.abc.codec import ArrayBytesCodec

    class Zarr2Recorder(NumcodecsCodec):  # type: ignore[misc]
        codec_id = "latrans-frames"

        def __init__(self, keep: Callable[[bytes], None]) -> None:
            self._keep = keep

        def encode(self, buf: Any) -> Any:
            raise ConfigError("this codec only reads frames")

        def decode(self, buf: Any, out: Any = None) -> Any:
            frame = bytes(buf)
            parts = unpack(frame)
            self._keep(frame)
            return np.zeros(parts.shape, parts.dtype, order="F" if parts.fortran else "C")

    @dataclass(frozen=True)
    class Zarr3Recorder(ArrayBytesCodec):  # type: ignore[misc]
        keep: Callable[[bytes], None]
        is_fixed_size = False

        async def _decode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
            self.keep(chunk_data.to_bytes())
            empty = np.zeros(chunk_spec.shape, chunk_spec.dtype.to_native_dtype())
            return chunk_spec.prototype.nd_buffer.from_numpy_array(empty)

        def to_dict(self) -> dict[str, Any]:
            return {"name": "latrans-frames"}

        def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
            return input_byte_length

    return Zarr2Recorder, Zarr3Recorder
