"""scores: which chunks cost more bits than others, or fewer, a map that needs no decoding.

A codec that knows its data spends many bits on what it did not expect, such as a cloud or noise,
and few on what has lost its detail.  The sizes of chunks are on record in every store, so the map
of a whole archive costs a listing of it.  `unlike` says which of them stand out.
"""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt

from ..codec import Codec
from ..errors import ConfigError
from ..zarr.chunk_sizes import bits_per_sample
from .travel import as_codec, open_source, sent

Scores = npt.NDArray[np.float64]


def scores(
    source: Any, codec: Any = None, *, storage_options: dict[str, Any] | None = None
) -> Scores:
    """Bits per sample of every chunk.

    Parameters
    ----------
    source : zarr.Array, store, path, URL or dask.array.Array
        What is stored is not read: sizes come from the store, those inside shards from the
        shards' indices.  Any compression will do.  Blocks of a Dask array, which are not stored
        yet, are encoded and their frames are thrown away.
    codec : str, path, Model or codec, optional
        What encodes the blocks of a Dask array.
    storage_options : dict, optional
        For fsspec, where `source` is a URL.

    Returns
    -------
    float64, shape of the grid of chunks
        Stored bits over samples inside the array.  NaN where no chunk is stored, because it was
        never written or is all fill value.  Of an array in shards, one per chunk inside them.

    Raises
    ------
    ConfigError
        If a Dask array comes without a codec.

    See Also
    --------
    unlike : which of them stand out.
    plane_scores : of planes, whatever chunks they lie in.

    Examples
    --------
    >>> import dask.array as da, numpy as np
    >>> from latrans.dask import robust_z, scores
    >>> rng = np.random.default_rng(0)
    >>> image = np.tile(np.arange(64, dtype="uint8"), (64, 4)) + rng.integers(0, 3, (64, 256), "u1")
    >>> image[:, 64:128] = rng.integers(0, 255, (64, 64))
    >>> bits = scores(da.from_array(image, chunks=64), "image-1")
    >>> bits.shape, int(robust_z(bits).argmax())
    ((1, 4), 1)
    """
    source = open_source(source, storage_options)
    if not isinstance(source, da.Array):
        return bits_per_sample(source)
    if codec is None:
        raise ConfigError("scores of a Dask array need a codec: name one, such as 'image-1'")
    bits = source.map_blocks(
        _bits,
        sent(as_codec(codec)),
        dtype=np.float64,
        chunks=tuple((1,) * n for n in source.numblocks),
        meta=np.empty((0,) * source.ndim),
    )
    found: Scores = bits.compute()
    return found


def robust_z(values: npt.ArrayLike, kinds: npt.ArrayLike | None = None) -> Scores:
    """How many standard deviations values lie from their median, whatever the outliers are.

    The modified z-score of Iglewicz and Hoaglin (How to Detect and Handle Outliers, 1993), who
    suggest to look at what lies beyond 3.5 on either side: the deviation from the median over
    1.4826 times the median of absolute deviations.  Where more than half of all values are equal,
    that median is 0 and 1.2533 times their mean takes its place.

    Parameters
    ----------
    values : array of float
        NaN stays NaN and does not count.
    kinds : array, optional
        Of the same shape: values are compared with those of the same kind only.  Chunks at the
        edge of an array hold fewer samples and cost more bits for each; with
        `latrans.zarr.chunk_sizes.samples_of_chunks` as kinds they do not stand out for that.

    Returns
    -------
    float64, same shape

    Examples
    --------
    >>> robust_z([1.0, 2.0, 3.0, 4.0, 100.0]).round(2).tolist()
    [-1.35, -0.67, 0.0, 0.67, 65.43]
    """
    values = np.asarray(values, np.float64)
    if kinds is not None:
        kinds = np.asarray(kinds)
        out = np.full(values.shape, np.nan)
        for kind in np.unique(kinds):
            out[kinds == kind] = robust_z(values[kinds == kind])
        return out
    known = values[np.isfinite(values)]
    if not known.size:
        return values * np.nan
    away = np.abs(known - np.median(known))
    scale = 1.4826 * float(np.median(away)) or 1.2533 * float(away.mean()) or 1.0
    deviations: Scores = (values - np.median(known)) / scale
    return deviations


def _bits(block: npt.NDArray[Any], codec: Codec) -> Scores:
    bits = len(codec.encode(block)) * 8 / max(1, block.size)
    return np.full((1,) * block.ndim, bits)
