"""Stores: where a target lies, and how many requests and bytes it takes.

``LocalStore`` of zarr 3.1.3 and later writes a file under a temporary name and renames it, object
stores replace an object at once, memory holds whole values: a chunk is in a target or it is not,
whenever a process is killed.  What LocalStore leaves of a killed process is a file named
``NAME.<32 hexadecimal digits>.partial`` that no reader looks at.
"""

from __future__ import annotations

import asyncio
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import zarr
from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore, MemoryStore, StorePath, WrapperStore
from zarr.storage._common import make_store_path

from ..errors import ConfigError
from ..zarr.opening import config_of
from ..zarr.zip_stores import METADATA

_PARTIAL = re.compile(r"\.[0-9a-f]{32}\.partial\Z")


def open_target(target: Any, storage_options: dict[str, Any] | None = None) -> StorePath:
    """Where a target lies or will lie: path, URL, `Store` or `StorePath`."""
    if isinstance(target, str) and target.startswith("file://"):
        target = target.removeprefix("file://")  # through fsspec, its files are not written whole
    if isinstance(target, str | Path) and str(target).endswith(".zip"):
        raise ConfigError(
            f"{target}: ZIP files are written by transcode, latrans compress and latrans.dask."
            "to_zarr alone; give a folder, and pack it afterwards"
        )
    if isinstance(target, str | Path) and "://" not in str(target):
        if Path(target).is_file():
            raise ConfigError(f"{target} exists and is a file: choose another name")
        target = Path(target).absolute()  # workers may run in another folder
    found = sync(make_store_path(target, storage_options=storage_options))
    store = found.store
    if store.read_only:
        raise ConfigError(f"{store} is read-only: give a target that can be written")
    if not (store.supports_writes and store.supports_deletes and store.supports_listing):
        raise ConfigError(
            f"{type(store).__name__} cannot replace or list what it holds: give a folder, an "
            "object store, or a path that ends in .zip"
        )
    return found


def is_shared(store: Store) -> bool:
    """Whether other processes see what is written."""
    inner = unwrapped(store)
    protocol = getattr(getattr(inner, "fs", None), "protocol", ())
    return not isinstance(inner, MemoryStore) and "memory" not in protocol


def unwrapped(store: Store) -> Store:
    """The store inside wrappers."""
    while isinstance(store, WrapperStore):
        store = store._store
    return store


def identity(place: StorePath) -> str:
    """Where an array lies, however its path was written."""
    store = unwrapped(place.store)
    if isinstance(store, LocalStore):
        return str((store.root / place.path).resolve())
    return str(place)


def cancel_all(seconds: float) -> None:
    """Cancel all that Zarr has under way in this process, and wait until it has ended."""

    async def cancel() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), seconds)

    sync(cancel(), timeout=seconds + 1)


def forgive_unawaited() -> None:
    """Let Python not complain of what Zarr was about to begin when an interrupt came between."""
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)


def get(store: Store, key: str) -> bytes | None:
    """An object's bytes, or None."""
    found = sync(store.get(key, default_buffer_prototype()))
    return None if found is None else found.to_bytes()


def get_many(store: Store, wanted: list[str], at_once: int) -> list[bytes]:
    """Bytes of those objects that are there, in any order."""

    async def collect() -> list[bytes]:
        prototype = default_buffer_prototype()
        found = []
        for first in range(0, len(wanted), at_once):
            some = (store.get(key, prototype) for key in wanted[first : first + at_once])
            found += [data.to_bytes() for data in await asyncio.gather(*some) if data is not None]
        return found

    return sync(collect())


def put(store: Store, key: str, data: bytes) -> None:
    """Write an object whole."""
    sync(store.set(key, default_buffer_prototype().buffer.from_bytes(data)))


def delete(store: Store, key: str) -> None:
    """Delete an object, if it is there."""
    sync(store.delete(key))


def keys(store: Store, prefix: str) -> list[str]:
    """Keys of all objects below a prefix."""

    async def collect() -> list[str]:
        return [key async for key in store.list_prefix(prefix)]

    return sync(collect())


def below(path: str, *parts: str) -> str:
    """A key below a path, which may be the root."""
    return "/".join([path, *parts]) if path else "/".join(parts)


def clear(place: StorePath) -> None:
    """Delete a target: first what makes it one, so that no half of it passes for the whole."""
    found = keys(place.store, place.path + "/" if place.path else "")
    for key in found:
        if key.rpartition("/")[2] in METADATA:
            delete(place.store, key)
    if found:
        sync(place.store.delete_dir(place.path))


def is_consolidated(source: Any) -> bool:
    """Whether a Zarr group was opened by consolidated metadata; False for all else."""
    metadata = getattr(source, "metadata", None)
    return getattr(metadata, "consolidated_metadata", None) is not None


def consolidate(place: Any) -> None:
    """Put the metadata of all that is in a group into the group's own, as xarray looks for."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata")
        zarr.consolidate_metadata(place)


def is_partial(name: str) -> bool:
    """Whether a file is what a killed process left of one that was never finished."""
    return _PARTIAL.search(name) is not None


def remove_partial(place: StorePath) -> None:
    """Delete what killed processes left of files that were never finished."""
    store = unwrapped(place.store)
    if isinstance(store, LocalStore):
        for path in (store.root / place.path).rglob("*.partial"):
            if is_partial(path.name):
                path.unlink(missing_ok=True)


class CountingStore(WrapperStore[Store]):  # type: ignore[misc]
    """A store that counts requests and bytes of chunks and metadata that go through it."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.n_gets = self.n_puts = self.get_nbytes = self.put_nbytes = 0

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        found = await super().get(key, prototype, byte_range)
        self.n_gets += 1
        self.get_nbytes += 0 if found is None else len(found)
        return found

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        found = await super().get_partial_values(prototype, key_ranges)
        self.n_gets += len(found)
        self.get_nbytes += sum(len(part) for part in found if part is not None)
        return found

    async def set(self, key: str, value: Buffer) -> None:
        await super().set(key, value)
        self.n_puts += 1
        self.put_nbytes += len(value)


def counted(array: Any) -> tuple[Any, CountingStore | None]:
    """A Zarr array over a store of its own that counts; other arrays as they are."""
    if not isinstance(array, zarr.Array):
        return array, None
    inner = array._async_array
    store = CountingStore(inner.store_path.store)
    path = StorePath(store, inner.store_path.path)
    return zarr.Array(zarr.AsyncArray(inner.metadata, path, config_of(array))), store
