"""latrans for numcodecs: arrays of Zarr format 2, and all else that takes a numcodecs codec.

    {"id": "latrans", "model": "image-1", "mode": "bounded", "max_error": 0.001}

An encoded chunk is one frame.  Arrays come back with the dtype, byte order, shape and memory order
they had, because Zarr reinterprets what it gets and would not notice a difference.  Buffers
without a type (bytes, bytearray, array.array) have no shape and no unit of error to speak of, so
they are stored losslessly in every mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import numpy as np

from .batch import queue
from .config import Configured, Value
from .process.dependencies import (
    NumcodecsCodec,
    ensure_bytes,
    ensure_contiguous_ndarray,
    ndarray_copy,
)
from .threads import count, spread

Array = np.ndarray[Any, Any]


class Latrans(Configured, NumcodecsCodec):  # type: ignore[misc]
    """Learned compression as a numcodecs codec, usable as compressor or as filter.

    Takes the parameters of `latrans.config.Configured`.  One instance may be used by any number
    of threads.

    Examples
    --------
    >>> import numcodecs, numpy as np
    >>> codec = numcodecs.get_codec({"id": "latrans", "model": "image-1", "mode": "lossless"})
    >>> image = np.arange(48, dtype="uint8").reshape(6, 8)
    >>> bool((codec.decode(codec.encode(image)) == image).all())
    True
    """

    codec_id = "latrans"

    _is_stored = False  # whether the configuration was read from somewhere; no field

    def encode(self, buf: Any) -> bytes:
        """Encode an array, or any contiguous buffer, to a frame.

        Raises
        ------
        TypeError
            For arrays of Python objects.
        ModelNotFoundError
            If the model is not found.
        """
        if isinstance(buf, np.ndarray):
            if not self._fits(buf):
                return self._without_axes().encode(buf)
            if queue.on_device():
                frame: bytes = queue.submit_and_wait(self, "encode", buf, buf.nbytes)
                return frame
            return self._codec.encode(buf)
        data = ensure_contiguous_ndarray(buf).view(np.uint8)
        return self._codec.encode_untyped(data)

    def decode(self, buf: Any, out: Any = None) -> Array:
        """Decode a frame to a new array, or into `out`, a buffer of exactly its size.

        Raises
        ------
        CodecError
            If the frame is damaged or cut short.
        ModelNotFoundError
            If the model that the frame names is not found.
        """
        frame = ensure_bytes(buf)
        if out is None:
            return self._decode(frame)
        # Refuses buffers of Python objects before there is anything to copy into them.
        ensure_contiguous_ndarray(out)
        copied: Array = ndarray_copy(self._decode(frame), out)
        return copied

    def _decode(self, frame: bytes) -> Array:
        if queue.on_device():
            array: Array = queue.submit_and_wait(self, "decode", frame, len(frame))
            return array
        return self._codec.decode(frame)

    def code(self, kind: str, chunks: Sequence[Any], threads: int) -> Sequence[Any]:
        """What `latrans.batch.queue` makes of the chunks of many threads, for a device."""
        if kind == "encode":
            return self._codec.encode_batch(chunks, threads)
        return self._codec.decode_batch(chunks, threads)

    def encode_batch(self, bufs: Iterable[Any], threads: int | None = None) -> list[bytes]:
        """Encode many arrays or buffers, side by side, as `encode` does one by one.

        Parameters
        ----------
        bufs : iterable
        threads : int, optional
            As in `latrans.Codec.encode_batch`.
        """
        chunks = list(bufs)
        if all(isinstance(chunk, np.ndarray) and self._fits(chunk) for chunk in chunks):
            return self._codec.encode_batch(chunks, threads)
        return spread(self.encode, chunks, count(threads))

    def decode_batch(self, bufs: Iterable[Any], threads: int | None = None) -> list[Array]:
        """Decode many frames to new arrays, side by side, as `decode` does one by one.

        Parameters
        ----------
        bufs : iterable
        threads : int, optional
            As in `latrans.Codec.decode_batch`.
        """
        return self._codec.decode_batch([ensure_bytes(buf) for buf in bufs], threads)

    def get_config(self) -> dict[str, Any]:
        """Return the stored form: ``id`` and every value that is not None."""
        return {"id": self.codec_id, **self.to_mapping()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make an instance from a stored form, ``id`` taken off.

        xarray makes other arrays with the codecs of those that it has read, so `axes` from a stored
        form are left out for arrays of another number of dimensions.
        """
        codec = cls.from_mapping(config)
        object.__setattr__(codec, "_is_stored", True)
        return codec

    def _fits(self, array: Array) -> bool:
        """Whether the array is one that the instance is for, or else the error is its maker's."""
        return self.axes is None or not self._is_stored or len(self.axes) == array.ndim

    def _without_axes(self) -> Self:
        return self.from_mapping({**self.to_mapping(), "axes": None})

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[dict[str, Value]]]:
        make = self.from_config if self._is_stored else self.from_mapping
        return make, (self.to_mapping(),)
