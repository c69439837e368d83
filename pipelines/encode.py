"""Encode an array, or a stack of image files, as a Zarr array of latrans.

Takes .npy and .npz files, Zarr arrays, and patterns of image files of one size, which become one
more dimension in front (scikit-image reads them). Chunks are verified as they are written; a job
that was killed goes on where it stopped when the same command runs again.

    python pipelines/encode.py scans.npy scans.zarr --axes zyx
    python pipelines/encode.py 'plate-7/*.tif' s3://bucket/plate-7.zarr --workers 8
    python pipelines/encode.py field.npy field.zarr --model field-1 --mode bounded --max-error 0.01
"""

from __future__ import annotations

import sys

from latrans.dask import console, to_zarr


def run(args):
    with console.open_array(args, args.source) as array, console.cluster(args) as where:
        summary = to_zarr(
            array,
            args.target,
            console.codec_of(args),
            storage_options=console.options_of(args),
            **console.layout_of(args),
            **where,
        )
    return console.report(args.target, summary)


if __name__ == "__main__":
    parser = console.parser(__doc__)
    parser.add_argument("source", help="a.npy, a.npz, a.npz:key, Zarr array, or 'folder/*.tif'")
    parser.add_argument("target", help="path or URL")
    console.add_codec(parser)
    sys.exit(console.main(run, parser))
