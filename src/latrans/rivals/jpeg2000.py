"""JPEG 2000, reversible."""

from __future__ import annotations

from functools import partial
from typing import Any

from . import pictures
from .rival import Array, Rival


def encode(array: Array, axes: str, max_error: float | None, fill_value: float | None) -> bytes:
    import imagecodecs

    def one(image: Array) -> bytes:
        # Fewer resolutions for narrow pictures: each halves both sides.
        resolutions = max(1, min(6, min(image.shape[:2]).bit_length()))
        options: dict[str, Any] = {"reversible": True, "codecformat": "j2k", "numthreads": 1}
        return bytes(imagecodecs.jpeg2k_encode(image, 0, resolutions=resolutions, **options))

    return pictures.encode(array, axes, one)


def decode(data: bytes) -> Array:
    import imagecodecs

    return pictures.decode(data, partial(imagecodecs.jpeg2k_decode, numthreads=1))


RIVALS = (
    Rival(
        label="JPEG 2000",
        modules=("imagecodecs",),
        install="pip install imagecodecs",
        suits=pictures.is_picture,
        encode=encode,
        decode=decode,
    ),
)
