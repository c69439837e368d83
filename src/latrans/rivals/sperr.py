"""SPERR at an absolute bound, for planes and volumes."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import fields
from .rival import Array, Rival


def suits(array: Array, axes: str) -> bool:
    # Wavelets of single rows are not for it, unless channels make a plane of them.
    return fields.is_field(array, axes) and ("y" in axes or ("t" in axes and "c" in axes))


def encode(array: Array, axes: str, max_error: float | None, fill_value: float | None) -> bytes:
    import imagecodecs

    assert max_error is not None

    def one(block: Array) -> bytes:
        return bytes(imagecodecs.sperr_encode(block, max_error, "pwe", numthreads=1))

    return fields.encode(array, axes, one, fill_value, n_dims=(2, 3))


def decode(data: bytes) -> Array:
    import imagecodecs

    def one(stream: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return np.asarray(imagecodecs.sperr_decode(stream, shape=shape, dtype=dtype, numthreads=1))

    return fields.decode(data, one)


RIVALS = (
    Rival(
        label="SPERR",
        modules=("imagecodecs",),
        install="pip install imagecodecs",
        suits=suits,
        encode=encode,
        decode=decode,
        bounded=True,
    ),
)
