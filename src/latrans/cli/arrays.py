"""Arrays that commands read and write: files on disk, block by block.

A source is a memory-mapped ``.npy`` file, a member of an ``.npz`` file (unpacked to a temporary
file, so that it can be mapped too) or a Zarr array.  A target is built
under a temporary name next to its final one and renamed when it is complete: a command that
stops half-way leaves nothing under the name that was asked for.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError

BLOCK_NBYTES = 64 << 20  # what a command holds of an array at a time, unless one chunk is larger

Block = tuple[slice, ...]


@contextmanager
def open_source(spec: str) -> Iterator[Any]:
    """Open ``a.npy``, ``a.npz``, ``a.npz:key`` or a Zarr array for reading.

    Yields an object with `shape`, `dtype` and indexing by slices.
    """
    path, _, key = spec.partition(".npz:")
    if key or spec.endswith(".npz"):
        with tempfile.TemporaryDirectory(prefix="latrans-") as folder:
            yield _map(_extract(Path(f"{path}.npz" if key else spec), key, Path(folder)))
    elif spec.endswith(".npy"):
        yield _map(Path(spec))
    else:
        yield open_zarr(spec)


def open_zarr(path: str) -> Any:
    """Open a Zarr array (v2 or v3) for reading; a `ConfigError` says what is there instead."""
    import zarr

    if "://" not in path and not Path(path).exists():
        raise FileNotFoundError(f"{path} does not exist: give an .npy, .npz or Zarr array")
    try:
        found = zarr.open(path, mode="r")
    except (FileNotFoundError, ValueError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} cannot be opened as a Zarr array: {error}") from error
    if isinstance(found, zarr.Array):
        return found
    names = ", ".join(sorted(found.array_keys())) or "none"
    raise ConfigError(f"{path} is a Zarr group, expected an array; arrays in it: {names}")


def _map(path: Path) -> Any:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ConfigError(f"{path.name} cannot be read as an array of numbers: {error}") from error


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


def blocks(shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int) -> Iterator[Block]:
    """Cut an array along its chunk grid into blocks of whole chunks, in C order.

    Every block holds at most `BLOCK_NBYTES`, or a single chunk.
    """
    if 0 in shape:
        return
    edge = list(chunks)
    for axis in reversed(range(len(shape))):
        others = itemsize
        for i, n in enumerate(edge):
            others *= 1 if i == axis else n
        wanted = max(1, BLOCK_NBYTES // (others * edge[axis]))
        edge[axis] = min(wanted * edge[axis], -(-shape[axis] // edge[axis]) * edge[axis])
        if edge[axis] < shape[axis]:
            break
    ranges = [range(0, n, step) for n, step in zip(shape, edge, strict=True)]
    for start in itertools.product(*ranges):
        yield tuple(
            slice(s, min(s + step, n)) for s, step, n in zip(start, edge, shape, strict=True)
        )


@contextmanager
def replacing(path: str, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary sibling of `path`; when the body succeeds it takes the name `path`."""
    target = Path(path)
    if "://" in path:
        raise ConfigError(f"{path} is a URL; commands write to local paths only")
    if target.exists() and not overwrite:
        raise ConfigError(f"{path} exists: choose another name, or replace it with --overwrite")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        yield partial
        if target.is_dir():  # a folder cannot be renamed onto a folder that is not empty
            remove(target)
        os.replace(partial, target)
    finally:
        remove(partial)


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def stored_nbytes(path: Path) -> int:
    """Bytes of all files under `path`, metadata included."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
