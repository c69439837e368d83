"""Arrays that commands read and write: files on disk, block by block.

Files of ``decompress`` and ``train`` are built under a temporary name next to their final one and
renamed when they are complete: a command that stops half-way leaves nothing under the name that
was asked for.  What `compress` writes says itself whether it is complete, see `latrans.transfer`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import whole
from ..errors import ConfigError
from ..transfer.blocks import BLOCK_NBYTES, Block, block_grid
from ..transfer.sources import open_source, open_zarr
from ..whole import remove

__all__ = ["blocks", "open_source", "open_zarr", "remove", "replacing", "stored_nbytes"]


def blocks(
    shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int, nbytes: int = BLOCK_NBYTES
) -> Iterator[Block]:
    """Cut an array along its chunk grid into blocks of whole chunks, in C order."""
    return iter(block_grid(shape, chunks, itemsize, nbytes))


@contextmanager
def replacing(path: str, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary sibling of `path`; when the body succeeds it takes the name `path`."""
    target = Path(path)
    if "://" in path:
        raise ConfigError(f"{path} is a URL; commands write to local paths only")
    if target.exists() and not overwrite:
        raise ConfigError(f"{path} exists: choose another name, or replace it with --overwrite")
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole.replacing(target) as partial:
        yield partial


def stored_nbytes(path: Path) -> int:
    """Bytes of all files under `path`, metadata included."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
