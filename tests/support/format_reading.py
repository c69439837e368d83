"""Arrays for the tests of FORMAT.md, and the comparison of the two readers."""

from __future__ import annotations

import numpy as np

import independent_maps
import independent_network
import independent_reader
import latrans

Y, X = np.mgrid[0:12, 0:16]


def smooth(*shape, seed=0, noise=1.0):
    """Values around 100 that neighbours share, with some noise."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 1, shape), axis=-1)
    return 100 + 4 * walk + rng.normal(0, noise, shape)


def channels(count=3, noise=1.0):
    """Planes that look alike, (count, 12, 16)."""
    wave = 120 + 60 * np.sin(X / 5) + 30 * np.cos(Y / 4)
    rng = np.random.default_rng(count)
    return np.stack([wave + 3 * i + rng.normal(0, noise, wave.shape) for i in range(count)])


def check(model, array, **options):
    """Encode, decode with both readers, compare; returns the frame taken apart."""
    data = latrans.Codec(model, **options).encode(array)
    assert_same(independent_reader.decode(data, model.data), latrans.decode(data))
    return independent_reader.Frame(data)


def assert_same(found, expected):
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.flags.f_contiguous == expected.flags.f_contiguous or not found.nbytes
    for name in found.dtype.names or ():  # bytes between fields are nobody's
        assert found[name].tobytes() == expected[name].tobytes()
    assert found.dtype.names or found.tobytes() == expected.tobytes()


def maps_of(frame, model):
    """Kind of each map, whether there is a mask, whether there are exceptions."""
    assert not frame.is_fallback
    parts = independent_maps.Maps(
        frame.maps, independent_network.Model(model.data), frame.dtype, frame.shape
    )
    heads = [content[0] if content else 0 for content in parts.contents]
    return [head & 63 for head in heads], parts.mask is not None, any(h & 128 for h in heads)


BASE = smooth(12, 16)
