"""Latents of arrays, for clustering and search, as a Dask array.

What latrans stored with latents in its frames gives them away without its pixels being decoded;
anything else is encoded for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt

from ..codec import Codec
from ..errors import ConfigError
from ..models.model import Model
from ..models.store import open_model
from ..zarr import LatransCodec
from ..zarr.frame_reader import configuration
from ..zarr.latent_grid import Chunks, LatentGrid, grid_for, latents_of_chunk, latents_of_values
from .travel import open_source, sent

Array = npt.NDArray[Any]


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
    opened, grid = planned(source, model, axes)
    codec = Codec(opened, "lossy", axes=grid.axes, engine=engine, quality=quality, step=step)
    if isinstance(source, da.Array):
        return _of_blocks(source, codec, grid)
    out = grid.chunks(chunks_of(source))
    return da.map_blocks(
        _read,
        codec=sent(codec),
        grid=grid,
        source=source,
        chunks=out,
        meta=np.empty((0,) * len(out), grid.dtype),
    )


def planned(source: Any, model: Any, axes: str | None) -> tuple[Model, LatentGrid]:
    """The model that makes the latents of an array, and how those of its chunks make one."""
    stored = None if isinstance(source, da.Array) else configuration(source)
    if model is None:
        if stored is None:
            raise ConfigError("the array was not written by latrans: name a model with latents")
        model = stored["model"]
    opened = open_model(model)
    kept = (stored or {}).get("axes")
    return opened, grid_for(opened, np.dtype(source.dtype), chunks_of(source), axes or kept)


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


def chunks_of(source: Any) -> Chunks:
    """Sizes of an array's chunks along each dimension, as Dask has them."""
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


def decoders(array: Any) -> list[_Decoder]:
    """What reading an array takes of codecs; none if latrans did not write it."""
    stored = configuration(array)
    return [] if stored is None else [_Decoder(LatransCodec.from_mapping(stored))]
