"""transcode: what is stored already, into latrans, by the workers of a Dask scheduler."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack
from typing import Any

from ..process.progress_bar import progress_bar
from ..transfer import opened
from ..transfer.blocks import BLOCK_NBYTES
from ..transfer.job import prepare
from ..transfer.options import TransferOptions
from ..transfer.summary import Summary
from . import run


def transcode(
    source: Any,
    target: Any,
    codec: Any = "image-1",
    *,
    arrays: Collection[str] | None = None,
    chunks: Any = None,
    shards: Any = None,
    verify: bool = True,
    resume: bool = True,
    overwrite: bool = False,
    zarr_format: int = 3,
    model_storage: str | None = None,
    block_nbytes: int = BLOCK_NBYTES,
    storage_options: dict[str, Any] | None = None,
    client: Any = None,
    scheduler: Any = None,
    resources: dict[str, float] | None = None,
    engine: str | None = None,
    progress: bool | Callable[[int], Any] = True,
) -> Summary:
    """Write a Zarr array or group to a Zarr store of latrans frames, block by block.

    Workers read, encode, write, read back and compare blocks of whole chunks.  A worker that dies
    loses its blocks, which others then move; a job that dies is gone on with by the same call.

    Parameters
    ----------
    source, target, codec, arrays, chunks, shards, verify, resume, overwrite, zarr_format, \
model_storage, block_nbytes, storage_options
        As in `latrans.transfer.transcode`.
    client : distributed.Client, optional
        The cluster to use.
    scheduler : str, optional
        "threads", "processes", "synchronous", or the address of a cluster's scheduler.  Without
        `client` and `scheduler`, the active client, or what Dask is configured to use, or threads.
    resources : dict, optional
        What a task takes of its worker, as ``{"GPU": 1}``, on a cluster.
    engine : str, optional
        Engine of the cluster's workers, see `latrans.engine`.
    progress : bool or callable
        Whether to show a bar on a terminal; or what is told the bytes of each finished block.

    Returns
    -------
    Summary

    Raises
    ------
    TransferError
        If chunks failed; all others are in place.
    ConfigError
        If the target is complete or of another transfer, settings do not fit the source, workers
        cannot see source or target, or a task does not fit into their memory.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from latrans.dask import transcode
    >>> source = zarr.create_array({}, data=np.arange(6000, dtype="u2").reshape(60, 100))
    >>> store = zarr.storage.MemoryStore()
    >>> transcode(source, store, "image-1", scheduler="threads").n_different
    0
    """
    options = TransferOptions(
        codec=codec,
        arrays=arrays,
        chunks=chunks,
        shards=shards,
        verify=verify,
        resume=resume,
        overwrite=overwrite,
        zarr_format=zarr_format,
        model_storage=model_storage,
        block_nbytes=block_nbytes,
        storage_options=storage_options,
    )
    with ExitStack() as stack:
        runner = stack.enter_context(run.connected(client, scheduler))
        workers, available, whose = run.capacity(runner)
        job = prepare(
            opened(source, stack),
            target,
            options,
            workers=workers,
            available=available,
            whose=whose,
        )
        tell = stack.enter_context(progress_bar("transcode", job.nbytes, progress))
        tell(sum(record.nbytes for record in job.earlier))
        return job.finish(run.run(runner, job.pending(), job.plans, tell, resources, engine))
