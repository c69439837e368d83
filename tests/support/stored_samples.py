"""Stored arrays with one chunk that is unlike the others and one that is empty."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import zarr

from latrans.numcodecs import Latrans
from latrans.zarr import LatransCodec

LAYOUTS: dict[str, dict[str, Any]] = {
    "v3": {},
    "v2": {"zarr_format": 2},
    "shards": {"shards": (2, 64, 128)},
}
CHUNKS = (1, 32, 32)
ANOMALY = (1, 1, 2)


def make_stack() -> np.ndarray[Any, Any]:
    """Three smooth planes with a noisy square in one chunk, and a chunk of nothing."""
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(80), np.arange(100)) // 2
    planes = np.stack([ramp + 5 * i for i in range(3)]) + rng.integers(0, 3, (3, 80, 100))
    planes[1, 32:64, 64:96] = rng.integers(0, 250, (32, 32))
    planes[0, :32, :32] = 0
    return planes.astype(np.uint8)


def written(data: Any, layout: str, store: Any = None, **options: Any) -> Any:
    """A Zarr array of latrans."""
    values = {"model": "image-1", **options}
    codec: dict[str, Any] = {"serializer": LatransCodec(**values), "compressors": None}
    if layout == "v2":
        codec = {"compressors": Latrans(**values)}
    return zarr.create_array(
        {} if store is None else store, name="deep/a", data=data, chunks=CHUNKS,
        **codec, **LAYOUTS[layout],
    )  # fmt: skip


def regions(array: Any) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    grid = [math.ceil(n / step) for n, step in zip(array.shape, array.chunks, strict=True)]
    for place in np.ndindex(*grid):
        sides = zip(place, array.chunks, array.shape, strict=True)
        yield place, tuple(slice(i * step, min((i + 1) * step, n)) for i, step, n in sides)
