"""``latrans verify``: decode everything and compare it with the source."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np

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


@dataclass(frozen=True)
class Difference:
    """How two arrays differ.

    Attributes
    ----------
    n_different : int
        Samples whose bits differ.
    n_outside : int
        Samples further apart than the bound; NaN, infinities and fill values must be equal.
    worst : float
        Largest absolute difference; infinite where one side is not finite and the other is.
    position : tuple of int or None
        Where the worst is.
    """

    n_different: int = 0
    n_outside: int = 0
    worst: float = 0.0
    position: tuple[int, ...] | None = None

    def joined(self, other: Difference, block: arrays.Block) -> Difference:
        """This and what was found in `block`."""
        worst, position = self.worst, self.position
        if other.position is not None and (position is None or other.worst > worst):
            worst = other.worst
            position = tuple(s.start + i for s, i in zip(block, other.position, strict=True))
        return Difference(
            self.n_different + other.n_different,
            self.n_outside + other.n_outside,
            worst,
            position,
        )


def difference(
    original: np.ndarray[Any, Any],
    decoded: np.ndarray[Any, Any],
    max_error: float | None = None,
    fill_value: float | None = None,
) -> Difference:
    """Compare two arrays of one shape and dtype, byte order aside."""
    dtype = original.dtype.newbyteorder("=")
    a = np.ascontiguousarray(original, dtype).reshape(-1)
    b = np.ascontiguousarray(decoded, dtype).reshape(-1)
    bits = a.view(f"V{dtype.itemsize}") != b.view(f"V{dtype.itemsize}")
    where = np.flatnonzero(bits)
    if not where.size:
        return Difference()
    error = _absolute(a[where], b[where])
    if fill_value is not None and dtype.kind in "iuf":
        error[(a[where] == dtype.type(fill_value)) & (error > 0)] = np.inf
    worst = int(np.argmax(error))
    return Difference(
        n_different=int(where.size),
        n_outside=0 if max_error is None else int((error > max_error).sum()),
        worst=float(error[worst]),
        position=tuple(int(i) for i in np.unravel_index(where[worst], original.shape)),
    )


def _absolute(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Absolute differences as float64, exact for integers up to 2**53."""
    if a.dtype.kind in "iumM":
        # Unsigned subtraction of the larger less the smaller cannot overflow.
        unsigned = np.dtype(f"u{a.dtype.itemsize}")
        signed = a.dtype if a.dtype.kind in "iu" else np.dtype("i8")
        a, b = a.view(signed), b.view(signed)
        high, low = np.maximum(a, b).view(unsigned), np.minimum(a, b).view(unsigned)
        return (high - low).astype(np.float64)
    if a.dtype.kind in "fc":
        wide = np.result_type(a.dtype, np.float64)
        a, b = a.astype(wide), b.astype(wide)
        with np.errstate(invalid="ignore"):
            error = np.abs(a - b).astype(np.float64)
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        return np.asarray(np.where(same, 0.0, np.where(np.isnan(error), np.inf, error)))
    return np.full(a.shape, np.inf)


def _start(block: arrays.Block) -> tuple[int, ...]:
    return tuple(s.start for s in block)
