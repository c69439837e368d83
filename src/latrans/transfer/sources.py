"""Sources: arrays that are read block by block, from files, stores or memory.

A source has `shape`, `dtype` and indexing by slices.  Files are memory-mapped and pickle as their
path, so that worker processes map them again; members of ``.npz`` files are unpacked to temporary
files, so that they can be mapped too.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class NpyFile:
    """A memory-mapped ``.npy`` file.

    `origin` is what the user named: this file, or one it was unpacked from.  The size and time of
    modification are those of that one, and say whether it is still what was opened.
    """

    path: str
    origin: str
    size: int
    mtime_ns: int

    @classmethod
    def open(cls, path: Path, named: Path | None = None, key: str = "") -> NpyFile:
        """Open a file of numbers; a `ConfigError` says what is there instead."""
        named = named or path
        status = named.stat()
        origin = str(named.resolve()) + (f":{key}" if key else "")
        file = cls(str(path.resolve()), origin, status.st_size, status.st_mtime_ns)
        _map(file.path, file.size, file.mtime_ns)
        return file

    @property
    def mapped(self) -> Array:
        """The array, mapped once per process."""
        return _map(self.path, self.size, self.mtime_ns)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.mapped.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.mapped.dtype

    def __getitem__(self, key: Any) -> Any:
        return self.mapped[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.mapped, dtype=dtype, copy=copy)


@lru_cache(maxsize=16)
def _map(path: str, size: int, mtime_ns: int) -> Array:
    del size, mtime_ns  # they only tell one state of a file from another
    try:
        mapped: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        name = Path(path).name
        raise ConfigError(f"{name} cannot be read as an array of numbers: {error}") from error
    return mapped


@contextmanager
def open_source(spec: str, groups: bool = False) -> Iterator[Any]:
    """Open ``a.npy``, ``a.npz``, ``a.npz:key`` or what Zarr opens, a URL included, for reading.

    Yields an object with `shape`, `dtype` and indexing by slices; or a Zarr group, with `groups`.
    """
    path, _, key = spec.partition(".npz:")
    if key or spec.endswith(".npz"):
        archive = Path(f"{path}.npz" if key else spec)
        with tempfile.TemporaryDirectory(prefix="latrans-") as folder:
            yield NpyFile.open(_extract(archive, key, Path(folder)), archive, key)
    elif spec.endswith(".npy") and "://" not in spec:
        yield NpyFile.open(Path(spec))
    else:
        yield open_zarr(spec, groups)


def open_zarr(path: str, groups: bool = False) -> Any:
    """Open a Zarr array (v2 or v3) for reading; a `ConfigError` says what is there instead."""
    import zarr

    if "://" not in path and not Path(path).exists():
        raise FileNotFoundError(f"{path} does not exist: give an .npy, .npz or Zarr array")
    try:
        found = zarr.open(path if "://" in path else Path(path).absolute(), mode="r")
    except (FileNotFoundError, ValueError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} cannot be opened as a Zarr array: {error}") from error
    if groups or isinstance(found, zarr.Array):
        return found
    names = ", ".join(sorted(found.array_keys())) or "none"
    raise ConfigError(f"{path} is a Zarr group, expected an array; arrays in it: {names}")


def _extract(path: Path, key: str, folder: Path) -> Path:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ConfigError(f"{path} is not an .npz file: {error}") from error
    with archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if not key and len(names) != 1:
            raise ConfigError(
                f"{path} holds {len(names)} arrays ({', '.join(names)}): "
                f"name one, as in {path}:{names[0] if names else 'key'}"
            )
        key = key or names[0]
        if key not in names:
            raise ConfigError(f"{path} has no array {key!r}; it holds {', '.join(names)}")
        target = folder / "array.npy"
        member = archive.namelist()[names.index(key)]
        with archive.open(member) as packed, target.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, 1 << 20)
    return target
