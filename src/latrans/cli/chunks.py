"""What the chunks of a Zarr array record, read without any model.

The array is opened a second time with latrans replaced by a codec that notes each frame's header
and decodes nothing.  Zarr itself then finds the frames: in shards, behind other codecs, in format
2 and in format 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numcodecs.abc import Codec as NumcodecsCodec

from ..errors import ConfigError
from . import arrays

NAME = "latrans"


@dataclass(frozen=True)
class Kind:
    """What frames of one kind have in common; None where the model is not at hand."""

    model_name: str | None
    model_version: int
    model_digest: str | None
    mode: str
    max_error: float | None
    latent_dtype: str
    fallback: bool


@dataclass
class Totals:
    """Sums over the frames of one kind."""

    n_chunks: int = 0
    n_bytes: int = 0
    latent_nbytes: int = 0
    residual_nbytes: int = 0

    def add(self, info: Any) -> None:
        self.n_chunks += 1
        self.n_bytes += info.nbytes
        self.latent_nbytes += info.latent_nbytes
        self.residual_nbytes += info.residual_nbytes


@dataclass
class Records:
    """Frames seen so far, by kind."""

    kinds: dict[Kind, Totals] = field(default_factory=dict)

    def note(self, frame: bytes) -> Any:
        import latrans

        info = latrans.inspect(frame)
        kind = Kind(
            info.model_name,
            info.model_version,
            info.model_digest,
            info.mode,
            info.max_error,
            info.latent_dtype,
            info.fallback,
        )
        self.kinds.setdefault(kind, Totals()).add(info)
        return info


def codec_configuration(array: Any) -> dict[str, Any] | None:
    """The latrans entry of an array's metadata, or None if it was written without latrans."""
    found: list[dict[str, Any]] = []

    def keep(entry: dict[str, Any]) -> dict[str, Any]:
        values = entry.get("configuration", entry)
        found.append({key: value for key, value in values.items() if key != "id"})
        return entry

    _replaced(array.metadata.to_dict(), keep)
    return found[0] if found else None


def read_records(array: Any) -> Records:
    """Note the header of every stored frame of a Zarr array."""
    import zarr

    if codec_configuration(array) is None:
        raise ConfigError("this Zarr array was not written with latrans: nothing to inspect")
    records = Records()
    recorder = _recorder(records)
    metadata = _replaced(array.metadata.to_dict(), recorder)
    headers = zarr.Array(zarr.AsyncArray(metadata=metadata, store_path=array.store_path))
    for block in arrays.blocks(array.shape, array.chunks, array.dtype.itemsize):
        headers[block]
    return records


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


def _recorder(records: Records) -> Callable[[dict[str, Any]], Any]:
    """The codec that takes the place of a metadata entry, by the entry's format."""
    from zarr.abc.codec import ArrayBytesCodec

    class Zarr2Recorder(NumcodecsCodec):  # type: ignore[misc]
        codec_id = "latrans-headers"

        def encode(self, buf: Any) -> Any:
            raise ConfigError("this codec only reads headers")

        def decode(self, buf: Any, out: Any = None) -> Any:
            info = records.note(bytes(buf))
            return np.zeros(info.shape, info.dtype, order=info.order)

    @dataclass(frozen=True)
    class Zarr3Recorder(ArrayBytesCodec):  # type: ignore[misc]
        is_fixed_size = False

        async def _decode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
            records.note(chunk_data.to_bytes())
            empty = np.zeros(chunk_spec.shape, chunk_spec.dtype.to_native_dtype())
            return chunk_spec.prototype.nd_buffer.from_numpy_array(empty)

        def to_dict(self) -> dict[str, Any]:
            return {"name": "latrans-headers"}

        def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
            return input_byte_length

    return lambda entry: Zarr2Recorder() if "id" in entry else Zarr3Recorder()
