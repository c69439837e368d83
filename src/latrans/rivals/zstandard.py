"""Zstandard, level 19, over the array's bytes."""

from __future__ import annotations

import numpy as np

from .rival import Array, Rival, pack, plain, unpack

LEVEL = 19


def encode(array: Array, axes: str, max_error: float | None, fill_value: float | None) -> bytes:
    from numcodecs.zstd import Zstd

    return pack([bytes(Zstd(LEVEL).encode(array.tobytes()))], array)


def decode(data: bytes) -> Array:
    from numcodecs.zstd import Zstd

    (stream,), header = unpack(data)
    return np.frombuffer(Zstd().decode(stream), header["dtype"]).reshape(header["shape"])


RIVALS = (
    Rival(
        label=f"zstd-{LEVEL}",
        modules=("numcodecs",),
        install="pip install numcodecs",
        suits=lambda array, axes: plain(array),
        encode=encode,
        decode=decode,
    ),
)
