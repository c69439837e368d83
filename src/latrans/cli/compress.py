"""``latrans compress``: arrays on disk to a Zarr array, or group, of latrans frames."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..chunk.chunking import default_chunks
from ..errors import ConfigError, TransferError
from ..missing.missing import as_number
from ..transfer.blocks import BLOCK_NBYTES
from . import arrays, tables


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "compress",
        help="write an array, images, or a Zarr group, as Zarr with latrans",
        description="Write an array as a Zarr v3 array of latrans frames, block by block, each "
        "read back and compared; or a group, where arrays of integers and floats of at least "
        "64 kB that are not coordinates go through latrans and all others are copied; labels, "
        "flags and indices losslessly, unless they are named. Missing values stay as they are. A "
        "target that was stopped half-way says so, and the same command goes on where it stopped. "
        "Or columns of a Parquet file, to another.",
    )
    parser.add_argument(
        "source",
        metavar="SRC",
        help="a.npy, a.npz, a.npz:key, an image, a folder or 'pattern' of images, a Zarr array or "
        "group, a URL, or a.parquet",
    )
    parser.add_argument("target", metavar="DST.zarr|DST.parquet", help="path or URL")
    parser.add_argument("--model", default="image-1", help="name, file or auto (default: image-1)")
    parser.add_argument(
        "--mode",
        choices=["lossless", "bounded", "lossy"],
        help="default: lossless, or bounded where a maximum error is given",
    )
    error = parser.add_mutually_exclusive_group()
    error.add_argument(
        "--max-error", type=float, metavar="E", help="in units of the numbers as stored"
    )
    error.add_argument(
        "--relative-error", type=float, metavar="R", help="fraction of the range of valid values"
    )
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument("--quality", type=float, metavar="Q", help="of lossy mode, up to 100")
    rate.add_argument("--step", type=float, metavar="S", help="the same in units of the data")
    parser.add_argument(
        "--array", action="append", metavar="NAME", help="of a group, to go through latrans"
    )
    parser.add_argument("--chunks", type=_shape, metavar="N,N", help="chunk shape, as in 256,256")
    parser.add_argument("--shards", type=_shape, metavar="N,N", help="shard shape; none by default")
    parser.add_argument(
        "--block-mb",
        type=float,
        default=BLOCK_NBYTES / 1e6,
        metavar="MB",
        help="megabytes that a task holds of an array, whole chunks in any case (default 67)",
    )
    parser.add_argument("--axes", help="one letter per dimension, as in zyx or tc")
    parser.add_argument(
        "--model-storage",
        choices=["name", "inline", "beside"],
        help="where the model is kept: nowhere, in the metadata, or in the group (default: name "
        "for shipped models, else inline up to 256 KiB, else beside)",
    )
    parser.add_argument(
        "--fill-value", type=as_number, action="append", metavar="V",
        help="marks missing samples, beside what the arrays declare; may be repeated",
    )  # fmt: skip
    parser.add_argument("--no-verify", action="store_true", help="do not read back and compare")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a target that is complete, or that another call began",
    )
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on where the same command was stopped (default)",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default 1)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that does it")
    tables.add_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if tables.are_meant(args):
        return tables.compress(args)
    with arrays.open_source(args.source, groups=True) as source:
        codec = _codec(args, source)
        options = {
            "arrays": args.array,
            "chunks": args.chunks,
            "shards": args.shards,
            "verify": not args.no_verify,
            "resume": args.resume,
            "overwrite": args.overwrite,
            "model_storage": args.model_storage,
            "block_nbytes": int(args.block_mb * 1e6),
            "progress": True,
        }
        try:
            if args.scheduler:
                from .. import dask

                options["scheduler"] = args.scheduler
                summary = dask.transcode(source, args.target, codec, **options)
            else:
                from .. import transfer

                options["workers"] = args.workers
                summary = transfer.transcode(source, args.target, codec, **options)
        except TransferError as error:
            print(f"{args.target}: incomplete\n{error.summary}")
            raise
    print(f"{args.target}: {_promise(codec)}\n{summary}")
    return 0


def _codec(args: argparse.Namespace, source: Any) -> Any:
    """The codec, or one for each array where an error is relative to the range of its values."""
    from ..transfer.members import arrays_of, chosen, exact_arrays
    from ..zarr import LatransCodec

    mode = args.mode
    if mode is None:
        given = args.max_error is not None or args.relative_error is not None
        mode = "bounded" if given else "lossless"
    if mode != "bounded" and (args.max_error is not None or args.relative_error is not None):
        raise ConfigError(
            f"mode {mode!r} takes no maximum error: use --mode bounded, or leave it out"
        )

    def with_error(max_error: float | None) -> Any:
        return LatransCodec(
            model=args.model,
            mode=mode,
            max_error=max_error,
            fill_value=args.fill_value,
            axes=args.axes,
            quality=args.quality,
            step=args.step,
        )

    if args.relative_error is None:
        return with_error(args.max_error)
    if not 0 < args.relative_error <= 1:
        raise ConfigError(
            f"--relative-error is {args.relative_error:g}; expected a fraction of the range of "
            "valid values, above 0 and at most 1"
        )
    found, exact = arrays_of(source), exact_arrays(source)
    names = chosen(found, args.array)
    codecs = {}
    for name in names:
        if name in exact and not args.array:
            codecs[name] = LatransCodec(model=args.model, axes=args.axes)
        else:
            codecs[name] = with_error(args.relative_error * _range(name, found[name], args))
    return codecs


def _promise(codec: Any) -> str:
    """Mode and bounds of a codec, or of several by array."""
    codecs = codec if isinstance(codec, dict) else {"": codec}
    mode = next((one.mode for one in codecs.values() if one.mode != "lossless"), "lossless")
    bounds = [
        f"{one.max_error:g}" + (f" ({name})" if name else "")
        for name, one in codecs.items()
        if one.max_error is not None
    ]
    return f"{mode} within {', '.join(bounds)}" if bounds else mode


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in text.split(","))


def _range(name: str, source: Any, args: argparse.Namespace) -> float:
    """Largest minus smallest valid value, by one pass over the data."""
    from ..missing.conventions import declared
    from ..missing.missing import Missing
    from ..missing.ranges import range_of

    dtype = np.dtype(source.dtype)
    if dtype.kind not in "iuf":
        raise ConfigError(f"--relative-error needs integers or floats, found dtype {dtype}")
    told, missing = Missing.of(args.fill_value), declared(source)
    both = missing if told is None else told.joined(missing)
    found = range_of(_parts(source, args.axes), both, getattr(source, "attrs", None))
    if not found:
        raise ConfigError(
            "--relative-error needs a range, but all values that are not missing are equal"
            f"{f' in {name}' if name else ''}: use lossless, or name other arrays with --array"
        )
    return found


def _parts(source: Any, axes: str | None) -> Iterator[np.ndarray[Any, Any]]:
    shape = tuple(source.shape)
    chunks = getattr(source, "chunks", None) or default_chunks(shape, axes)
    for block in arrays.blocks(shape, chunks, np.dtype(source.dtype).itemsize):
        yield np.asarray(source[block])
