"""WebP, lossless, method 6, for 8-bit pictures."""

from __future__ import annotations

import numpy as np

from . import pictures
from .rival import Array, Rival

_MAX_SIDE = 16383


def suits(array: Array, axes: str) -> bool:
    if not pictures.is_picture(array, axes) or int(array.max()) - min(0, int(array.min())) > 255:
        return False
    return max(array.shape[axes.index(letter)] for letter in "yx") <= _MAX_SIDE


def encode(array: Array, axes: str, max_error: float | None, fill_value: float | None) -> bytes:
    import imagecodecs

    def one(image: Array) -> bytes:
        # WebP knows colours only; grey is three equal channels, which its transforms remove.
        if image.ndim == 2:
            image = np.repeat(image[..., None], 3, axis=2)
        return bytes(imagecodecs.webp_encode(image, lossless=True, method=6))

    return pictures.encode(array, axes, one)


def decode(data: bytes) -> Array:
    import imagecodecs

    def one(stream: bytes) -> Array:
        return np.asarray(imagecodecs.webp_decode(stream, hasalpha=False))

    return pictures.decode(data, one)


RIVALS = (
    Rival(
        label="WebP",
        modules=("imagecodecs",),
        install="pip install imagecodecs",
        suits=suits,
        encode=encode,
        decode=decode,
    ),
)
