"""Blosc with Zstandard, level 9: the bytes as they are, byte planes, or bit planes."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .rival import Array, Rival, pack, plain, unpack

LEVEL = 9
SHUFFLES = {"no": 0, "byte": 1, "bit": 2}
_MAX_NBYTES = 2**31 - 64


def suits(array: Array, axes: str, *, shuffle: int) -> bool:
    # Single bytes have no byte planes.
    fits = plain(array) and array.nbytes < _MAX_NBYTES
    return fits and not (shuffle == 1 and array.itemsize == 1)


def encode(
    array: Array, axes: str, max_error: float | None, fill_value: float | None, *, shuffle: int
) -> bytes:
    codec = _codec(shuffle)
    # Blosc shuffles by the item size of what it is given.
    typed = np.ascontiguousarray(array).reshape(-1).view(f"u{array.itemsize}")
    return pack([bytes(codec.encode(typed))], array)


def decode(data: bytes) -> Array:
    (stream,), header = unpack(data)
    return np.frombuffer(_codec(0).decode(stream), header["dtype"]).reshape(header["shape"])


def _codec(shuffle: int) -> Any:
    from numcodecs import blosc

    blosc.set_nthreads(1)
    return blosc.Blosc("zstd", clevel=LEVEL, shuffle=shuffle)


RIVALS = tuple(
    Rival(
        label=f"Blosc-zstd-{LEVEL} {name}",
        modules=("numcodecs",),
        install="pip install numcodecs",
        suits=partial(suits, shuffle=shuffle),
        encode=partial(encode, shuffle=shuffle),
        decode=decode,
    )
    for name, shuffle in SHUFFLES.items()
)
