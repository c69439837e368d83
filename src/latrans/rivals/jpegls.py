"""JPEG-LS, lossless, plane by plane."""

from __future__ import annotations

from . import pictures
from .rival import Array, Rival


def encode(array: Array, axes: str, max_error: float | None, fill_value: float | None) -> bytes:
    import imagecodecs

    def one(image: Array) -> bytes:
        # Noise takes more than the raw bytes for which room is made.
        return bytes(imagecodecs.jpegls_encode(image, out=2 * image.nbytes + 4096))

    return pictures.encode(array, axes, one)


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
