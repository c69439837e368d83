"""Arrays that commands read and write: files on disk, block by block.

Files of ``decompress`` and ``train`` are built under a temporary name next to their final one and
renamed when they are complete: a command that stops half-way leaves nothing under the name that
was asked for.  What `compress` writes says itself whether it is complete, see `latrans.transfer`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..process import whole_files
from ..process.whole_files import remove
from ..transfer import sources
from ..transfer.blocks import BLOCK_NBYTES, Block, block_grid

__all__ = [
    "add_models",
    "blocks",
    "open_source",
    "open_zarr",
    "remove",
    "replacing",
    "stored_nbytes",
    "take_models",
]


def add_models(parser: argparse.ArgumentParser, what: str = "one that wrote the data") -> None:
    """The option that names models of what is read, for `take_models`."""
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="FILE",
        help=f"a model, where neither the store nor this machine has it: {what}; may be repeated",
    )


def take_models(args: argparse.Namespace) -> None:
    """Make the models that were named known, so that frames find them by digest."""
    from ..models.store import open_model

    for model in args.model:
        open_model(model)


@contextmanager
def open_source(spec: str, groups: bool = False) -> Iterator[Any]:
    """As `transfer.sources.open_source`, with the models that a store keeps."""
    with sources.open_source(spec, groups) as source:
        yield _with_models(source)


def open_zarr(path: str, groups: bool = False) -> Any:
    """As `transfer.sources.open_zarr`, with the models that the store keeps."""
    return _with_models(sources.open_zarr(path, groups))


def _with_models(source: Any) -> Any:
    if hasattr(source, "store_path"):
        from ..zarr.models import load_for

        load_for(source)
    return source


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
    with whole_files.replacing(target) as partial:
        yield partial


def stored_nbytes(path: Path) -> int:
    """Bytes of all files under `path`, metadata included."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
