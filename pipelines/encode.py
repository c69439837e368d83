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

from latrans.cli import pipeline
from latrans.dask import transcode


def run(args):
    source = pipeline.open_input(args, args.source, groups=False)
    with pipeline.cluster(args) as where:
        summary = transcode(
            source,
            args.target,
            pipeline.codec_of(args),
            storage_options=pipeline.options_of(args),
            **pipeline.layout_of(args),
            **where,
        )
    return pipeline.report(args.target, summary)


if __name__ == "__main__":
    parser = pipeline.parser(__doc__)
    parser.add_argument("source", help="a.npy, a.npz, a.npz:key, Zarr array, a.tif, 'folder/*.tif'")
    parser.add_argument("target", help="path or URL")
    pipeline.add_codec(parser)
    sys.exit(pipeline.main(run, parser))
