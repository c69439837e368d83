"""Speed of latrans beside other codecs, on the same arrays in one run.

    python benchmarks/speed.py ../shared/data --csv speed.csv --plot speed.png
    python benchmarks/speed.py scans.npy --axes zyx --profile --memory

DATA is what `ratio.py` takes.  Every codec encodes and decodes every array that suits it; the runs
of all codecs are interleaved, so that a busy moment of the machine meets all of them, and medians
are shown.  One thread first; with `--batch`, several copies of the array on all cores as well, by
`encode_batch` of latrans and a pool of threads for the others.  What comes back is compared once.
Arrays of small planes (28 x 28) are measured as chunks of one plane each, too.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# Before NumPy is imported: a second BLAS thread would blur the times.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

RIVALS = "zstd-19,zstd-3,blosc-zstd-9 bit,pcodec,jpeg xl e7,jpeg xl e3,flac,wavpack,sz3,sperr,zfp"


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; 1 if an array did not come back as promised, 2 if it cannot run."""
    args = _parser().parse_args(argv)
    from latrans.errors import LatransError

    try:
        return _run(args)
    except LatransError as error:
        print(f"speed: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", metavar="DATA", type=Path)
    parser.add_argument("--axes", help="of arrays that no table describes, as in zyx")
    parser.add_argument("--only", default="", metavar="TEXT,...", help="names that contain one")
    parser.add_argument("--modes", default="lossless,1e-3", metavar="MODE,...")
    parser.add_argument("--models", default="", metavar="NAME,...", help="default: all that suit")
    parser.add_argument("--rivals", default=RIVALS, metavar="LABEL,...", help="'none' for none")
    parser.add_argument("--max-samples", type=int, default=1 << 22, metavar="N")
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    parser.add_argument("--batch", action="store_true", help="all cores, too")
    parser.add_argument("--memory", action="store_true", help="peak memory of latrans, too")
    parser.add_argument("--profile", action="store_true", help="share of time by stage, too")
    parser.add_argument("--csv", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="needs matplotlib")
    return parser


def _run(args: argparse.Namespace) -> int:
    import ratio_files
    import speed_measure
    import speed_report
    from latrans.rivals import named
    from ratio_measure import machine

    print(", ".join(f"{name}: {value}" for name, value in machine().items()))
    words = [word for word in args.only.split(",") if word]
    rows = []
    for item in ratio_files.find(args.data, args.axes):
        if words and not any(word in item.name for word in words):
            continue
        for task in speed_measure.tasks(item, args.modes.split(","), args.max_samples):
            contenders = speed_measure.contenders(task, args.models, named(args.rivals))
            found = speed_measure.measure(task, contenders, args.runs, args.batch)
            print(f"\n{speed_report.title(task)}\n{speed_report.table(found)}", flush=True)
            rows += found
            ours = [c for c in contenders if c.codec is not None]
            if args.profile:
                import speed_profile

                for contender in ours:
                    print(f"\n{speed_profile.report(contender, task.array)}", flush=True)
            if args.memory:
                import speed_memory

                for contender in ours:
                    print(speed_memory.report(contender, task.array), flush=True)
        small = speed_measure.small_chunks(item, args.models)
        if small:
            print(f"\n{speed_report.small_table(small)}", flush=True)
    if args.csv:
        speed_report.write_csv(rows, args.csv)
    if args.plot:
        speed_report.plot(rows, args.plot)
    wrong = [row for row in rows if not row.kept]
    for row in wrong:
        print(f"{row.name}, {row.label}: not what was promised", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
