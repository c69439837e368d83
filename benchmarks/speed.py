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
import sys

import shared_options

RIVALS = "zstd-19,zstd-3,blosc-zstd-9 bit,pcodec,jpeg xl e7,jpeg xl e3,flac,wavpack,sz3,sperr,zfp"


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; 1 if an array did not come back as promised, 2 if it cannot run."""
    args = _parser().parse_args(argv)
    return shared_options.run("speed", lambda: _measure(args))


def _parser() -> argparse.ArgumentParser:
    parser = shared_options.parser(__doc__, "lossless,1e-3", 1 << 22)
    parser.add_argument("--models", default="", metavar="NAME,...", help="default: all that suit")
    parser.add_argument("--rivals", default=RIVALS, metavar="LABEL,...", help="'none' for none")
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    parser.add_argument("--batch", action="store_true", help="all cores, too")
    parser.add_argument("--memory", action="store_true", help="peak memory of latrans, too")
    parser.add_argument("--profile", action="store_true", help="share of time by stage, too")
    return parser


def _measure(args: argparse.Namespace) -> list[str]:
    import speed_measure
    import speed_report
    from latrans.rivals import named
    from ratio_measure import machine

    print(", ".join(f"{name}: {value}" for name, value in machine().items()))
    rows = []
    for item in shared_options.items(args):
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
    return [f"{row.name}, {row.label}" for row in rows if not row.kept]


if __name__ == "__main__":
    sys.exit(main())
