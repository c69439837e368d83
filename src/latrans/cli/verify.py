"""``latrans verify``: decode everything and compare it with the source."""

from __future__ import annotations

import argparse
from typing import Any

from ..transfer.compare import Difference
from . import arrays, console


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "verify",
        help="decode a latrans Zarr array or group and compare it with its source",
        description="Decode every chunk and compare it with the source. Exit code 1 where the "
        "promise of an array's mode is broken: any bit in lossless mode, any sample outside "
        "the bound in bounded mode; and where a transfer into the target stopped half-way. Lossy "
        "arrays promise nothing; the worst error is reported.",
    )
    parser.add_argument(
        "source", metavar="SRC", help="whatever compress takes: files, images, Zarr, a URL"
    )
    parser.add_argument("target", metavar="DST.zarr")
    parser.add_argument("--max-error", type=float, metavar="E", help="check this bound instead")
    arrays.add_models(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from ..transfer import progress
    from ..transfer.verify import pairs

    arrays.take_models(args)
    target = arrays.open_zarr(args.target, groups=True)
    if progress.unfinished(target) is not None:
        print(
            f"violation: {args.target} is incomplete, a transfer into it stopped half-way: run the "
            "same command again, it goes on where it stopped"
        )
        return 1
    with arrays.open_source(args.source, groups=True) as source:
        found = pairs(source, target, args.max_error)
        nbytes = sum(len(pair.grid) for pair in found)
        with console.progress("verify", nbytes) as advance:
            broken = [_verify(args.target, pair, advance) for pair in found]
    return 1 if any(broken) else 0


def _verify(place: str, pair: Any, advance: Any) -> bool:
    """Print what became of one array; whether it breaks its promise."""
    from ..transfer.verify import check, violations

    if pair.mismatch:
        print(f"violation: {pair.mismatch}")
        return True
    found, failures = Difference(), []
    for i in range(len(pair.grid)):
        difference, failed = check(pair, i)
        found = found.joined(difference)
        failures += failed
        advance(1)
    name = f"{place}/{pair.name}" if pair.name else place
    print(
        f"{name}: {pair.target.dtype} {pair.target.shape}, {pair.mode}"
        + (f" within {pair.max_error:g}" if pair.max_error is not None else "")
    )
    for failure in failures:
        print(f"violation: {failure}")
    if found.n_different:
        print(
            f"{found.n_different} of {pair.target.size} samples differ, "
            + (f"worst error {found.worst:g}" if found.worst else found.by)
            + f" at {found.position}"
        )
    elif not failures:
        print("every sample is identical")
    broken = violations(pair, found)
    if broken:
        print(f"violation: {broken} samples break the promise of mode {pair.mode}")
    return bool(broken or failures)
