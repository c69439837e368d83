"""Latents of stored arrays, written to a store of their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np

from ..errors import ConfigError
from ..process.progress_bar import progress_bar
from ..transfer import progress as marks
from ..transfer import stores
from ..transfer.blocks import BLOCK_NBYTES, BlockGrid, block_grid
from ..transfer.move import raise_if_fatal
from ..transfer.summary import Failure, Record, Summary
from ..zarr import LatransCodec
from ..zarr.latent_grid import LatentGrid, latents_of_chunk
from . import run
from .latents import chunks_of, decoders, planned
from .travel import open_source

ATTRIBUTE = "latrans_latents"  # of a stored array of latents: what they are of


def save_latents(
    source: Any,
    target: Any,
    model: Any = None,
    *,
    axes: str | None = None,
    quality: float | None = None,
    step: float | None = None,
    overwrite: bool = False,
    block_nbytes: int = BLOCK_NBYTES,
    storage_options: dict[str, Any] | None = None,
    client: Any = None,
    scheduler: Any = None,
    resources: dict[str, float] | None = None,
    engine: str | None = None,
    progress: bool | Callable[[int], Any] = True,
) -> Summary:
    """Write the latents of a Zarr array to another, with a chunk for each of its chunks.

    Parameters
    ----------
    source : zarr.Array, store, path or URL
    target : str, path, Store or StorePath
        The new array has Zarr's default compression and the attribute ``latrans_latents``, which
        says of which array and by which model they are.
    model, axes, quality, step
        As in `map_latents`, as are shape and dtype of the result.
    overwrite : bool
        Replace a target that exists; one that the same call has left incomplete is in any case.
    block_nbytes : int
        Of samples that a task handles, whole chunks in any case.
    storage_options : dict, optional
        For fsspec, where source or target are URLs.
    client, scheduler, resources, engine, progress
        As in `latrans.dask.transcode`.

    Returns
    -------
    Summary
        Latents of chunks that failed are 0; `failures` names them.

    Raises
    ------
    ConfigError
        As `map_latents` does, and if the target exists.
    """
    import zarr

    source = open_source(source, storage_options)
    if isinstance(source, da.Array):
        raise ConfigError("latents of a Dask array: use map_latents, and dask.array.to_zarr")
    opened, grid = planned(source, model, axes)
    codec = LatransCodec(opened, "lossy", axes=grid.axes, quality=quality, step=step)
    place = stores.open_target(target, storage_options)
    chunks = grid.chunks(chunks_of(source))
    about = {"model": opened.name, "digest": opened.digest, "axes": grid.axes}
    about["source"] = str(source.store_path)
    mark = marks.marker(marks.identity({**about, "quality": quality, "step": step}))
    try:
        array = zarr.create_array(
            place,
            shape=tuple(map(sum, chunks)),
            chunks=tuple(max(1, *sizes, 1) for sizes in chunks),
            dtype=grid.dtype,
            fill_value=0,
            overwrite=overwrite or marks.is_begun(place, mark),
            attributes={ATTRIBUTE: about, **mark},
        )
    except (zarr.errors.ContainsArrayError, zarr.errors.ContainsGroupError) as error:
        raise ConfigError(
            f"{place} exists: choose another name, or replace it with overwrite (--overwrite)"
        ) from error
    units = BlockGrid(source.shape, source.chunks)
    blocks = block_grid(source.shape, source.chunks, source.dtype.itemsize, block_nbytes)
    job = LatentsJob("", source, array, codec, blocks, units, grid)
    start = time.perf_counter()
    with (
        run.connected(client, scheduler) as runner,
        progress_bar("latents", source.size * source.dtype.itemsize, progress) as tell,
    ):
        tasks = ((job, i) for i in range(len(blocks)))
        plans = [job, *decoders(source)]
        records = list(run.run(runner, tasks, plans, tell, resources, engine, work=save))
    marks.finished(array)
    return Summary.of([], records, time.perf_counter() - start)


@dataclass(frozen=True)
class LatentsJob:
    """How latents are written; a scheduler asks the same of it as of `transfer.move.MovePlan`.

    Attributes
    ----------
    name : str
    source, target : zarr.Array
    codec : LatransCodec
    grid, units : BlockGrid
        Blocks of the source, and its chunks.
    latents : LatentGrid
    """

    name: str
    source: Any
    target: Any
    codec: LatransCodec
    grid: BlockGrid
    units: BlockGrid
    latents: LatentGrid


def save(job: LatentsJob, i: int) -> Record:
    """Write the latents of block `i`."""
    start = time.perf_counter()
    block = job.grid[i]
    source, read = stores.counted(job.source)
    target, written = stores.counted(job.target)
    assert read is not None
    assert written is not None
    where = job.latents.region(block, job.units.edge)
    out = np.zeros([s.stop - s.start for s in where], job.latents.dtype)
    units, failures = job.units.within(block), []
    for unit in units:
        part = job.latents.region(unit, job.units.edge)
        place = tuple(
            slice(p.start - w.start, p.stop - w.start) for p, w in zip(part, where, strict=True)
        )
        try:
            out[place] = latents_of_chunk(job.codec._codec, job.latents, source, unit)
        except Exception as error:
            raise_if_fatal(error)
            reason = f"{type(error).__name__}: {error}"
            failures.append(Failure(job.name, job.units.position(unit), reason))
    target[where] = out
    return Record(
        job.name,
        i,
        n_chunks=len(units),
        nbytes=int(np.prod([s.stop - s.start for s in block])) * source.dtype.itemsize,
        read_nbytes=read.get_nbytes,
        stored_nbytes=written.put_nbytes,
        n_gets=read.n_gets,
        n_puts=written.n_puts,
        seconds=time.perf_counter() - start,
        failures=tuple(failures),
    )
