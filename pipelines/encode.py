"""Encode an array, or a stack of image files, as a Zarr array of latrans.

Takes .npy and .npz files, Zarr arrays, images (TIFF of many pages, too), and folders or patterns of
images of one shape and dtype, which become one more dimension in front, in the order of the numbers
in their names; these names are the attribute "source_files" of the target. Chunks are verified as
they are written; a job that was killed goes on where it stopped when the same command runs again.

    python pipelines/encode.py scans.npy scans.zarr --axes zyx
    python pipelines/encode.py 'plate-7/*.tif' s3://bucket/plate-7.zarr --workers 8
    python pipelines/encode.py field.npy field.zarr --model field-1 --mode bounded --max-error 0.01
"""

from __future__ import annotations

import sys

from latrans.dask import console, transcode


def run(args):
    source = console.open_input(args, args.source, groups=False)
    with console.cluster(args) as where:
        summary = transcode(
            source,
            args.target,
            console.codec_of(args),
            storage_options=console.options_of(args),
            **console.layout_of(args),
            **where,
        )
    return console.report(args.target, summary)


if __name__ == "__main__":
    parser = console.parser(__doc__)
    parser.add_argument("source", help="a.npy, a.npz, a.npz:key, Zarr array, a.tif, 'folder/*.tif'")
    parser.add_argument("target", help="path or URL")
    console.add_codec(parser)
    sys.exit(console.main(run, parser))
