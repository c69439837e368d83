"""pcodec, level 8: numbers of 16 to 64 bits in the array's order or, for tables, by column."""

from __future__ import annotations

from typing import Literal

import numpy as np

from .rival import Array, Rival, pack, plain, unpack

LEVEL = 8


def suits(array: Array, axes: str) -> bool:
    return plain(array) and array.itemsize >= 2


def encode(array: Array, axes: str, max_error: float | None, fill_value: float | None) -> bytes:
    from pcodec import ChunkConfig, standalone

    config = ChunkConfig(compression_level=LEVEL)
    orders: list[Literal["C", "F"]] = ["C"] if array.ndim < 2 else ["C", "F"]
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    streams = {
        order: bytes(standalone.simple_compress(native.ravel(order), config)) for order in orders
    }
    best = min(orders, key=lambda order: len(streams[order]))
    return pack([streams[best]], array, order=best)


def decode(data: bytes) -> Array:
    from pcodec import standalone

    (stream,), header = unpack(data)
    flat = np.asarray(standalone.simple_decompress(stream), header["dtype"])
    return flat.reshape(header["shape"], order=header["order"])


RIVALS = (
    Rival(
        label=f"pcodec-{LEVEL}",
        modules=("pcodec",),
        install="pip install pcodec",
        suits=suits,
        encode=encode,
        decode=decode,
    ),
)
