"""Train a model on a random sample of arrays of any size.

Only the blocks that are drawn are read, by the workers; training runs here. The model file says
which pieces it saw, and how many bits per sample pieces take that it did not see.

    python pipelines/train.py a.zarr b.zarr --start image-1 --name mine --out mine.safetensors
"""

from __future__ import annotations

import sys
from contextlib import ExitStack

from latrans.cli import pipeline
from latrans.dask import fit


def run(args):
    with ExitStack() as stack:
        arrays = [stack.enter_context(pipeline.open_array(args, a)) for a in args.data]
        where = stack.enter_context(pipeline.cluster(args))
        model = fit(
            arrays,
            args.recipe,
            samples=args.samples,
            seed=args.seed,
            axes=args.axes,
            name=args.name,
            steps=args.steps,
            start=args.start,
            client=where.get("client"),
            progress=not args.quiet,
        )
    return pipeline.report_model(args.out, model)


if __name__ == "__main__":
    parser = pipeline.parser(__doc__)
    parser.add_argument("data", nargs="+", help="a.npy, Zarr arrays, or 'folder/*.tif'")
    parser.add_argument("--out", required=True, metavar="MODEL.safetensors")
    parser.add_argument("--recipe", default="image", help="name or TOML file (default: image)")
    parser.add_argument("--start", metavar="MODEL", help="go on from a model, such as image-1")
    parser.add_argument("--axes", help="one letter per dimension, as in zyx or tc")
    parser.add_argument("--name", help="of the model (default: the recipe's)")
    parser.add_argument("--samples", type=int, default=1 << 26, help="at most (default: 2**26)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="default: the recipe's")
    sys.exit(pipeline.main(run, parser))
