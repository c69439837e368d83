"""``latrans decompress``: a Zarr array to ``.npy``, or to a Zarr array that needs no latrans."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from ..errors import ConfigError
from . import arrays, console, npy, tables


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "decompress",
        help="write a latrans Zarr array as .npy or as a plain Zarr array, a group as a plain one",
        description="Decode a Zarr array block by block, to .npy or to a Zarr v3 array that is "
        "compressed with zstd and needs no latrans to read; or a whole group, with all that is in "
        "it but models; or columns of a Parquet file.",
    )
    parser.add_argument("source", metavar="SRC.zarr|SRC.parquet")
    parser.add_argument("target", metavar="DST.npy|DST.zarr|DST.parquet")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing target")
    arrays.add_models(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    arrays.take_models(args)
    if tables.is_table(args.source):
        return tables.decompress(args)
    if not args.target.endswith((".npy", ".zarr")):
        raise ConfigError(
            f"target {args.target} ends in neither .npy nor .zarr: give OUT.npy for an array, or "
            "OUT.zarr for an array or a group"
        )
    import zarr

    from ..transfer.progress import refuse_unfinished
    from ..transfer.stores import consolidate, is_consolidated

    is_npy = args.target.endswith(".npy")
    source = arrays.open_zarr(args.source, groups=not is_npy)
    refuse_unfinished(source)
    nodes = _nodes(source)
    found = [node for node in nodes.values() if hasattr(node, "dtype")]
    nbytes = sum(map(_nbytes, found))
    with (
        arrays.replacing(args.target, args.overwrite) as partial,
        console.progress("decompress", nbytes) as advance,
    ):
        if is_npy:
            with npy.writing(partial, source.dtype, source.shape, source.order == "F") as target:
                _copy(source, target, advance)
        else:
            for name, node in nodes.items():
                target = _created(partial, name, node)
                if hasattr(node, "dtype"):
                    _copy(node, target, advance)
            if is_consolidated(source):
                consolidate(zarr.storage.LocalStore(partial))
    what = f"group, arrays: {len(found)}"
    if hasattr(source, "dtype"):
        what = f"{source.dtype} {source.shape}"
    print(f"{args.target}: {what}, {console.size(nbytes)} decoded")
    return 0


def _nodes(source: Any) -> dict[str, Any]:
    """An array, or a group and all in it by path, groups first; models that it keeps left out."""
    import zarr

    from ..zarr.models import FOLDER, is_model

    if isinstance(source, zarr.Array):
        return {"": source}
    members = dict(source.members(max_depth=None))
    kept = {path.rpartition("/")[0] for path in members if is_model(path)}
    kept = {path for path in kept if path.rpartition("/")[2] == FOLDER}
    return {
        "": source,
        **{
            path: node
            for path, node in sorted(members.items())
            if path not in kept and not is_model(path)
        },
    }


def _created(place: Any, name: str, node: Any) -> Any:
    """What takes a node's place: a group, an array compressed with zstd, or one of its codecs."""
    import zarr

    from ..transfer.layout import plain

    store = zarr.storage.LocalStore(place)
    if isinstance(node, zarr.Group):
        return zarr.create_group(store, path=name, attributes=dict(node.attrs))
    return zarr.create_array(store, name=name or None, **plain(node))


def _copy(source: Any, target: Any, advance: Any) -> None:
    if 0 in source.shape:
        return
    for block in arrays.blocks(source.shape, source.chunks, source.dtype.itemsize):
        part = source[block]
        target[block] = part
        advance(_nbytes(part))


def _nbytes(array: Any) -> int:
    return int(np.prod(array.shape, dtype=object)) * array.dtype.itemsize
