"""latrans for Zarr format 3: codec ``latrans``, from array to bytes, in the ``serializer`` slot.

    {"name": "latrans", "configuration": {"model": "image-1", "mode": "lossless"}}

A chunk's bytes are one frame of the chunk in C order, in the byte order of the array's dtype, so
that a chunk's bytes follow from its values alone and not from how they lay in memory.  It comes
back in C order, too: filters before latrans flatten what they are given, and expect that order.

Zarr calls in three ways: in batches, one by one on its event loop, and one by one in threads of
its own.  All end in batches of what is under way, see `batching`, on as many threads as latrans
may have and not as many as Zarr has.  Nothing here calls Zarr's synchronous API: from a codec
that can deadlock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.common import parse_named_configuration

from ..batch import queue
from ..batch.foreign import unmasked
from ..config import Configured
from ..errors import CodecError, ConfigError
from ..format import axes as letters
from ..missing.conventions import declared_by
from ..missing.missing import Missing
from .batching import gather

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer

Array = np.ndarray[Any, Any]

CODEC_NAME = "latrans"


class LatransCodec(Configured, ArrayBytesCodec):  # type: ignore[misc]
    """Learned compression as a Zarr serializer.

    Takes the parameters of `latrans.config.Configured`.  Pass ``compressors=None`` with it, or
    Zarr adds Zstandard after it for nothing.  After a filter that transposes, `axes` names the
    dimensions in their new order.

    An instance that an array was opened with or made with is bound to it.  xarray keeps it in the
    encoding of what it reads and makes other arrays with it: `axes` follow the sizes of dimensions
    then, and are left out where they cannot, see `latrans.format.axes.follow`.

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

    # No fields: they are not stored.
    _shape: tuple[int, ...] | None = None  # of the array that the instance is bound to
    _is_stored = False  # whether it was read from metadata

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Make an instance from the entry in ``zarr.json``; touches no model."""
        _, values = parse_named_configuration(data, CODEC_NAME, require_configuration=False)
        return cls.from_mapping(values or {})._bound(None, is_stored=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the entry for ``zarr.json``."""
        return {"name": CODEC_NAME, "configuration": self.to_mapping()}

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Refuse arrays whose chunks could never be encoded."""
        self._check(dtype.to_native_dtype(), len(shape))

    def evolve_from_array_spec(self, array_spec: ArraySpec) -> Self:
        """Check again, since Zarr does not call `validate` on codecs inside shards.

        Of an instance that is bound, `axes` follow the shape, which may be that of the array, of a
        shard or of a chunk.  The fill value is taken over in modes that could move it, unless it
        is Zarr's default.
        """
        dtype, shape = array_spec.dtype.to_native_dtype(), tuple(array_spec.shape)
        self._check(dtype, len(shape))
        marks = self._marks(dtype, array_spec.fill_value)
        if marks is None and (self.axes is None or shape == self._shape):
            return self
        axes: str | None = self.axes
        if axes is not None and self._shape is not None:
            axes = letters.follow(axes, self._shape, shape)
        values = {**self.to_mapping(), "axes": axes}
        if marks is not None:
            values["fill_value"] = marks
        return type(self).from_mapping(values)._bound(shape, self._is_stored)

    def _marks(self, dtype: np.dtype[Any], fill_value: Any) -> Any:
        """Marks of missing samples, with that of an array; None where it is no further one."""
        if self.mode == "lossless":
            return None
        found = declared_by({}, dtype, fill_value, chosen=False)
        told = Missing.of(self.fill_value, self.valid_range) or Missing()
        if found is None or told.joined(found) == told:
            return None
        return told.joined(found).values

    def _bound(self, shape: tuple[int, ...] | None, is_stored: bool) -> Self:
        object.__setattr__(self, "_shape", shape)
        object.__setattr__(self, "_is_stored", is_stored)
        return self

    def __eq__(self, other: object) -> bool:
        if not (isinstance(other, LatransCodec) and super().__eq__(other)):
            return False
        # Shards leave a codec as it was where it has become an equal one: being bound is news.
        both_stored = self._is_stored and other._is_stored
        return not both_stored or (self._shape is None) == (other._shape is None)

    __hash__ = Configured.__hash__

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _restored, (type(self), self.to_mapping(), self._shape, self._is_stored)

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
        return queue.submit_and_wait(self, kind, (chunk, spec), _nbytes(kind, chunk, spec))

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
        arrays = [self._to_array(*chunk) for chunk in chunks]
        if self.axes is None or all(array.ndim == len(self.axes) for array in arrays):
            frames = self._codec.encode_batch(arrays, threads)
        else:
            frames = [self._fitted(array.shape)._codec.encode(array) for array in arrays]
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
        array = _announced(chunk.as_numpy_array(), dtype, spec.shape)
        if not (array.shape == spec.shape and _is_same(array.dtype, dtype)):
            raise ConfigError(
                f"chunk is {_describe(array.dtype, array.shape)} where Zarr says "
                f"{_describe(dtype, spec.shape)}: a codec before latrans changes the chunk "
                "without saying so in its resolve_metadata"
            )
        return np.asarray(unmasked(array), dtype, order="C")

    def _fitted(self, shape: tuple[int, ...]) -> LatransCodec:
        """The codec for chunks of a virtual array, which has more dimensions than its files."""
        if self.axes is None or len(self.axes) == len(shape):
            return self
        axes = letters.around_ones(self.axes, shape)
        if axes is None:
            raise ConfigError(_misfit(self.axes, len(shape)))
        return LatransCodec.from_mapping({**self.to_mapping(), "axes": axes})

    def _check(self, dtype: np.dtype[Any], n_dims: int) -> None:
        if dtype.hasobject:
            raise ConfigError(
                f"latrans cannot store dtype {dtype}; it stores numbers and other items of fixed "
                "size: leave out serializer= for this array, or convert it to such a dtype"
            )
        # What is stored can be read in any case, and is refused when it is written.
        is_bound = self._is_stored or self._shape is not None
        if self.axes is not None and len(self.axes) != n_dims and not is_bound:
            raise ConfigError(_misfit(self.axes, n_dims))


def _restored(
    cls: type[LatransCodec], values: dict[str, Any], shape: tuple[int, ...] | None, is_stored: bool
) -> LatransCodec:
    """An instance from a pickle."""
    return cls.from_mapping(values)._bound(shape, is_stored)


def _misfit(axes: str, n_dims: int) -> str:
    return (
        f"axes {axes!r} names {len(axes)} dimensions, the array has {n_dims}: "
        "give one letter per dimension, or leave axes out"
    )


def _announced(array: Array, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """What a filter hands over, as Zarr describes it.

    Some flatten chunks (delta, fixedscaleoffset), some turn floats or times into integers of the
    same bits (bitround, delta).  Zarr's own serializer takes both, since it stores bytes.
    """
    if array.shape == (math.prod(shape),):
        array = array.reshape(shape)
    found = array.dtype
    are_bits = found.kind in "iu" and dtype.kind in "iufmM" and found.itemsize == dtype.itemsize
    if are_bits and not _is_same(found, dtype):
        array = array.view(dtype.newbyteorder(found.byteorder))
    return array


def _to_spec(array: Array, spec: ArraySpec) -> Array:
    """Return a decoded array in the byte order that Zarr asks for, in C order.

    Dimensions of length 1 may be more or fewer: references to the chunks of many arrays make one
    array of them, along a new dimension.
    """
    dtype = spec.dtype.to_native_dtype()
    if not (
        _without_ones(array.shape) == _without_ones(spec.shape) and _is_same(array.dtype, dtype)
    ):
        raise CodecError(
            f"frame holds {_describe(array.dtype, array.shape)}, the array's metadata says "
            f"{_describe(dtype, spec.shape)}: this chunk and this zarr.json do not belong together"
        )
    return np.asarray(array, dtype, order="C").reshape(spec.shape)


def _is_same(found: np.dtype[Any], dtype: np.dtype[Any]) -> bool:
    """Whether dtypes agree, byte order aside: format 3 does not store that."""
    return np.can_cast(found, dtype, "equiv")


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)


def _describe(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    return f"{dtype} of shape {shape}"


def _nbytes(kind: str, chunk: NDBuffer | Buffer, spec: ArraySpec) -> int:
    if kind == "decode":
        return len(chunk)
    return math.prod(spec.shape) * spec.dtype.to_native_dtype().itemsize
