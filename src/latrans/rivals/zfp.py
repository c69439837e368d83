"""ZFP in its fixed-accuracy mode, which keeps well inside of the bound."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import fields
from .rival import Array, Rival


def encode(array: Array, axes: str, max_error: float | None, fill_value: float | None) -> bytes:
    import imagecodecs

    def one(block: Array) -> bytes:
        level: Any = max_error  # typed as an integer, but any number is taken
        return bytes(imagecodecs.zfp_encode(block, level, mode="accuracy", numthreads=1))

    return fields.encode(array, axes, one, fill_value)


def decode(data: bytes) -> Array:
    import imagecodecs

    def one(stream: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        # The stream's header knows shape and dtype; given again, they are taken for a raw stream.
        return np.asarray(imagecodecs.zfp_decode(stream, numthreads=1))

    return fields.decode(data, one)


RIVALS = (
    Rival(
        label="ZFP",
        modules=("imagecodecs",),
        install="pip install imagecodecs",
        suits=fields.is_field,
        encode=encode,
        decode=decode,
        bounded=True,
    ),
)
