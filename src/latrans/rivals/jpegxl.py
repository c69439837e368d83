"""JPEG XL, lossless, efforts 3, 7 and 9."""

from __future__ import annotations

from functools import partial
from typing import Any

from . import pictures
from .rival import Array, Rival

EFFORTS = (3, 7, 9)


def encode(
    array: Array, axes: str, max_error: float | None, fill_value: float | None, *, effort: int
) -> bytes:
    import imagecodecs

    def one(image: Array) -> bytes:
        options: dict[str, Any] = {"lossless": True, "effort": effort, "numthreads": 1}
        return bytes(imagecodecs.jpegxl_encode(image, **options))

    return pictures.encode(array, axes, one)


def decode(data: bytes) -> Array:
    import imagecodecs

    return pictures.decode(data, partial(imagecodecs.jpegxl_decode, numthreads=1))


RIVALS = tuple(
    Rival(
        label=f"JPEG XL e{effort}",
        modules=("imagecodecs",),
        install="pip install imagecodecs",
        suits=pictures.is_picture,
        encode=partial(encode, effort=effort),
        decode=decode,
    )
    for effort in EFFORTS
)
