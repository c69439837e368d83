"""``latrans compress``: an array on disk to a Zarr v3 array of latrans frames."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ConfigError
from . import arrays, console, tables

_CHUNK_SAMPLES = 1 << 20
_AXIS_CAP = {"y": 512, "x": 512}  # larger pictures are cut, so that a part can be read alone
_TRACK_CAP = 1 << 17


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "compress",
        help="write an .npy, .npz or Zarr array as Zarr v3 with latrans",
        description="Write an array as a Zarr v3 array of latrans frames, block by block. "
        "The target appears under its name only when it is complete.",
    )
    parser.add_argument(
        "source", metavar="SRC", help="a.npy, a.npz, a.npz:key, a Zarr array or a.parquet"
    )
    parser.add_argument("target", metavar="DST.zarr|DST.parquet")
    parser.add_argument("--model", default="image-1", help="name, file or auto (default: image-1)")
    parser.add_argument(
        "--mode",
        choices=["lossless", "bounded", "lossy"],
        help="default: lossless, or bounded where a maximal error is given",
    )
    error = parser.add_mutually_exclusive_group()
    error.add_argument("--max-error", type=float, metavar="E", help="in units of the data")
    error.add_argument("--relative-error", type=float, metavar="R", help="fraction of the range")
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument("--quality", type=float, metavar="Q", help="of lossy mode, up to 100")
    rate.add_argument("--step", type=float, metavar="S", help="the same in units of the data")
    parser.add_argument("--chunks", type=_shape, metavar="N,N", help="chunk shape, as in 256,256")
    parser.add_argument("--axes", help="one letter per dimension, as in zyx or tc")
    parser.add_argument("--fill-value", type=float, metavar="V", help="marks missing samples")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing target")
    tables.add_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.columns or tables.is_table(args.source):
        return tables.compress(args)
    import zarr

    from ..zarr import LatransCodec

    mode = args.mode
    if mode is None:
        given = args.max_error is not None or args.relative_error is not None
        mode = "bounded" if given else "lossless"
    if mode != "bounded" and (args.max_error is not None or args.relative_error is not None):
        raise ConfigError(f"mode {mode!r} takes no maximal error: use --mode bounded, or leave it")
    with arrays.open_source(args.source) as source:
        shape = tuple(source.shape)
        if args.axes is not None and len(args.axes) != len(shape):
            raise ConfigError(
                f"axes {args.axes!r} names {len(args.axes)} dimensions, the array has {len(shape)}"
            )
        chunks = args.chunks or default_chunks(shape, args.axes)
        if len(chunks) != len(shape) or min(chunks, default=1) < 1:
            raise ConfigError(f"chunks {chunks} do not fit an array of shape {shape}")
        max_error = args.max_error
        if args.relative_error is not None:
            max_error = args.relative_error * _range(source, chunks, args.fill_value)
        codec = LatransCodec(
            model=args.model,
            mode=mode,
            max_error=max_error,
            fill_value=args.fill_value,
            axes=args.axes,
            quality=args.quality,
            step=args.step,
        )
        dtype = source.dtype
        start = time.perf_counter()
        with arrays.replacing(args.target, args.overwrite) as partial:
            target = zarr.create_array(
                zarr.storage.LocalStore(partial),
                shape=shape,
                dtype=dtype,
                chunks=chunks,
                serializer=codec,
                compressors=None,
                fill_value=_fill_value(source, args.fill_value),
                # Zarr drops chunks that equal the fill value, and -0.0 or any NaN may pass for it.
                config={"write_empty_chunks": dtype.kind in "fc"},
                **_described(source),
            )
            nbytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
            with console.progress("compress", nbytes) as advance:
                for block in arrays.blocks(shape, chunks, dtype.itemsize):
                    part = np.asarray(source[block])
                    target[block] = part
                    advance(part.nbytes)
            stored = arrays.stored_nbytes(partial)
        seconds = time.perf_counter() - start
    bits = stored * 8 * dtype.itemsize / nbytes if nbytes else 0.0
    print(
        f"{args.target}: {console.size(nbytes)} to {console.size(stored)}, "
        f"{bits:.3f} bits per sample, {mode}"
        + (f" within {max_error:g}" if max_error is not None else "")
        + f", {seconds:.1f} s"
    )
    return 0


def default_chunks(shape: Sequence[int], axes: str | None = None) -> tuple[int, ...]:
    """Chunks of about a million samples: pictures up to 512 x 512, all channels, then the rest.

    >>> default_chunks((100, 2000, 3000), "zyx")
    (4, 512, 512)
    >>> default_chunks((1_000_000, 8), "tc")
    (131072, 8)
    """
    if axes is None:
        axes = "t" if len(shape) == 1 else "n" * (len(shape) - 2) + "yx"[: len(shape)]
    caps = dict(_AXIS_CAP)
    if "x" not in axes:
        caps["t"] = _TRACK_CAP
    chunks = [1] * len(shape)
    left = _CHUNK_SAMPLES
    # Axes that are predicted jointly first, then channels, then the rest, innermost first.
    order = sorted(range(len(shape)), key=lambda i: (axes[i] not in caps, axes[i] != "c", -i))
    for i in order:
        chunks[i] = max(1, min(shape[i], caps.get(axes[i], left), left))
        left //= chunks[i]
    return tuple(chunks)


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in text.split(","))


def _range(source: Any, chunks: tuple[int, ...], fill_value: float | None) -> float:
    """Largest minus smallest finite value that is not the fill value, by one pass over the data."""
    low, high = np.inf, -np.inf
    dtype = source.dtype
    if dtype.kind not in "iuf":
        raise ConfigError(f"--relative-error needs integers or floats, found dtype {dtype}")
    for block in arrays.blocks(tuple(source.shape), chunks, dtype.itemsize):
        part = np.asarray(source[block])
        valid = part[np.isfinite(part)]
        if fill_value is not None:
            valid = valid[valid != dtype.type(fill_value)]
        if valid.size:
            low, high = min(low, float(valid.min())), max(high, float(valid.max()))
    if not high > low:
        raise ConfigError("--relative-error needs a range, but all values are equal: use lossless")
    return high - low


def _fill_value(source: Any, given: float | None) -> Any:
    if given is not None:
        return source.dtype.type(given)
    kept = getattr(source, "fill_value", None)
    return np.zeros((), source.dtype)[()] if kept is None else kept


def _described(source: Any) -> dict[str, Any]:
    """Names and attributes that a Zarr source carries."""
    return {
        "attributes": dict(getattr(source, "attrs", {})),
        "dimension_names": getattr(getattr(source, "metadata", None), "dimension_names", None),
    }
