"""Format 2 under format 3: codec ``numcodecs.latrans``, from bytes to bytes.

    {"name": "numcodecs.latrans", "configuration": {"model": "image-1", "mode": "lossless"}}

Under this name tools look for a compressor of format 2 when they describe a store of that format
by metadata of format 3 and leave its chunks as they are: `zarr.metadata.migrate_v3`, VirtualiZarr.
The bytes between Zarr's serializer and this codec are those of the chunk as it lay in memory,
Fortran order included, for which the metadata have a transpose.

New arrays of format 3 do better with `LatransCodec`: here a chunk's byte order is not known, so
chunks are written losslessly in every mode.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numcodecs.compat import ensure_contiguous_ndarray
from zarr.abc.codec import BytesBytesCodec
from zarr.core.common import parse_named_configuration

from ..batch import queue
from ..config import Configured
from ..errors import CodecError
from ..numcodecs import Latrans
from .batching import gather

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer

ADAPTER_NAME = "numcodecs.latrans"


class LatransAdapter(Configured, BytesBytesCodec):  # type: ignore[misc]
    """Chunks of a Zarr format 2 array that is described by metadata of format 3.

    Takes the parameters of `latrans.config.Configured`.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from latrans.numcodecs import Latrans
    >>> store, image = zarr.storage.MemoryStore(), np.arange(48, dtype="uint8").reshape(6, 8)
    >>> z = zarr.create_array(store, data=image, zarr_format=2, compressors=Latrans())
    >>> from zarr.metadata.migrate_v3 import migrate_v2_to_v3
    >>> migrate_v2_to_v3(input_store=store)
    >>> bool((zarr.open_array(store, zarr_format=3)[:] == image).all())
    True
    """

    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Make an instance from the entry in ``zarr.json``; touches no model."""
        _, values = parse_named_configuration(data, ADAPTER_NAME, require_configuration=False)
        return cls.from_mapping({k: v for k, v in (values or {}).items() if k != "id"})

    def to_dict(self) -> dict[str, Any]:
        """Return the entry for ``zarr.json``."""
        return {"name": ADAPTER_NAME, "configuration": self.to_mapping()}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Raise: the size of a frame is known only when it is written."""
        # The exception by which Zarr recognises codecs of variable size.
        raise NotImplementedError("the encoded size of a latrans chunk depends on its data")

    async def encode(
        self, chunks_and_specs: Iterable[tuple[Buffer | None, ArraySpec]]
    ) -> list[Buffer | None]:
        """Encode chunks, in order; None (an empty chunk) stays None."""
        return await self._gather("encode", chunks_and_specs)

    async def decode(
        self, chunks_and_specs: Iterable[tuple[Buffer | None, ArraySpec]]
    ) -> list[Buffer | None]:
        """Decode frames, in order; None (a chunk that was never written) stays None."""
        return await self._gather("decode", chunks_and_specs)

    async def _encode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer | None:
        return (await self._gather("encode", [(chunk_data, chunk_spec)]))[0]

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer | None:
        return (await self._gather("decode", [(chunk_data, chunk_spec)]))[0]

    def _encode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Any:
        return queue.submit_and_wait(self, "encode", (chunk_data, chunk_spec), len(chunk_data))

    def _decode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Any:
        return queue.submit_and_wait(self, "decode", (chunk_data, chunk_spec), len(chunk_data))

    async def _gather(
        self, kind: str, chunks_and_specs: Iterable[tuple[Buffer | None, ArraySpec]]
    ) -> list[Buffer | None]:
        batch = list(chunks_and_specs)
        present = [(pair, len(pair[0])) for pair in batch if pair[0] is not None]
        results = iter(await gather(self, kind, present) if present else ())
        return [None if chunk is None else next(results) for chunk, _ in batch]

    def code(self, kind: str, chunks: Sequence[Any], threads: int) -> Sequence[Any]:
        """What `batching.gather` makes of chunks, each with its specification."""
        codec = Latrans.from_config(self.to_mapping())
        if kind == "encode":
            found: Sequence[Any] = [self._frame(codec, *chunk) for chunk in chunks]
        else:
            arrays = codec.decode_batch([chunk.to_bytes() for chunk, _ in chunks], threads)
            specs = [spec for _, spec in chunks]
            found = [_bytes(array, spec) for array, spec in zip(arrays, specs, strict=True)]
        return [
            spec.prototype.buffer.from_bytes(data)
            for data, (_, spec) in zip(found, chunks, strict=True)
        ]

    def _frame(self, codec: Latrans, chunk: Buffer, spec: ArraySpec) -> bytes:
        data = chunk.to_bytes()
        dtype = spec.dtype.to_native_dtype()
        if self.mode != "lossless" or dtype.hasobject or len(data) != _nbytes(spec):
            return codec.encode(data)
        return codec.encode(np.frombuffer(data, dtype).reshape(spec.shape))


def _bytes(array: np.ndarray[Any, Any], spec: ArraySpec) -> bytes:
    """The bytes of a chunk in the order in which it lay in memory when it was encoded."""
    dtype = spec.dtype.to_native_dtype()
    if not dtype.hasobject and array.nbytes != _nbytes(spec):
        raise CodecError(
            f"frame holds {array.dtype} of shape {array.shape}, the array's metadata says {dtype} "
            f"of shape {spec.shape}: this chunk and this zarr.json do not belong together"
        )
    data: bytes = ensure_contiguous_ndarray(array).tobytes()
    return data


def _nbytes(spec: ArraySpec) -> int:
    return math.prod(spec.shape) * spec.dtype.to_native_dtype().itemsize
