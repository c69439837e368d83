"""Write a Zarr array as a folder of Parquet files, a row per item of its first dimension, or back.

Each row is one frame in a column that pyarrow, polars, pandas and duckdb read. Parts are written
whole or not at all: a job that was killed goes on where it stopped when the same command runs
again. A target that ends in .zarr makes a Zarr array of such a folder, which says that it is
incomplete until it is not; the same command begins it anew.

    python pipelines/to_parquet.py digits.zarr digits-rows --model digits-1 --column image
    python pipelines/to_parquet.py digits-rows digits-again.zarr --model digits-1 --workers 4
"""

from __future__ import annotations

import functools
import sys

import dask

from latrans.arrow import folders
from latrans.cli import pipeline
from latrans.dask import rows
from latrans.transfer import progress
from latrans.transfer.stores import open_target


def run(args):
    back = args.target.rstrip("/").endswith(".zarr")
    with pipeline.cluster(args) as where:
        if back:
            array, tasks = rows.array_of(
                args.source,
                open_target(args.target, pipeline.options_of(args, args.target)),
                pipeline.codec_of(args),
                chunks=args.chunks,
                model_storage=args.model_storage,
                overwrite=args.overwrite,
            )
        total = sum(compute(tasks if back else to_rows(args), where))
    if back:
        progress.finished(array)
    print(f"{args.target}\nbytes in the parts  {total:,}")
    return 0


def to_rows(args):
    source = pipeline.open_input(args, args.source)
    folder = folders.plan(source, args.target, args.column, args.rows)
    if args.overwrite:
        folders.remove_parts(args.target)
    how = pipeline.codec_of(args), args.model_in_footer
    return [functools.partial(folders.write_part, folder, source, i, *how) for i in folder.starts]


def compute(tasks, where):
    work = [dask.delayed(task, pure=False, traverse=False)() for task in tasks]
    if "client" in where:
        return where["client"].gather(where["client"].compute(work))
    return dask.compute(*work, scheduler=where["scheduler"])


if __name__ == "__main__":
    parser = pipeline.parser(__doc__)
    parser.add_argument("source", help="Zarr array, or a folder that this script has written")
    parser.add_argument("target", help="folder, path or URL; NAME.zarr for the way back")
    parser.add_argument("--column", default="array", help="of the rows (default: array)")
    parser.add_argument("--rows", type=int, metavar="N", help="of each part, whole chunks")
    text = "put the model into files, also where it is a shipped one"
    parser.add_argument("--model-in-footer", action="store_true", default=None, help=text)
    pipeline.add_codec(parser)
    sys.exit(pipeline.main(run, parser))
