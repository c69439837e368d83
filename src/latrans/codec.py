"""Codec: arrays to frames and back.

The one place that joins value maps, networks, residual coder, entropy coder and frame.  A codec
is cheap to make, holds no state between calls, and touches its model only when data is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import fallback
from .errors import ConfigError
from .frame import Frame, check_mode, pack, unpack

Array = np.ndarray[Any, Any]


class Codec:
    """Compress arrays with a model."""

    def __init__(
        self,
        model: Any = "image-1",
        mode: str = "lossless",
        max_error: float | None = None,
        fill_value: float | None = None,
        axes: str | None = None,
        engine: str | None = None,
    ) -> None:
        check_mode(mode)
        if mode == "bounded" and not (max_error is not None and max_error > 0):
            raise ConfigError(f"mode 'bounded' needs max_error > 0, found {max_error!r}")
        self.model = model
        self.mode = mode
        self.max_error = max_error
        self.fill_value = fill_value
        self.axes = axes
        self.engine = engine

    def encode(self, array: Array) -> bytes:
        array = np.asanyarray(array)
        if array.dtype.hasobject:
            raise TypeError("latrans stores numbers, not Python objects: convert the array first")
        fortran = bool(array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous)
        return pack(
            Frame(
                "lossless",
                array.dtype,
                array.shape,
                fortran,
                residual=fallback.encode(np.ascontiguousarray(array).reshape(array.shape)),
            )
        )

    def decode(self, frame: bytes | memoryview, out: Array | None = None) -> Array:
        parts = unpack(frame)
        array = fallback.decode(parts.residual, parts.dtype, parts.shape)
        if parts.fortran:
            array = np.asfortranarray(array)
        if out is not None:
            out[...] = array
            return out
        return array

    def encode_batch(self, arrays: Sequence[Array]) -> list[bytes]:
        return [self.encode(a) for a in arrays]

    def decode_batch(self, frames: Sequence[bytes]) -> list[Array]:
        return [self.decode(f) for f in frames]
