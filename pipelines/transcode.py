"""Transcode a Zarr array or group, of format 2 or 3 and any codec, to latrans.

Attributes, coordinates and names of dimensions are kept, so that xarray opens the result. Chunks
are verified as they are written; a job that was killed goes on where it stopped when the same
command runs again.

    python pipelines/transcode.py climate.zarr climate-small.zarr --model field-1 --axes tyx
    python pipelines/transcode.py s3://bucket/a.zarr s3://bucket/b.zarr --scheduler tcp://host:8786
"""

from __future__ import annotations

import sys

from latrans.dask import console, transcode


def run(args):
    source = console.open_input(args, args.source)
    with console.cluster(args) as where:
        summary = transcode(
            source,
            args.target,
            console.codec_of(args),
            arrays=args.arrays,
            storage_options=console.options_of(args),
            **console.layout_of(args),
            **where,
        )
    return console.report(args.target, summary)


if __name__ == "__main__":
    parser = console.parser(__doc__)
    parser.add_argument("source", help="Zarr array or group, path or URL")
    parser.add_argument("target", help="path or URL")
    parser.add_argument(
        "--arrays", nargs="+", metavar="NAME",
        help="of a group: those that latrans takes (default: all but coordinates and small ones)",
    )  # fmt: skip
    console.add_codec(parser)
    sys.exit(console.main(run, parser))
