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
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# Before NumPy is imported: a second BLAS thread would blur the times.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

if TYPE_CHECKING:
    from ratio_measure import Row


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; 1 if an array did not come back as promised, 2 if it cannot run."""
    args = _parser().parse_args(argv)
    from latrans.errors import LatransError

    try:
        rows = _measure(args)
    except LatransError as error:
        print(f"ratio: {error}", file=sys.stderr)
        return 2
    import ratio_report

    print(ratio_report.text(rows))
    if args.csv:
        ratio_report.write_csv(rows, args.csv)
    if args.plot:
        ratio_report.plot(rows, args.plot)
    wrong = [row for row in rows if not row.kept]
    for row in wrong:
        print(f"{row.item.name}, {row.mode}: not what was promised", file=sys.stderr)
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", metavar="DATA", type=Path)
    parser.add_argument("--axes", help="of arrays that no table describes, as in zyx")
    parser.add_argument("--only", default="", metavar="TEXT,...", help="names that contain one")
    parser.add_argument("--modes", default="lossless,1e-2,1e-3,1e-4", metavar="MODE,...")
    parser.add_argument("--model", default="auto", help="default: auto")
    parser.add_argument("--rivals", metavar="LABEL,...", help="default: all; 'none' for none")
    parser.add_argument("--max-samples", type=int, metavar="N", help="only the middle of arrays")
    parser.add_argument("--cache", type=Path, metavar="FILE", help="keep the rivals' sizes")
    parser.add_argument("--csv", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="needs matplotlib")
    return parser


def _measure(args: argparse.Namespace) -> list[Row]:
    import ratio_files
    from latrans.rivals import all_rivals, named
    from ratio_measure import Cache, measure_item, refuse_trained

    words = [word for word in args.only.split(",") if word]
    items = [
        item
        for item in ratio_files.find(args.data, args.axes)
        if not words or any(word in item.name for word in words)
    ]
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
    return rows


if __name__ == "__main__":
    sys.exit(main())
