"""SZ3 at an absolute bound."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import fields
from .rival import Array, Rival


def encode(array: Array, axes: str, max_error: float | None, fill_value: float | None) -> bytes:
    import imagecodecs

    def one(block: Array) -> bytes:
        return bytes(imagecodecs.sz3_encode(block, mode="abs", abs=max_error))

    return fields.encode(array, axes, one, fill_value)


def decode(data: bytes) -> Array:
    import imagecodecs

    def one(stream: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return np.asarray(imagecodecs.sz3_decode(stream, shape, dtype))

    return fields.decode(data, one)


RIVALS = (
    Rival(
        label="SZ3",
        modules=("imagecodecs",),
        install="pip install imagecodecs",
        suits=fields.is_field,
        encode=encode,
        decode=decode,
        bounded=True,
    ),
)
