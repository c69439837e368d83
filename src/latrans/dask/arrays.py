"""to_zarr and from_zarr: dask arrays to Zarr arrays of latrans frames, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import dask.array
import numpy as np
import zarr

from ..errors import ConfigError
from ..models.store import open_model
from ..process.progress_bar import progress_bar
from ..transfer import progress as marks
from ..transfer.blocks import BLOCK_NBYTES, block_grid
from ..transfer.job import prepare
from ..transfer.options import TransferOptions
from ..transfer.summary import Summary
from ..zarr.models import load_for
from ..zarr.zip_stores import resolved
from . import run


def to_zarr(
    array: Any,
    store: Any,
    codec: Any = "image-1",
    *,
    chunks: Any = None,
    shards: Any = None,
    attributes: Mapping[str, Any] | None = None,
    dimension_names: Any = None,
    fill_value: Any = None,
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
    """Compute a dask array into a Zarr array of latrans frames.

    Parameters
    ----------
    array : dask.array.Array
        Cut anew, where needed, so that a task writes whole chunks, all of them in one batch.
    store : str, path, Store or StorePath
    codec, chunks, shards, verify, resume, overwrite, zarr_format, model_storage, block_nbytes, \
storage_options
        As in `latrans.transfer.transcode`.  `resume` knows the same array by its name, which
        follows from how it was made.
    attributes, dimension_names, fill_value
        Of the new array.  What they declare as missing is known to the codec.
    client, scheduler, resources, engine, progress
        As in `latrans.dask.transcode`.

    Returns
    -------
    Summary

    Raises
    ------
    TransferError, ConfigError
        As in `latrans.dask.transcode`.

    Examples
    --------
    >>> import dask.array, zarr
    >>> from latrans.dask import from_zarr, to_zarr
    >>> store = zarr.storage.MemoryStore()
    >>> ramp = dask.array.arange(6000, dtype="u2", chunks=1000).reshape(60, 100)
    >>> to_zarr(ramp, store, "image-1", scheduler="threads").n_different
    0
    >>> bool((from_zarr(store) == ramp).all().compute(scheduler="threads"))
    True
    """
    if not isinstance(array, dask.array.Array):
        raise ConfigError(
            f"array is a {type(array).__name__}; expected a Dask array: make it one with "
            "dask.array.from_array, or use latrans.dask.transcode, which takes arrays and paths"
        )
    if any(math.isnan(n) for n in array.shape):
        raise ConfigError("the dask array's shape is unknown: call compute_chunk_sizes() first")
    if isinstance(array._meta, np.ma.MaskedArray):
        raise ConfigError(
            "the dask array is made of masked arrays, and frames hold no masks: give "
            "dask.array.ma.filled(array, value), with a value that no valid sample has, and say "
            "fill_value=value, so that it stays what it is"
        )
    described = _Described(array, dict(attributes or {}), dimension_names, fill_value)
    options = TransferOptions(
        codec=codec,
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
            described,
            store,
            options,
            workers=workers,
            available=available,
            whose=whose,
        )
        tell = stack.enter_context(progress_bar("to_zarr", job.nbytes, progress))
        tell(sum(record.nbytes for record in job.earlier))
        return job.finish(run.computed(runner, array, job, tell, resources, engine))


def from_zarr(
    store: Any,
    *,
    path: str | None = None,
    model: Any = None,
    block_nbytes: int = BLOCK_NBYTES,
    storage_options: dict[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Open a Zarr array as a dask array whose chunks are whole chunks of it, many at a time.

    Where a cluster is active, its workers are given the model that the array names.

    Parameters
    ----------
    store : zarr.Array, or what `zarr.open_array` takes
    path : str, optional
        Of the array inside the store.
    model : str, path, bytes or Model, optional
        What wrote the array, where neither its store nor this machine has the model.
    block_nbytes : int
        Of samples in a chunk of the dask array, about.
    storage_options : dict, optional
        For fsspec, where `store` is a URL.
    **options
        For `dask.array.from_zarr`.

    Returns
    -------
    dask.array.Array

    Raises
    ------
    ConfigError
        If a transfer into the array stopped half-way.
    """
    if model is not None:
        open_model(model)
    array = store
    if not isinstance(store, zarr.Array):
        array = zarr.open_array(
            resolved(store), mode="r", path=path, storage_options=storage_options
        )
    marks.refuse_unfinished(array)
    load_for(array)
    run.send_models(array)
    unit = array.shards or array.chunks
    edge = block_grid(array.shape, unit, array.dtype.itemsize or 1, block_nbytes).edge
    return dask.array.from_zarr(array, chunks=edge, **options)


class _Described:
    """A dask array as the source of a transfer: what it looks like, not what it holds."""

    def __init__(
        self, array: Any, attributes: dict[str, Any], dimension_names: Any, fill_value: Any
    ) -> None:
        self.shape = tuple(int(n) for n in array.shape)
        self.dtype = np.dtype(array.dtype)
        self.attrs = attributes
        self.fill_value = fill_value
        self.metadata = SimpleNamespace(zarr_format=3, dimension_names=dimension_names)
        self.identity = {"dask array": array.name}
        self.block = tuple(int(sizes[0]) for sizes in array.chunks) if _is_even(array) else None


def _is_even(array: Any) -> bool:
    """Whether all chunks are alike, but for a smaller last one along each dimension."""
    return all(
        set(sizes[:-1]) <= {sizes[0]} and sizes[-1] <= sizes[0] for sizes in array.chunks if sizes
    )
