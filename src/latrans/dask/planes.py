"""Scores of planes, whatever chunks they are stored in: their bits, and how like each other.

Where each chunk holds samples of one plane alone, its bits are known from the sizes of what is
stored.  Elsewhere planes are read and coded one by one, since a plane among others in a chunk has
no size of its own.  Bits tell a blank, noisy, blurred or saturated plane; one that is doubled or
displaced costs what the others cost, but is more or less like the planes beside it, which latents
tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt

from ..codec import Codec
from ..errors import ConfigError
from ..format import axes as letters
from ..models.store import open_model
from ..zarr.chunk_sizes import chunk_nbytes
from ..zarr.frame_reader import configuration
from .arrays import from_zarr
from .scores import Scores
from .travel import as_codec, open_source, sent

_CLOSEST = 1 - 1e-6  # correlation from which on planes count as the same


def plane_scores(
    source: Any,
    codec: Any = None,
    *,
    axes: str | None = None,
    storage_options: dict[str, Any] | None = None,
) -> Scores:
    """Bits per sample of every plane, or of every channel of a recording, coded alone.

    Parameters
    ----------
    source : zarr.Array, store, path, URL or dask.array.Array
        Where the chunks of a Zarr array hold one plane each, or a part of one, nothing is read,
        whatever it is compressed with; a chunk that is not stored, because it is all fill value,
        counts as no bits.
    codec : str, path, Model or codec, optional
        What encodes planes; by default what wrote the Zarr array.
    axes : str, optional
        One letter per dimension, see `latrans.Codec`; by default those of the codec.
    storage_options : dict, optional
        For fsspec, where `source` is a URL.

    Returns
    -------
    float64, sizes of those dimensions that count planes, in their order

    Raises
    ------
    ConfigError
        If no codec is named and none wrote the array, or it does not suit the array.

    See Also
    --------
    unlike : which of them stand out.
    likeness : what to hold beside it.

    Examples
    --------
    >>> import dask.array as da, numpy as np
    >>> from latrans.dask import plane_scores
    >>> stack = np.random.default_rng(0).integers(0, 9, (5, 64, 64), "u1")
    >>> stack[3] = 0
    >>> plane_scores(da.from_array(stack, chunks=(2, 64, 64)), "image-1").round().tolist()
    [3.0, 3.0, 3.0, 0.0, 3.0]
    """
    source = open_source(source, storage_options)
    stored = None if isinstance(source, da.Array) else configuration(source)
    if codec is None and stored is None:
        raise ConfigError(
            "planes are coded one by one, but the array was not written by latrans: name a codec, "
            "such as 'image-1'"
        )
    coder = Codec(**_lossless(stored)) if codec is None and stored else as_codec(codec)
    inner, named = _inner(coder, tuple(source.shape), axes)
    outer = tuple(d for d in range(source.ndim) if d not in inner)
    n_samples = np.prod([source.shape[d] for d in inner])
    if not isinstance(source, da.Array):
        if all(source.chunks[d] == 1 for d in outer):
            nbytes = chunk_nbytes(source).clip(0)
            bits: Scores = nbytes.sum(axis=inner) * 8 / n_samples
            return bits
        source = from_zarr(source)
    if coder.axes is None and coder.model != "auto":
        coder = Codec(
            coder.model, coder.mode, coder.max_error, coder.fill_value, named, coder.engine,
            coder.quality, coder.step,
        )  # fmt: skip
    sizes = source.map_blocks(
        _plane_nbytes,
        sent(coder),
        inner,
        dtype=np.int64,
        chunks=tuple(
            (1,) * len(sides) if d in inner else sides for d, sides in enumerate(source.chunks)
        ),
        meta=np.empty((0,) * source.ndim, np.int64),
    )
    found: Scores = sizes.sum(axis=inner).compute() * 8 / n_samples
    return found


def likeness(latents: Any) -> Scores:
    """How like each plane is to the planes before and after it, by their latents.

    Parameters
    ----------
    latents : array or dask.array.Array, (planes, ...) or (planes, channels, rows, columns)
        As `map_latents` gives them; a Dask array is computed block by block.

    Returns
    -------
    float64, (planes,)
        Fisher's z (arctanh) of the larger of the correlations with the plane before and the plane
        after, mean values of channels taken off.  About 7 for a plane that is there twice, near 0
        for one that has nothing to do with those beside it.

    Examples
    --------
    >>> import numpy as np
    >>> latents = np.random.default_rng(0).normal(size=(6, 12, 8, 8))
    >>> latents[3] = latents[2]
    >>> likeness(latents).round().astype(int).tolist()
    [0, 0, 7, 7, 0, 0]
    """
    correlations, before = [], None
    for plane in _planes(latents):
        values = np.asarray(plane, np.float64)
        values = values - values.mean((1, 2) if values.ndim == 3 else None, keepdims=True)
        if before is not None:
            norm = np.sqrt(np.square(values).sum() * np.square(before).sum())
            correlations.append((values * before).sum() / norm if norm else 0.0)
        before = values
    if not correlations:
        return np.full(np.shape(latents)[:1], np.nan)
    ends = [-np.inf]
    best = np.maximum([*ends, *correlations], [*correlations, *ends])
    found: Scores = np.arctanh(best.clip(-_CLOSEST, _CLOSEST))
    return found


def _planes(latents: Any) -> Iterator[npt.NDArray[Any]]:
    """Planes one by one, each block computed once."""
    if not isinstance(latents, da.Array):
        yield from np.asarray(latents)
        return
    start = 0
    for n in latents.chunks[0]:
        yield from latents[start : start + n].compute()
        start += n


def _lossless(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored configuration, as one that every plane can be encoded by."""
    if stored.get("mode") != "lossy" or open_model(stored["model"]).lossy_only:
        return stored
    kept = ("model", "fill_value", "axes")
    return {name: stored[name] for name in kept if name in stored}


def _inner(codec: Codec, shape: tuple[int, ...], axes: str | None) -> tuple[tuple[int, ...], str]:
    """Dimensions that a plane, or a track, spans; and the letters of all."""
    axes = axes or codec.axes
    if codec.model == "auto":
        model_axes, geometry = "yx", "plane" if axes is None or "x" in axes else "track"
    else:
        model = open_model(codec.model)
        model_axes, geometry = model.axes, model.geometry
    named = axes or letters.default(model_axes, shape, geometry)
    letters.check(named, len(shape), geometry)
    spanned = "yx" if geometry == "plane" else "t"
    return tuple(d for d, letter in enumerate(named) if letter in spanned), named


def _plane_nbytes(
    block: npt.NDArray[Any], codec: Codec, inner: tuple[int, ...]
) -> npt.NDArray[np.int64]:
    """Bytes of each plane of a block, or of the part of it that lies there."""
    sizes = [1 if d in inner else n for d, n in enumerate(block.shape)]
    parts = []
    for place in np.ndindex(*sizes):
        cut = (slice(None) if d in inner else slice(i, i + 1) for d, i in enumerate(place))
        parts.append(np.ascontiguousarray(block[tuple(cut)]))
    frames = codec.encode_batch(parts)
    return np.array([len(frame) for frame in frames], np.int64).reshape(sizes)
