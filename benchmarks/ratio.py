"""Sizes of latrans beside other codecs, on the same arrays in one run.

    python benchmarks/ratio.py ../shared/data --cache rivals.json --csv ratio.csv
    python benchmarks/ratio.py mine.zarr --axes zyx --modes lossless

DATA is a folder whose README.md has a table of files (their `dev` split is measured), any folder
of .npy, .npz and .zarr arrays, or one of these.  Every frame of latrans is decoded and compared:
bit for bit, or against the bound in float64.  Bounds are fractions of an array's range.  Sizes are
in bits per sample, all headers of latrans counted; ratios are to the smallest rival of each array.
Arrays that a shipped codec was trained on are refused.  Everything runs on one thread.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import shared_options


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; 1 if an array did not come back as promised, 2 if it cannot run."""
    args = _parser().parse_args(argv)
    return shared_options.run("ratio", lambda: _measure(args))


def _parser() -> argparse.ArgumentParser:
    parser = shared_options.parser(__doc__, "lossless,1e-2,1e-3,1e-4", None)
    parser.add_argument("--model", default="auto", help="default: auto")
    parser.add_argument("--rivals", metavar="LABEL,...", help="default: all; 'none' for none")
    parser.add_argument("--cache", type=Path, metavar="FILE", help="keep the rivals' sizes")
    return parser


def _measure(args: argparse.Namespace) -> list[str]:
    import ratio_report
    from latrans.rivals import all_rivals, named
    from ratio_measure import Cache, measure_item, refuse_trained

    items = list(shared_options.items(args))
    refuse_trained(items, args.model)
    rivals = all_rivals() if args.rivals is None else named(args.rivals)
    for rival in rivals:
        if rival.missing():
            print(f"not measured anew: {rival.missing()}", file=sys.stderr)
    cache = Cache(args.cache)
    rows = []
    for item in items:
        modes = args.modes.split(",")
        found = measure_item(item, modes, rivals, args.model, args.max_samples, cache)
        for row in found:
            rows.append(row)
            print(f"{item.name} {row.mode}: {row.bits:.4f}, {row.ratio:.3f}", file=sys.stderr)
    print(ratio_report.text(rows))
    if args.csv:
        ratio_report.write_csv(rows, args.csv)
    if args.plot:
        ratio_report.plot(rows, args.plot)
    return [f"{row.item.name}, {row.mode}" for row in rows if not row.kept]


if __name__ == "__main__":
    sys.exit(main())
