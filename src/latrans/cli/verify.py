"""``latrans verify``: decode everything and compare it with the source."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from ..compare import Difference, difference
from ..errors import CodecError
from . import arrays, chunks, console


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "verify",
        help="decode a latrans Zarr array and compare it with its source",
        description="Decode every chunk and compare it with the source. Exit code 1 where the "
        "promise of the array's mode is broken: any bit in lossless mode, any sample outside "
        "the bound in bounded mode. Lossy arrays promise nothing; the worst error is reported.",
    )
    parser.add_argument("source", metavar="SRC", help="a.npy, a.npz, a.npz:key or a Zarr array")
    parser.add_argument("target", metavar="DST.zarr")
    parser.add_argument("--max-error", type=float, metavar="E", help="check this bound instead")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    target = arrays.open_zarr(args.target)
    config = chunks.codec_configuration(target) or {}
    mode = config.get("mode", "lossless")
    max_error = config.get("max_error") if mode == "bounded" else None
    if args.max_error is not None:
        mode, max_error = "bounded", args.max_error
    with arrays.open_source(args.source) as source:
        if source.shape != target.shape or not np.can_cast(source.dtype, target.dtype, "equiv"):
            print(
                f"violation: the source is {source.dtype} {source.shape}, "
                f"{args.target} is {target.dtype} {target.shape}"
            )
            return 1
        found = Difference()
        nbytes = int(np.prod(target.shape, dtype=object)) * target.dtype.itemsize
        with console.progress("verify", nbytes) as advance:
            for block in arrays.blocks(target.shape, target.chunks, target.dtype.itemsize):
                try:
                    decoded = np.asarray(target[block])
                except CodecError as error:
                    print(f"violation: the block at {_start(block)} does not decode: {error}")
                    return 1
                original = np.asarray(source[block])
                found = found.joined(
                    difference(original, decoded, max_error, config.get("fill_value")), block
                )
                advance(decoded.nbytes)
    print(
        f"{args.target}: {target.dtype} {target.shape}, {mode}"
        + (f" within {max_error:g}" if max_error is not None else "")
    )
    if found.n_different:
        print(
            f"{found.n_different} of {target.size} samples differ, "
            f"worst error {found.worst:g} at {found.position}"
        )
    else:
        print("every sample is identical")
    if mode == "lossy":
        return 0
    violations = found.n_outside if mode == "bounded" else found.n_different
    if violations:
        print(f"violation: {violations} samples break the promise of mode {mode}")
    return 1 if violations else 0


def _start(block: arrays.Block) -> tuple[int, ...]:
    return tuple(s.start for s in block)
