"""latrans.transfer: arrays into latrans, each chunk whole or not at all, resumable.

::

    sources   what is read: files, Zarr arrays and groups, arrays in memory
    images    image files, and stacks of those that agree; `tiff` has what is special about TIFF
    members   arrays and groups of a source, and which of them latrans takes
    codecs    the codec that an array gets; `exact` has those that no codec may change
    metadata  what an array of a target says of itself; `dimensions` has its names
    layout    how every array of a source looks in the target
    blocks    an array cut into pieces of whole chunks
    job       a target that is begun or gone on with, and completed
    move      one block: read, write, read back, compare, remember
    progress  the marks and records that an unfinished target carries
    zipped    targets that are one ZIP file
    ome       metadata of OME-Zarr, which follow the Zarr format
    local     all blocks on this machine; `latrans.dask` runs them elsewhere
    worker    its processes, which end with the one that started them

Killing a transfer at any moment leaves every chunk whole or absent, and a target that says that
it is incomplete.  The same call again moves only the blocks that are not done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..batch.foreign import unmasked
from ..errors import ConfigError
from ..process.progress_bar import progress_bar
from .blocks import BLOCK_NBYTES
from .summary import Failure, Record, Summary

__all__ = ["Failure", "Record", "Summary", "transcode"]


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
    workers: int = 1,
    storage_options: dict[str, Any] | None = None,
    progress: bool | Callable[[int], Any] = False,
) -> Summary:
    """Write an array, or all of a Zarr group, to a Zarr store of latrans frames.

    Parameters
    ----------
    source : str, path, zarr.Array, zarr.Group or array
        ``a.npy``, ``a.npz``, ``a.npz:key``; an image such as ``a.tif``, or a folder or a pattern
        (``scans/*.tif``) of images of one shape and dtype, stacked in the order of the numbers in
        their names, which the attribute ``source_files`` of the target keeps; a Zarr array or
        group of format 2 or 3, a URL of one; or anything with shape, dtype and indexing by slices.
    target : str, path, Store or StorePath
        Path or fsspec URL of the new array or group.  A local path that ends in ``.zip`` becomes
        one ZIP file, whole or not at all, made in a folder ``x.zip.partial`` beside it.
    codec : LatransCodec, Latrans, latrans.Codec, Model or str; or a mapping
        A codec, or a model to encode with losslessly; by path of the array, where they differ:
        then latrans takes the arrays that are named, and copies the others.  Those that are not
        lossless are told what arrays declare as missing, see `latrans.missing.conventions`; it is
        added to their own fill values.
    arrays : collection of str, optional
        Which arrays of a group latrans takes; the others are copied.  By default those that
        `codec` names, or integers and floats of at least 64 kB that are not coordinates.  Label
        images, flags, ids, indices and positions among them are stored losslessly whatever the
        codec, unless they are named here or in `codec`; `Summary.exact` says which.
    chunks, shards : tuple of int, "source", or a mapping, optional
        Shapes, by default chunks that suit the model and names of dimensions, and no shards;
        "source" keeps the source's chunks; by path of the array, where they differ, arrays that
        are not named having the default.
    verify : bool
        Read back and compare every block: bit for bit in lossless mode, within the bound in
        bounded mode; in lossy mode the worst error is reported.
    resume : bool
        Go on where an earlier run of the same transfer stopped.
    overwrite : bool
        Replace a target that is complete, or belongs to another transfer.
    zarr_format : {3, 2}
    model_storage : {"name", "inline", "beside"}, optional
        Where the model is kept, see `latrans.zarr.create`; "beside" in a group only.  By default
        in the store, unless it is shipped with latrans.
    block_nbytes : int
        Of samples that a task holds at a time, whole chunks in any case.
    workers : int
        Processes.
    storage_options : dict, optional
        For fsspec, where `target` is a URL.
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
        If the target is complete or of another transfer, settings do not fit the source or name
        arrays that it does not have, the tasks do not fit into memory, or values of the source
        are masked.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from latrans.transfer import transcode
    >>> source = zarr.create_array({}, data=np.arange(6000, dtype="u2").reshape(60, 100))
    >>> store = zarr.storage.MemoryStore()
    >>> transcode(source, store, "image-1").n_different
    0
    >>> bool((zarr.open_array(store)[:] == source[:]).all())
    True
    """
    from . import local, memory
    from .job import prepare
    from .options import TransferOptions

    if workers < 1:
        raise ConfigError(f"workers is {workers!r}; expected a whole number of at least 1")
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
        job = prepare(
            opened(source, stack),
            target,
            options,
            workers=workers,
            available=memory.available_nbytes(),
        )
        tell = stack.enter_context(progress_bar("transcode", job.nbytes, progress))
        return local.run(job, workers, tell)


def opened(source: Any, stack: ExitStack) -> Any:
    """A source as arrays or a group, models beside it loaded; files stay open like `stack`."""
    import zarr

    from ..zarr.models import load_for
    from .sources import open_source

    if isinstance(source, str | Path):
        source = stack.enter_context(open_source(str(source), groups=True))
    elif not hasattr(source, "shape") and not hasattr(source, "members"):
        source = zarr.open(source, mode="r")
    if isinstance(source, zarr.Array | zarr.Group):
        load_for(source)
    return unmasked(source)
