"""Latents of arrays, for clustering and search: as a Dask array, or written to a store.

What latrans stored with latents in its frames gives them away without its pixels being decoded;
anything else is encoded for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt

from ..codec import Codec
from ..errors import ConfigError
from ..models.model import Model
from ..models.store import open_model
from ..process.progress_bar import progress_bar
from ..transfer import progress as marks
from ..transfer import stores
from ..transfer.blocks import BLOCK_NBYTES, BlockGrid, block_grid
from ..transfer.move import raise_if_fatal
from ..transfer.summary import Failure, Record, Summary
from ..zarr import LatransCodec
from ..zarr.frame_reader import configuration
from ..zarr.latent_grid import Chunks, LatentGrid, grid_for, latents_of_chunk, latents_of_values
from . import run
from .travel import open_source, sent

Array = npt.NDArray[Any]
ATTRIBUTE = "latrans_latents"  # of a stored array of latents: what they are of


def map_latents(
    source: Any,
    model: Any = None,
    *,
    axes: str | None = None,
    quality: float | None = None,
    step: float | None = None,
    engine: str | None = None,
    storage_options: dict[str, Any] | None = None,
) -> da.Array:
    """Latents of an array, one block for each of its chunks.

    Parameters
    ----------
    source : dask.array.Array, zarr.Array, store, path or URL
        A Zarr array that latrans wrote with this model is read frame by frame, and its latents
        are decoded without its pixels; of frames without latents, and of all other arrays, the
        values are encoded.  A chunk that is not stored counts as its fill value.
    model : str, path or Model, optional
        One with latents, such as "image-1", "image-lossy-1" or "digits-1"; by default the one
        that wrote the Zarr array.
    axes : str, optional
        One letter per dimension, see `latrans.Codec`.
    quality, step : float, optional
        How fine latents of "image-lossy-1" and its like are, where values are encoded.
    engine : str, optional
    storage_options : dict, optional
        For fsspec, where `source` is a URL.

    Returns
    -------
    dask.array.Array
        First the dimensions of the source that are not spatial, in its order and size; then the
        latent channels; then rows and columns (of recordings: time), each of them
        ``ceil(n / stride)`` long where the chunk has n samples: 8 for "image-1", of int8.  Models
        of whole samples, such as "digits-1", have no rows and columns.  Those with a transform
        have no channels, and rows and columns of the source's size: quantised bands (int32), the
        coarse ones upper left in each chunk.

    Notes
    -----
    Latents of a chunk follow from that chunk alone: "image-1" scales each plane of each chunk by
    its own spread, so that latents do not continue where smooth and busy chunks meet.  A chunk
    that the model cannot take, such as one of NaN alone, has latents of 0.  Zarr pads chunks at
    the edge with the fill value, so there latents of a stored frame and of the values themselves
    may differ a little.

    Raises
    ------
    ConfigError
        If the model has no latents (the message names those that have), or chunks or dtype do
        not suit it.

    Examples
    --------
    >>> import dask.array as da, numpy as np
    >>> from latrans.dask import map_latents
    >>> stack = da.zeros((6, 100, 64), dtype="uint8", chunks=(2, 50, 64))
    >>> latents = map_latents(stack, "image-1")
    >>> latents.shape, latents.dtype.name, latents.chunks[2]
    ((6, 12, 14, 8), 'int8', (7, 7))
    """
    source = open_source(source, storage_options)
    opened, grid = _planned(source, model, axes)
    codec = Codec(opened, "lossy", axes=grid.axes, engine=engine, quality=quality, step=step)
    if isinstance(source, da.Array):
        return _of_blocks(source, codec, grid)
    out = grid.chunks(_chunks(source))
    return da.map_blocks(
        _read,
        codec=sent(codec),
        grid=grid,
        source=source,
        chunks=out,
        meta=np.empty((0,) * len(out), grid.dtype),
    )


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
    opened, grid = _planned(source, model, axes)
    codec = LatransCodec(opened, "lossy", axes=grid.axes, quality=quality, step=step)
    place = stores.open_target(target, storage_options)
    chunks = grid.chunks(_chunks(source))
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
        plans = [job, *_decoders(source)]
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


def _planned(source: Any, model: Any, axes: str | None) -> tuple[Model, LatentGrid]:
    stored = None if isinstance(source, da.Array) else configuration(source)
    if model is None:
        if stored is None:
            raise ConfigError("the array was not written by latrans: name a model with latents")
        model = stored["model"]
    opened = open_model(model)
    kept = (stored or {}).get("axes")
    return opened, grid_for(opened, np.dtype(source.dtype), _chunks(source), axes or kept)


def _of_blocks(source: da.Array, codec: Codec, grid: LatentGrid) -> da.Array:
    """Latents of a Dask array, whose blocks are encoded."""
    strides = dict(zip(grid.inner, grid.stride, strict=True))
    channel = source.ndim
    out = (*grid.outer, *((channel,) if grid.channels else ()), *grid.inner)
    return da.blockwise(
        _encoded,
        out,
        source,
        tuple(range(source.ndim)),
        codec=sent(codec),
        grid=grid,
        new_axes={channel: grid.channels} if grid.channels else None,
        adjust_chunks={d: lambda n, s=s: -(-n // s) for d, s in strides.items()},
        concatenate=True,
        align_arrays=False,
        meta=np.empty((0,) * len(out), grid.dtype),
    )


def _encoded(block: Array, codec: Codec, grid: LatentGrid) -> Array:
    return latents_of_values(codec, grid, block)


def _read(codec: Codec, grid: LatentGrid, source: Any, block_id: tuple[int, ...]) -> Array:
    sides = zip(grid.place(block_id), source.chunks, source.shape, strict=True)
    region = tuple(slice(i * step, min((i + 1) * step, n)) for i, step, n in sides)
    return latents_of_chunk(codec, grid, source, region)


def _chunks(source: Any) -> Chunks:
    if isinstance(source, da.Array):
        return source.chunks
    return tuple(
        tuple(min(step, n - start) for start in range(0, n, step))
        for n, step in zip(source.shape, source.chunks, strict=True)
    )


@dataclass(frozen=True)
class _Decoder:
    """The codec of an array that is read, so that workers get its model."""

    codec: LatransCodec
    name: str = "source"
    source: Any = None
    target: Any = None


def _decoders(array: Any) -> list[_Decoder]:
    stored = configuration(array)
    return [] if stored is None else [_Decoder(LatransCodec.from_mapping(stored))]
