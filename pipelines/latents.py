"""Write the latents of a Zarr array, for clustering and search, and bits per sample of its chunks.

The target is a group of two arrays. "latents" has the dimensions of the source that are not
spatial, then channels, then a coarse grid; where the source was written by latrans with latents in
its frames, no pixel is decoded. "scores" has bits per sample of each chunk of the source, taken
from sizes alone: what lies far from the median is unlike the rest. With --picture, one plane is
drawn: the first three principal components of its latents as colours, and the map of scores.

    python pipelines/latents.py stack.zarr stack-latents.zarr --model image-1 --picture stack.png
"""

from __future__ import annotations

import sys

import zarr

from latrans.cli import pipeline
from latrans.cli.latents_picture import draw
from latrans.dask import save_latents, scores


def run(args):
    source = pipeline.open_input(args, args.source)
    target = pipeline.target(args, args.target)
    with pipeline.cluster(args) as where:
        summary = save_latents(
            source,
            target / "latents",
            args.model,
            axes=args.axes,
            quality=args.quality,
            overwrite=args.overwrite,
            **where,
        )
    bits = scores(source)
    zarr.create_array(target / "scores", data=bits, overwrite=args.overwrite)
    if args.picture:
        draw(args.picture, source, zarr.open_array(target / "latents", mode="r"), bits)
    return pipeline.report(args.target, summary)


if __name__ == "__main__":
    parser = pipeline.parser(__doc__)
    parser.add_argument("source", help="Zarr array, path or URL")
    parser.add_argument("target", help="path or URL")
    parser.add_argument("--model", help="with latents (default: what wrote the source)")
    parser.add_argument("--axes", help="one letter per dimension, as in zyx or tc")
    parser.add_argument("--quality", type=float, help="of models of more than one rate")
    parser.add_argument("--picture", metavar="FILE.png", help="draw the middle plane")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing target")
    sys.exit(pipeline.main(run, parser))
