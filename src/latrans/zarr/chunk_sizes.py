"""Sizes of a Zarr array's chunks as they are stored, known without reading them.

Chunks that are objects of their own have the size that the store reports: one listing where the
store is one of fsspec's, one question per chunk elsewhere.  Of shards only the index is read.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CodecError

Grid = npt.NDArray[np.int64]

_EMPTY = np.uint64(2**64 - 1)  # of a shard's index: there is no such chunk


def chunk_nbytes(array: Any) -> Grid:
    """Stored bytes of every chunk of a Zarr array.

    Parameters
    ----------
    array : zarr.Array
        Of format 2 or 3, compressed with anything; in shards or not.

    Returns
    -------
    int64, shape of the chunk grid
        -1 where no chunk is stored: it was never written, or is all fill value.  Of an array in
        shards the chunks are those inside shards.

    Raises
    ------
    CodecError
        If a shard is too short to hold its index.
    """
    from zarr.core.sync import sync

    shards = getattr(array, "shards", None)
    if shards is None:
        return np.array(sync(_object_nbytes(array)), np.int64).reshape(_grid(array, array.chunks))
    return _inside_shards(array, shards)


def samples_of_chunks(array: Any) -> Grid:
    """Samples of the array in every chunk: those at an edge hold fewer than the others."""
    sizes = np.ones((), np.int64)
    for n, step in zip(array.shape, array.chunks, strict=True):
        along = np.minimum(step, n - np.arange(0, n, step, dtype=np.int64))
        sizes = np.multiply.outer(sizes, along)
    return sizes


def bits_per_sample(array: Any) -> npt.NDArray[np.float64]:
    """Stored bits per sample of every chunk; NaN where none is stored.

    Parameters
    ----------
    array : zarr.Array
        See `chunk_nbytes`.
    """
    nbytes = chunk_nbytes(array)
    bits = nbytes * 8 / samples_of_chunks(array)
    bits[nbytes < 0] = np.nan
    return bits


def _grid(array: Any, chunks: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-n // step) for n, step in zip(array.shape, chunks, strict=True))


def _keys(array: Any, chunks: tuple[int, ...]) -> list[str]:
    """Keys of all objects, in C order, below the array's own path."""
    grid = np.ndindex(_grid(array, chunks))
    return [array.metadata.encode_chunk_key(place) for place in grid]


async def _object_nbytes(array: Any) -> list[int]:
    from zarr.storage import FsspecStore

    keys = _keys(array, array.chunks)
    store = _sized(array.store)
    if isinstance(store, FsspecStore):
        listed = await _listed(store, array.path)
        return [listed.get(key, -1) for key in keys]

    async def size(key: str) -> int:
        try:
            return int(await store.getsize(_join(array.path, key)))
        except FileNotFoundError:
            return -1

    return await _limited(size, keys)


def _sized(store: Any) -> Any:
    """The store inside wrappers that read whole objects for want of a way to ask their size."""
    from zarr.abc.store import Store
    from zarr.storage import WrapperStore

    while isinstance(store, WrapperStore) and type(store).getsize is Store.getsize:
        store = store._store
    return store


async def _listed(store: Any, path: str) -> dict[str, int]:
    """Sizes of all objects below an array in a store of fsspec's, by key."""
    root = _join(store.path, path).strip("/")
    try:
        found = await store.fs._find(root, detail=True)
    except FileNotFoundError:
        return {}
    below = {path.strip("/").removeprefix(root): info for path, info in found.items()}
    return {path.strip("/"): int(info["size"]) for path, info in below.items()}


def _inside_shards(array: Any, shards: tuple[int, ...]) -> Grid:
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    (codec,) = array.metadata.codecs  # Zarr speaks of shards nowhere else
    inner = tuple(shard // step for shard, step in zip(shards, array.chunks, strict=True))
    count = _grid(array, shards)
    n_shards = math.prod(count)
    nbytes = len(_index_codec(codec, inner, {0: None})[1])
    request = _index_range(codec, nbytes)

    async def index(key: str) -> Any:
        place = _join(array.path, key)
        return await array.store.get(place, default_buffer_prototype(), byte_range=request)

    found = sync(_limited(index, _keys(array, shards)))
    stored = {i: part for i, part in enumerate(found) if part is not None}
    if any(len(part) != nbytes for part in stored.values()):
        raise CodecError(f"array {array.name!r} has a shard that is shorter than its index")
    indices = _index_codec(codec, inner, stored, n_shards)[0]
    lengths = np.where(indices[..., 0] == _EMPTY, -1, indices[..., 1].astype(np.int64))
    # (shards along each axis, chunks along each axis) side by side, then cut to the array's own.
    n = len(shards)
    sides = lengths.reshape(*count, *inner).transpose([i // 2 + n * (i % 2) for i in range(2 * n)])
    whole = sides.reshape([a * b for a, b in zip(count, inner, strict=True)])
    return whole[tuple(slice(size) for size in _grid(array, array.chunks))]


def _index_range(codec: Any, nbytes: int) -> Any:
    from zarr.abc.store import RangeByteRequest, SuffixByteRequest

    # An enumeration until Zarr 3.3, a string since.
    at_start = getattr(codec.index_location, "value", codec.index_location) == "start"
    return RangeByteRequest(0, nbytes) if at_start else SuffixByteRequest(nbytes)


def _index_codec(
    codec: Any, inner: tuple[int, ...], stored: dict[int, Any], n_shards: int = 1
) -> tuple[npt.NDArray[np.uint64], bytes]:
    """Indices of shards, decoded by Zarr as the chunks of an array that they are.

    Where an index is None, an empty one is written instead; returns (shards, *inner, 2), and the
    bytes of the first.
    """
    import zarr

    objects: dict[str, Any] = {}
    array = zarr.create_array(
        zarr.storage.MemoryStore(objects),
        shape=(n_shards, *inner, 2),
        chunks=(1, *inner, 2),
        dtype="uint64",
        fill_value=int(_EMPTY),
        serializer=codec.index_codecs[0],
        compressors=codec.index_codecs[1:] or None,
        config={"write_empty_chunks": True},
    )
    keys = [f"c/{i}" + "/0" * (len(inner) + 1) for i in range(n_shards)]
    for i, part in stored.items():
        if part is None:
            array[i] = _EMPTY
        else:
            objects[keys[i]] = part
    first = objects[keys[0]].to_bytes() if keys[0] in objects else b""
    return array[...], first


async def _limited(ask: Callable[[str], Awaitable[Any]], keys: Iterable[str]) -> list[Any]:
    """Answers for all keys, in order, with as many questions at a time as Zarr asks."""
    from zarr import config

    gate = asyncio.Semaphore(config.get("async.concurrency"))

    async def one(key: str) -> Any:
        async with gate:
            return await ask(key)

    return await asyncio.gather(*(one(key) for key in keys))


def _join(*parts: str) -> str:
    return "/".join(part.strip("/") for part in parts if part.strip("/"))
