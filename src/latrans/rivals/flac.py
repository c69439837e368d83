"""FLAC, level 8, for recordings of up to 24 bits."""

from __future__ import annotations

import io

import numpy as np

from . import sound
from .rival import Array, Rival

_MAX_BITS = 24  # what libsndfile passes on
_MAX_CHANNELS = 8


def encode(array: Array, axes: str, max_error: float | None, fill_value: float | None) -> bytes:
    import soundfile

    def one(samples: Array, bits: int) -> bytes:
        file = io.BytesIO()
        # libsndfile takes the upper bits of an int32.
        soundfile.write(
            file,
            samples << 32 - bits,
            sound.RATE,
            subtype=f"PCM_{bits}",
            format="FLAC",
            compression_level=1.0,
        )
        return file.getvalue()

    return sound.encode(array, axes, one, _MAX_CHANNELS)


def decode(data: bytes) -> Array:
    import soundfile

    def one(stream: bytes, bits: int) -> Array:
        samples, _ = soundfile.read(io.BytesIO(stream), dtype="int32")
        return np.asarray(samples) >> 32 - bits

    return sound.decode(data, one)


RIVALS = (
    Rival(
        label="FLAC -8",
        modules=("soundfile",),
        install="pip install soundfile",
        suits=lambda array, axes: sound.is_sound(array, axes, _MAX_BITS),
        encode=encode,
        decode=decode,
    ),
)
