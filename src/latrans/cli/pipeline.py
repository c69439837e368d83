"""What the scripts in ``pipelines`` have in common: options, clusters, reports, exit statuses.

Exit status 0 is done, 1 says that chunks failed, or that the system did, as a full disk does,
2 that the job could not be carried out, 130 that it was interrupted; then one line on stderr says
why.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import dask
import dask.array as da
import numpy as np
from zarr.storage import StorePath

from ..chunk.chunking import default_chunks
from ..errors import ConfigError, TransferError
from ..missing.missing import as_number
from ..models.model import Model
from ..transfer import opened, sources
from ..transfer.blocks import block_grid
from ..transfer.progress import refuse_unfinished
from ..transfer.stores import open_target
from ..transfer.summary import Summary
from ..transfer.worker import undisturbed
from ..zarr import LatransCodec
from ..zarr.models import load_for
from . import command


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options of all jobs: where to run, and how to reach object stores."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = made.add_argument_group("where to run (threads of this process by default)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="of a cluster's Dask scheduler")
    where.add_argument("--workers", type=int, metavar="N", help="processes of a local cluster")
    where.add_argument("--threads", type=int, metavar="N", help="in all (default: one per core)")
    where.add_argument(
        "--resources", type=_pair(float), action="append", metavar="NAME=N", default=[],
        help="what a task takes of its worker, as in GPU=1",
    )  # fmt: skip
    where.add_argument("--engine", help="what codes chunks on a cluster: native, torch, ...")
    where.add_argument(
        "--block-mb", type=float, default=64, metavar="MB",
        help="of samples that a task holds, whole chunks in any case (default: 64)",
    )  # fmt: skip
    made.add_argument(
        "--storage-option", type=_pair(str), action="append", metavar="KEY=VALUE", default=[],
        help="for URLs, passed to fsspec; may be repeated",
    )  # fmt: skip
    made.add_argument("--quiet", action="store_true", help="no progress bar")
    return made


def add_codec(made: argparse.ArgumentParser) -> None:
    """Options that say how arrays are encoded."""
    how = made.add_argument_group("codec")
    how.add_argument("--model", default="image-1", help="name, file or auto (default: image-1)")
    how.add_argument("--mode", choices=["lossless", "bounded", "lossy"], default="lossless")
    how.add_argument("--max-error", type=float, metavar="E", help="of mode bounded")
    how.add_argument("--quality", type=float, metavar="Q", help="of mode lossy, up to 100")
    how.add_argument("--step", type=float, metavar="S", help="the same in units of the data")
    how.add_argument(
        "--fill-value", type=as_number, action="append", metavar="V",
        help="marks missing samples, beside what arrays declare; may be repeated",
    )  # fmt: skip
    how.add_argument("--axes", help="one letter per dimension, as in zyx or tc")
    how.add_argument("--chunks", type=shape, metavar="N,N", help="or 'source' for its own")
    how.add_argument("--shards", type=shape, metavar="N,N", help="a multiple of the chunks")
    how.add_argument(
        "--model-storage", choices=["name", "inline", "beside"],
        help="where the model is kept (default: in the store, unless it is shipped)",
    )  # fmt: skip
    how.add_argument("--zarr-format", type=int, choices=[2, 3], default=3)
    how.add_argument("--no-verify", action="store_true", help="do not read back and compare")
    how.add_argument("--overwrite", action="store_true", help="replace an existing target")


def codec_of(args: argparse.Namespace) -> LatransCodec:
    """The codec that `add_codec` asked for."""
    names = ("model", "mode", "max_error", "fill_value", "axes", "quality", "step")
    return LatransCodec(**{name: getattr(args, name) for name in names})


def layout_of(args: argparse.Namespace) -> dict[str, Any]:
    """The other options of `add_codec`, as `transcode` and `to_zarr` take them."""
    return {
        "chunks": args.chunks,
        "shards": args.shards,
        "zarr_format": args.zarr_format,
        "model_storage": args.model_storage,
        "verify": not args.no_verify,
        "overwrite": args.overwrite,
    }


def shape(text: str) -> Any:
    """A shape as in ``256,256``."""
    return text if text == "source" else tuple(int(n) for n in text.split(","))


def options_of(args: argparse.Namespace, place: str = "://") -> dict[str, Any] | None:
    """Options for fsspec, where a place is a URL."""
    return dict(args.storage_option) or None if "://" in place else None


def open_input(args: argparse.Namespace, place: str, groups: bool = True) -> Any:
    """A source: what Zarr opens comes as array or group, names of other files as they are."""
    local = place.removeprefix("file://")
    if "://" not in local and sources.is_of_files(local):
        return local
    found = sources.open_zarr(local, groups, options_of(args, local))
    load_for(found)
    return found


@contextmanager
def open_array(args: argparse.Namespace, place: str) -> Iterator[Any]:
    """A source as a Dask array, in blocks of whole chunks as they will be written."""
    with ExitStack() as stack:
        source = opened(open_input(args, place, groups=False), stack)
        if hasattr(source, "attrs"):
            refuse_unfinished(source)
        chunks = getattr(args, "chunks", None)
        if chunks in (None, "source"):
            chunks = getattr(source, "chunks", None) or default_chunks(source.shape, args.axes)
        if len(chunks) != len(source.shape):
            raise ConfigError(f"chunks {chunks} do not fit an array of shape {source.shape}")
        edge = block_grid(source.shape, chunks, source.dtype.itemsize or 1).edge
        meta = np.empty((0,) * len(source.shape), source.dtype)
        yield da.from_array(source, chunks=edge, meta=meta)


def target(args: argparse.Namespace, place: str) -> StorePath:
    """Where a job writes that makes several arrays."""
    return open_target(place, options_of(args, place))


@contextmanager
def cluster(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Where to run, as the arguments that functions of `latrans.dask` take."""
    if args.scheduler and args.workers:
        raise ConfigError("--scheduler and --workers are both given: leave one out")
    options: dict[str, Any] = {"progress": not args.quiet, "block_nbytes": int(args.block_mb * 1e6)}
    if not args.scheduler and not args.workers:
        if args.resources or args.engine:
            raise ConfigError("--resources and --engine are for clusters: give --scheduler")
        with dask.config.set(num_workers=args.threads) if args.threads else nullcontext():
            yield {"scheduler": "threads", **options}
        return
    from distributed import Client, LocalCluster

    resources = dict(args.resources)
    options |= {"resources": resources or None, "engine": args.engine}
    if args.scheduler:
        with Client(args.scheduler) as client:
            yield {"client": client, **options}
        return
    threads = max(1, (args.threads or os.cpu_count() or 1) // args.workers)
    with ExitStack() as stack:
        stack.callback(logging.disable, logging.root.manager.disable)
        loops, early = logging.getLogger("tornado.application"), _EarlyInterrupt()
        loops.addFilter(early)
        stack.callback(loops.removeFilter, early)
        with undisturbed(["SIGINT"]):  # the keyboard's interrupts are for this process
            local = LocalCluster(
                n_workers=args.workers,
                threads_per_worker=threads,
                dashboard_address=":0",
                resources=resources,
            )
            stack.enter_context(local)
        client = stack.enter_context(Client(local))
        try:
            yield {"client": client, **options}
        except BaseException:
            logging.disable()  # what is lost as the cluster ends is no news
            raise


class _EarlyInterrupt(logging.Filter):
    """Drops the traceback of a `NameError` that distributed logs.

    Where an interrupt comes before a call of its has begun, it cancels what is not there yet.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        found = record.exc_info[1] if record.exc_info else None
        return not (isinstance(found, NameError) and "sync.<locals>.cancel" in record.getMessage())


def report(place: str, summary: Summary) -> int:
    """Print what a job did; returns its exit status."""
    print(f"{place}\n{summary}")
    return 1 if summary.failures else 0


def report_model(place: str, model: Model) -> int:
    """Save a model and print what training on a sample gave; returns the exit status."""
    model.save(place)
    sampling = model.training["sampling"]
    lines = [
        place,
        f"model         {model.name}, digest {model.digest[:16]}",
        f"bytes out     {len(model.data):,}",
        f"trained on    {len(sampling['trained'])} pieces, {model.training['bits_per_sample']:.3f} "
        "bits per sample",
    ]
    bits = sampling["held_bits_per_sample"]
    if bits is not None:
        lines.append(f"held out      {len(sampling['held'])} pieces, {bits:.3f} bits per sample")
    print("\n".join(lines))
    return 0


def main(
    run: Callable[[argparse.Namespace], int],
    made: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
) -> int:
    """Run a job and return its exit status."""
    args = made.parse_args(argv)
    target = getattr(args, "target", None) or getattr(args, "out", None)
    return command.run(lambda: run(args), target, _explained)


def _explained(error: Exception) -> tuple[int, str] | None:
    if isinstance(error, TransferError):
        print(error.summary)
        return command.FAILED, str(error)
    if isinstance(error, ImportError):
        return command.REFUSED, _missing(error)
    if isinstance(error, ValueError):
        return command.REFUSED, str(error)
    return None


def _missing(error: ImportError) -> str:
    """Which package to install: fsspec names the one that a URL needs."""
    name = (error.name or "").partition(".")[0]
    advice = f"{error}: pip install {name}" if name else str(error)
    return f"{advice} (URLs need fsspec and a package for their protocol, such as s3fs for s3://)"


def _pair(kind: Callable[[str], Any]) -> Callable[[str], tuple[str, Any]]:
    """Parse ``key=value``."""

    def parse(text: str) -> tuple[str, Any]:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
        return key, kind(value)

    return parse
