"""Verify a Zarr array or group: decode every chunk, and compare it with its source, if given.

Without a source, chunks must decode and their checksums hold. With one, samples must be as the
array's mode promises: identical in lossless mode, within the bound in bounded mode. Exit status
1 names what is broken.

    python pipelines/verify.py s3://bucket/b.zarr --scheduler tcp://host:8786
    python pipelines/verify.py scans.zarr --source scans.npy --workers 4
"""

from __future__ import annotations

import sys

from latrans.cli import pipeline
from latrans.dask import verify


def run(args):
    target = pipeline.open_input(args, args.target)
    source = None if args.source is None else pipeline.open_input(args, args.source)
    with pipeline.cluster(args) as where:
        summary = verify(target, source, max_error=args.max_error, model=args.model, **where)
    return pipeline.report(args.target, summary)


if __name__ == "__main__":
    parser = pipeline.parser(__doc__)
    parser.add_argument("target", help="Zarr array or group, path or URL")
    parser.add_argument("--source", help="whatever encode.py or transcode.py takes")
    parser.add_argument("--max-error", type=float, metavar="E", help="check this bound instead")
    parser.add_argument("--model", metavar="FILE", help="what wrote the target, if not found")
    sys.exit(pipeline.main(run, parser))
