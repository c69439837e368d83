"""``latrans decompress``: a Zarr array to ``.npy``, or to a Zarr array that needs no latrans."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import Any

import numpy as np

from ..errors import ConfigError
from . import arrays, console, npy, tables


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
    with ExitStack() as stack:
        partial = stack.enter_context(arrays.replacing(args.target, args.overwrite))
        target: Any
        if args.target.endswith(".npy"):
            in_fortran = source.order == "F"
            target = stack.enter_context(
                npy.writing(partial, source.dtype, source.shape, in_fortran)
            )
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
        advance = stack.enter_context(console.progress("decompress", nbytes))
        for block in arrays.blocks(source.shape, source.chunks, source.dtype.itemsize):
            part = source[block]
            target[block] = part
            advance(part.nbytes)
    print(f"{args.target}: {source.dtype} {source.shape}, {console.size(nbytes)} decoded")
    return 0
