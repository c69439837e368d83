"""Batches: many chunks at once, by threads, small ones together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..engine import select
from ..format.frame import Buffer, as_bytes
from ..threads import count, in_flight, slabs, spread
from .foreign import on_host

if TYPE_CHECKING:
    pass

Array = npt.NDArray[Any]
Out = TypeVar("Out")


class Batches(ABC):
    """What a codec does with many chunks; results are those of one by one."""

    model: Any
    mode: str
    axes: str | None
    fill_value: Any
    engine: str | None

    def encode_batch(
        self,
        arrays: Iterable[npt.ArrayLike],
        threads: int | None = None,
        batch: int | None = None,
    ) -> list[bytes]:
        """Encode many arrays, side by side; the frames are those of `encode`, in order.

        Parameters
        ----------
        arrays : iterable of arrays, of any shapes and dtypes
            Of NumPy, PyTorch, CuPy or others, as for `encode`.
        threads : int, optional
            How many threads work on the batch, one chunk each.  By default as many as the
            environment variable ``LATRANS_NUM_THREADS`` says, else as many as there are cores,
            or one where the caller is not the main thread, such as a Dask worker.
        batch : int, optional
            How many chunks engine "torch" has in flight, whose calls of the device go together;
            other engines have one per thread.  By default what the environment variable
            ``LATRANS_BATCH`` says, else 64 on the CPU and 256 on CUDA.

        Raises
        ------
        ConfigError
            If `threads` or `batch` is not a whole number of at least 1; else what `encode` raises
            for the first array that it refuses.  Nothing runs any more then.
        """
        return self._side_by_side(self._encode_some, list(arrays), threads, batch)

    def decode_batch(
        self, frames: Iterable[Buffer], threads: int | None = None, batch: int | None = None
    ) -> list[Array]:
        """Decode many frames, side by side; arrays are those of `decode`, in order.

        Parameters
        ----------
        frames : iterable of bytes-like
        threads, batch : int, optional
            As in `encode_batch`.

        Raises
        ------
        ConfigError
            If `threads` or `batch` is not a whole number of at least 1; else what `decode` raises
            for the first frame that it refuses.  Nothing runs any more then.
        """
        return self._side_by_side(self._decode_some, list(frames), threads, batch)

    def _side_by_side(
        self,
        work: Callable[[Sequence[Any]], list[Out]],
        chunks: list[Any],
        threads: int | None,
        batch: int | None,
    ) -> list[Out]:
        engine, threads = select(self.engine), count(threads)
        begun = in_flight(batch, engine.in_flight or threads)
        if engine.on_tensors:
            from ..torch_engine.batching import run_batch

            runs = run_batch(work, slabs(chunks, begun), threads, begun)
        else:
            runs = spread(work, slabs(chunks, threads), threads)
        return [done for run in runs for done in run]

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
        arrays = [on_host(array) for array in arrays]
        usual = self.mode == "lossless" and self.axes is None and self.fill_value is None
        if self.model == "auto" or not usual or not any(map(_is_whole, arrays)):
            return [self._encode(array) for array in arrays]
        from ..models.store import open_model
        from . import small_chunks

        quick = small_chunks.encoded(open_model(self.model), self.engine, arrays)
        return [
            self._encode(array) if packed is None else self._keep(packed, array)
            for array, packed in zip(arrays, quick, strict=True)
        ]

    def _decode_some(self, frames: Sequence[Buffer]) -> list[Array]:
        from . import small_chunks

        data = [as_bytes(frame) for frame in frames]
        quick = small_chunks.decoded(data, self.engine)
        return [
            self._decode(frame) if array is None else array
            for frame, array in zip(data, quick, strict=True)
        ]


def _is_whole(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind in "iu"
