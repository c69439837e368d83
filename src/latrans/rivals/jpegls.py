"""JPEG-LS, lossless, plane by plane."""

from __future__ import annotations

from . import pictures
from .rival import Array, Rival


def encode(array: Array, axes: str, max_error: float | None, fill_value: float | None) -> bytes:
    import imagecodecs

    return pictures.encode(array, axes, lambda image: bytes(imagecodecs.jpegls_encode(image)))


def decode(data: bytes) -> Array:
    import imagecodecs

    return pictures.decode(data, imagecodecs.jpegls_decode)


RIVALS = (
    Rival(
        label="JPEG-LS",
        modules=("imagecodecs",),
        install="pip install imagecodecs",
        suits=pictures.is_picture,
        encode=encode,
        decode=decode,
    ),
)
