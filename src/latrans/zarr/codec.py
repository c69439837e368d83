"""latrans for Zarr format 3: codec ``latrans``, from array to bytes, in the ``serializer`` slot.

    {"name": "latrans", "configuration": {"model": "image-1", "mode": "lossless"}}

A chunk's bytes are one frame of the chunk in C order, in the byte order of the array's dtype, so
that a chunk's bytes follow from its values alone and not from how they lay in memory.

Zarr calls in three ways: in batches, one by one on its event loop, and one by one in threads of
its own.  The first two end in batches of all chunks that are under way, see `batching`.  So does
the third where the engine is a device; the compiled engine works in the thread that calls, since
those are side by side already.  Nothing here calls Zarr's synchronous API: from a codec that can
deadlock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.common import parse_named_configuration

from .. import station
from ..config import Configured
from ..conventions import declared_by
from ..errors import CodecError, ConfigError
from ..foreign import unmasked
from ..missing import Missing
from .batching import gather

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer

Array = np.ndarray[Any, Any]

CODEC_NAME = "latrans"


class LatransCodec(Configured, ArrayBytesCodec):  # type: ignore[misc]
    """Learned compression as a Zarr serializer.

    Takes the parameters of `latrans.config.Configured`.  Pass ``compressors=None`` with it, or
    Zarr adds Zstandard after it for nothing.  After a transpose, `axes` names the dimensions in
    their new order.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from latrans.zarr import LatransCodec
    >>> image = np.arange(48, dtype="uint8").reshape(6, 8)
    >>> z = zarr.create_array(
    ...     {}, data=image, chunks=(4, 4), serializer=LatransCodec(), compressors=None
    ... )
    >>> bool((z[:] == image).all())
    True
    """

    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Make an instance from the entry in ``zarr.json``; touches no model."""
        _, values = parse_named_configuration(data, CODEC_NAME, require_configuration=False)
        return cls.from_mapping(values or {})

    def to_dict(self) -> dict[str, Any]:
        """Return the entry for ``zarr.json``."""
        return {"name": CODEC_NAME, "configuration": self.to_mapping()}

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Refuse arrays whose chunks could never be encoded."""
        self._check(dtype.to_native_dtype(), len(shape))

    def evolve_from_array_spec(self, array_spec: ArraySpec) -> Self:
        """Check again, since Zarr does not call `validate` on codecs inside shards.

        The fill value is taken over in modes that could move it, unless it is Zarr's default; no
        shape is: it may be that of the array, of a shard or of a chunk.
        """
        dtype = array_spec.dtype.to_native_dtype()
        self._check(dtype, len(array_spec.shape))
        if self.mode == "lossless":
            return self
        found = declared_by({}, dtype, array_spec.fill_value, chosen=False)
        told = Missing.of(self.fill_value, self.valid_range) or Missing()
        if found is None or told.joined(found) == told:
            return self
        marks = told.joined(found).values
        return self.from_mapping({**self.to_mapping(), "fill_value": marks})

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Raise: the size of a frame is known only when it is written."""
        # The exception by which Zarr recognises codecs of variable size.
        raise NotImplementedError("the encoded size of a latrans chunk depends on its data")

    async def encode(
        self, chunks_and_specs: Iterable[tuple[NDBuffer | None, ArraySpec]]
    ) -> list[Buffer | None]:
        """Encode chunks, in order; None (an empty chunk) stays None."""
        return await self._gather("encode", chunks_and_specs)

    async def decode(
        self, chunks_and_specs: Iterable[tuple[Buffer | None, ArraySpec]]
    ) -> list[NDBuffer | None]:
        """Decode frames, in order; None (a chunk that was never written) stays None."""
        return await self._gather("decode", chunks_and_specs)

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        (frame,) = await self._gather("encode", [(chunk_data, chunk_spec)])
        return frame

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        (chunk,) = await self._gather("decode", [(chunk_data, chunk_spec)])
        return chunk

    def _encode_sync(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        return self._code_in_thread("encode", chunk_data, chunk_spec)

    def _decode_sync(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        return self._code_in_thread("decode", chunk_data, chunk_spec)

    def _code_in_thread(self, kind: str, chunk: Any, spec: ArraySpec) -> Any:
        if station.on_device():
            return station.join(self, kind, (chunk, spec), _nbytes(kind, chunk, spec))
        return self.code(kind, [(chunk, spec)], 1)[0]

    async def _gather(self, kind: str, chunks_and_specs: Iterable[tuple[Any, ArraySpec]]) -> Any:
        """Have chunks coded off the event loop, which all of Zarr shares; None stays in place."""
        batch = list(chunks_and_specs)
        present = [(pair, _nbytes(kind, *pair)) for pair in batch if pair[0] is not None]
        if not present:
            return [None] * len(batch)
        results = iter(await gather(self, kind, present))
        return [None if chunk is None else next(results) for chunk, _ in batch]

    def code(self, kind: str, chunks: Sequence[Any], threads: int) -> Sequence[Any]:
        """What `batching.gather` makes of chunks, each with its specification."""
        if kind == "encode":
            return self._encode_chunks(chunks, threads)
        return self._decode_chunks(chunks, threads)

    def _encode_chunks(
        self, chunks: Sequence[tuple[NDBuffer, ArraySpec]], threads: int = 1
    ) -> list[Buffer]:
        frames = self._codec.encode_batch([self._to_array(*chunk) for chunk in chunks], threads)
        return [
            spec.prototype.buffer.from_bytes(frame)
            for (_, spec), frame in zip(chunks, frames, strict=True)
        ]

    def _decode_chunks(
        self, chunks: Sequence[tuple[Buffer, ArraySpec]], threads: int = 1
    ) -> list[NDBuffer]:
        arrays = self._codec.decode_batch([chunk.to_bytes() for chunk, _ in chunks], threads)
        return [
            spec.prototype.nd_buffer.from_numpy_array(_to_spec(array, spec))
            for (_, spec), array in zip(chunks, arrays, strict=True)
        ]

    def _to_array(self, chunk: NDBuffer, spec: ArraySpec) -> Array:
        """Return the chunk as it will be read: the specification's byte order, C order."""
        dtype = spec.dtype.to_native_dtype()
        self._check(dtype, len(spec.shape))
        array = chunk.as_numpy_array()
        if not _matches(array, dtype, spec.shape):
            raise ConfigError(
                f"chunk is {_describe(array.dtype, array.shape)} where Zarr announces "
                f"{_describe(dtype, spec.shape)}: a codec before latrans changes the chunk "
                "without saying so in its resolve_metadata"
            )
        return np.asarray(unmasked(array), dtype, order="C")

    def _check(self, dtype: np.dtype[Any], n_dims: int) -> None:
        if dtype.hasobject:
            raise ConfigError(
                f"latrans cannot store dtype {dtype}; it stores numbers and other items of fixed "
                "size: leave out serializer= for this array, or convert it to such a dtype"
            )
        if self.axes is not None and len(self.axes) != n_dims:
            raise ConfigError(
                f"axes {self.axes!r} names {len(self.axes)} dimensions, the array has {n_dims}: "
                "give one letter per dimension, or leave axes out"
            )


def _to_spec(array: Array, spec: ArraySpec) -> Array:
    """Return a decoded array in the byte order and memory order that Zarr asks for."""
    dtype = spec.dtype.to_native_dtype()
    if not _matches(array, dtype, spec.shape):
        raise CodecError(
            f"frame holds {_describe(array.dtype, array.shape)}, the array's metadata says "
            f"{_describe(dtype, spec.shape)}: this chunk and this zarr.json do not belong together"
        )
    return np.asarray(array, dtype, order=spec.order)


def _matches(array: Array, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
    """Whether shape and dtype agree, byte order aside: format 3 does not store that."""
    return array.shape == shape and np.can_cast(array.dtype, dtype, "equiv")


def _describe(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    return f"{dtype} of shape {shape}"


def _nbytes(kind: str, chunk: NDBuffer | Buffer, spec: ArraySpec) -> int:
    if kind == "decode":
        return len(chunk)
    return math.prod(spec.shape) * spec.dtype.to_native_dtype().itemsize
