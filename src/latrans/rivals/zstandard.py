"""Zstandard, levels 3 and 19, over the array's bytes."""

from __future__ import annotations

from functools import partial

import numpy as np

from .rival import Array, Rival, pack, plain, unpack

LEVELS = (3, 19)


def encode(
    array: Array, axes: str, max_error: float | None, fill_value: float | None, *, level: int
) -> bytes:
    from numcodecs.zstd import Zstd

    return pack([bytes(Zstd(level).encode(array.tobytes()))], array)


def decode(data: bytes) -> Array:
    from numcodecs.zstd import Zstd

    (stream,), header = unpack(data)
    return np.frombuffer(Zstd().decode(stream), header["dtype"]).reshape(header["shape"])


RIVALS = tuple(
    Rival(
        label=f"zstd-{level}",
        modules=("numcodecs",),
        install="pip install numcodecs",
        suits=lambda array, axes: plain(array),
        encode=partial(encode, level=level),
        decode=decode,
    )
    for level in LEVELS
)
