"""WavPack -hh -x4 for recordings of up to 32 bits, by its command line."""

from __future__ import annotations

import subprocess

import numpy as np

from . import sound
from .rival import Array, Rival

_MAX_CHANNELS = 255


def encode(array: Array, axes: str, max_error: float | None, fill_value: float | None) -> bytes:
    def one(samples: Array, bits: int) -> bytes:
        form = f"--raw-pcm={sound.RATE},{bits}s,{samples.shape[1]},le"
        data = samples.astype("<i4")[..., None].view(np.uint8)[..., : bits // 8].tobytes()
        return _run("wavpack", "-q", "-y", "-hh", "-x4", form, "-", "-o", "-", data=data)

    return sound.encode(array, axes, one, _MAX_CHANNELS)


def decode(data: bytes) -> Array:
    def one(stream: bytes, bits: int) -> Array:
        raw = _run("wvunpack", "-q", "--raw", "-", "-o", "-", data=stream)
        n_bytes = bits // 8
        wide = np.zeros((len(raw) // n_bytes, 4), np.uint8)
        # Upper bytes first, so that the shift back brings the sign.
        wide[:, 4 - n_bytes :] = np.frombuffer(raw, np.uint8).reshape(-1, n_bytes)
        return wide.view("<i4")[:, 0] >> 32 - bits

    return sound.decode(data, one)


def _run(*command: str, data: bytes) -> bytes:
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


RIVALS = (
    Rival(
        label="WavPack -hhx4",
        commands=("wavpack", "wvunpack"),
        install="install the package wavpack of your system",
        suits=lambda array, axes: sound.is_sound(array, axes, 32),
        encode=encode,
        decode=decode,
    ),
)
