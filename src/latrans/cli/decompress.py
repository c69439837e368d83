"""``latrans decompress``: a Zarr array to ``.npy``, or to a Zarr array that needs no latrans."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from ..errors import ConfigError
from . import arrays, console, tables


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "decompress",
        help="write a latrans Zarr array as .npy or as a plain Zarr array",
        description="Decode a Zarr array block by block, to .npy or to a Zarr v3 array that is "
        "compressed with zstd and needs no latrans to read.",
    )
    parser.add_argument("source", metavar="SRC.zarr|SRC.parquet")
    parser.add_argument("target", metavar="DST.npy|DST.zarr|DST.parquet")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing target")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if tables.is_table(args.source):
        return tables.decompress(args)
    import zarr

    if not args.target.endswith((".npy", ".zarr")):
        raise ConfigError(f"target {args.target} ends in neither .npy nor .zarr")
    from ..transfer.progress import refuse_unfinished

    source = arrays.open_zarr(args.source)
    refuse_unfinished(source)
    nbytes = int(np.prod(source.shape, dtype=object)) * source.dtype.itemsize
    with arrays.replacing(args.target, args.overwrite) as partial:
        if args.target.endswith(".npy"):
            target = _open_npy(partial, source)
        else:
            target = zarr.create_array(
                zarr.storage.LocalStore(partial),
                shape=source.shape,
                dtype=source.dtype,
                chunks=source.chunks,
                shards=source.shards,
                fill_value=source.fill_value,
                attributes=dict(source.attrs),
                dimension_names=getattr(source.metadata, "dimension_names", None),
                config={"write_empty_chunks": source.dtype.kind in "fcV"},
            )
        with console.progress("decompress", nbytes) as advance:
            for block in arrays.blocks(source.shape, source.chunks, source.dtype.itemsize):
                part = source[block]
                target[block] = part
                advance(part.nbytes)
    print(f"{args.target}: {source.dtype} {source.shape}, {console.size(nbytes)} decoded")
    return 0


def _open_npy(path: Any, source: Any) -> Any:
    order = {"fortran_order": source.order == "F"}
    if 0 in source.shape:  # nothing to map
        with path.open("wb") as file:
            np.save(file, np.empty(source.shape, source.dtype))
        return None
    return np.lib.format.open_memmap(
        path, mode="w+", dtype=source.dtype, shape=source.shape, **order
    )
