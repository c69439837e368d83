"""Transcode a Zarr array or group, of format 2 or 3 and any codec, to latrans.

Attributes, coordinates and names of dimensions are kept, so that xarray opens the result. Chunks
are verified as they are written; a job that was killed goes on where it stopped when the same
command runs again.

    python pipelines/transcode.py climate.zarr climate-small.zarr --model field-1 --axes tyx
    python pipelines/transcode.py s3://bucket/a.zarr s3://bucket/b.zarr --scheduler tcp://host:8786
"""

from __future__ import annotations

import sys

from latrans.cli import pipeline
from latrans.dask import transcode


def run(args):
    source = pipeline.open_input(args, args.source)
    with pipeline.cluster(args) as where:
        summary = transcode(
            source,
            args.target,
            pipeline.codec_of(args),
            arrays=args.arrays,
            storage_options=pipeline.options_of(args),
            **pipeline.layout_of(args),
            **where,
        )
    return pipeline.report(args.target, summary)


if __name__ == "__main__":
    parser = pipeline.parser(__doc__)
    parser.add_argument("source", help="Zarr array or group, path or URL")
    parser.add_argument("target", help="path or URL")
    parser.add_argument(
        "--arrays", nargs="+", metavar="NAME",
        help="of a group: those that latrans takes (default: all but coordinates and small ones)",
    )  # fmt: skip
    pipeline.add_codec(parser)
    sys.exit(pipeline.main(run, parser))
