"""Batches: many chunks at once, by threads, small ones together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .frame import Buffer, as_bytes
from .threads import count, slabs, spread

if TYPE_CHECKING:
    from .model import Model

Array = npt.NDArray[Any]


class Batches(ABC):
    """What a codec does with many chunks; results are those of one by one."""

    model: str | bytes | Model
    mode: str
    axes: str | None
    fill_value: float | None
    engine: str | None

    def encode_batch(
        self, arrays: Iterable[npt.ArrayLike], threads: int | None = None
    ) -> list[bytes]:
        """Encode many arrays, side by side; the frames are those of `encode`, in order.

        Parameters
        ----------
        arrays : iterable of arrays, of any shapes and dtypes
        threads : int, optional
            How many threads work on the batch, one chunk each.  By default as many as the
            environment variable ``LATRANS_NUM_THREADS`` says, else as many as there are cores,
            or one where the caller is not the main thread, such as a Dask worker.

        Raises
        ------
        ConfigError
            If the number of threads is none; else what `encode` raises for the first array that
            it refuses.  Nothing runs any more then.
        """
        chunks, threads = list(arrays), count(threads)
        runs = spread(self._encode_some, slabs(chunks, threads), threads)
        return [frame for run in runs for frame in run]

    def decode_batch(self, frames: Iterable[Buffer], threads: int | None = None) -> list[Array]:
        """Decode many frames, side by side; arrays are those of `decode`, in order.

        Parameters
        ----------
        frames : iterable of bytes-like
        threads : int, optional
            As in `encode_batch`.

        Raises
        ------
        ConfigError
            If the number of threads is none; else what `decode` raises for the first frame that
            it refuses.  Nothing runs any more then.
        """
        chunks, threads = list(frames), count(threads)
        runs = spread(self._decode_some, slabs(chunks, threads), threads)
        return [array for run in runs for array in run]

    @abstractmethod
    def _encode(self, array: npt.ArrayLike | Buffer) -> bytes:
        """The frame of any array."""

    @abstractmethod
    def _decode(self, frame: bytes) -> Array:
        """The array of any frame."""

    @abstractmethod
    def _keep(self, packed: bytes, array: Array) -> bytes:
        """A model's frame of an array, or one that is smaller."""

    def _encode_some(self, arrays: Sequence[Any]) -> list[bytes]:
        usual = self.mode == "lossless" and self.axes is None and self.fill_value is None
        if self.model == "auto" or not usual or not any(map(_is_whole, arrays)):
            return [self._encode(array) for array in arrays]
        from . import small
        from .store import open_model

        quick = small.encoded(open_model(self.model), self.engine, arrays)
        return [
            self._encode(array) if packed is None else self._keep(packed, array)
            for array, packed in zip(arrays, quick, strict=True)
        ]

    def _decode_some(self, frames: Sequence[Buffer]) -> list[Array]:
        from . import small

        data = [as_bytes(frame) for frame in frames]
        quick = small.decoded(data, self.engine)
        return [
            self._decode(frame) if array is None else array
            for frame, array in zip(data, quick, strict=True)
        ]


def _is_whole(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind in "iu"
