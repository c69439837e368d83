"""Sound: an array as recordings of 16-, 24- or 32-bit samples that audio codecs take, and back.

Every item is a recording of its channels.  Codecs are given each channel alone and, where they
take that many, all channels of an item together; the smaller is kept.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..format import axes as axis_letters
from .rival import Array, pack, plain, unpack

RATE = 48000  # stored in the streams, without influence on their size


def is_sound(array: Array, axes: str, max_bits: int) -> bool:
    """Whether the array consists of tracks of integers of at most `max_bits` bits."""
    if not plain(array) or array.dtype.kind == "f" or "t" not in axes or "x" in axes:
        return False
    return bits_of(array) <= max_bits


def bits_of(array: Array) -> int:
    """Bits of a signed sample: 16, 24, 32, or 64 for what no audio codec takes."""
    low, high = int(array.min()), int(array.max())
    return next((b for b in (16, 24, 32) if -(1 << b - 1) <= low and high < 1 << b - 1), 64)


def encode(
    array: Array, axes: str, encode_one: Callable[[Array, int], bytes], max_channels: int
) -> bytes:
    """Encode recordings, (samples, channels) int32, with `encode_one`, which is told their bits."""
    bits = bits_of(array)
    layout = axis_letters.layout(axes, array.shape, "track")
    tracks = layout.split(array)[:, 0].astype(np.int32)  # (tracks, samples)
    ways = [1]
    channels = _channels(layout)
    if 1 < channels <= max_channels:
        ways.append(channels)
    coded = {
        way: [
            bytes(encode_one(np.ascontiguousarray(item.T), bits))
            for item in tracks.reshape(-1, way, tracks.shape[1])
        ]
        for way in ways
    }
    best = min(ways, key=lambda way: sum(map(len, coded[way])))
    return pack(coded[best], array, axes=axes, bits=bits)


def decode(data: bytes, decode_one: Callable[[bytes, int], Array]) -> Array:
    """Inverse of `encode`; `decode_one` gives (samples, channels)."""
    streams, header = unpack(data)
    layout = axis_letters.layout(header["axes"], header["shape"], "track")
    samples = layout.shape[1]
    parts = [decode_one(s, header["bits"]).reshape(samples, -1).T for s in streams]
    tracks = np.concatenate(parts).astype(header["dtype"])
    return layout.join(tracks, header["shape"])


def _channels(layout: axis_letters.Layout) -> int:
    """Tracks that belong together: those along the last counted dimension."""
    return layout.counts[-1] if layout.counts and layout.ordered[-1] else 1
