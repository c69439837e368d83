"""map_latents: the latents of an array as a Dask array, for clustering and search.

What latrans stored with latents in its frames gives them away without its pixels being decoded;
anything else is encoded for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt

from .. import axes as axes_module
from .. import field
from ..carrier import carrier_of, to_carrier
from ..codec import Codec
from ..errors import ConfigError
from ..frame import Frame, unpack
from ..frames import configuration, frames_of
from ..lossy import LATENT_DTYPE as TRANSFORM_DTYPE
from ..mapping import read_mapping
from ..model import Model
from ..store import list_models, open_model, packaged
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
    **storage_options: Any,
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
    **storage_options
        Of a URL, for fsspec.

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
    its own spread.  A chunk that the model cannot take, such as one of NaN alone, has latents of 0.
    Zarr pads chunks at the edge with the fill value, so there latents of a
    stored frame and of the values themselves may differ a little.

    Raises
    ------
    ConfigError
        If the model has no latents (the message names those that have), or chunks or dtype do not suit it.

    Examples
    --------
    >>> import dask.array as da, numpy as np
    >>> from latrans.dask import map_latents
    >>> stack = da.zeros((6, 100, 64), dtype="uint8", chunks=(2, 50, 64))
    >>> latents = map_latents(stack, "image-1")
    >>> latents.shape, latents.dtype.name, latents.chunks[2]
    ((6, 12, 14, 8), 'int8', (7, 7))
    """
    source = open_source(source, **storage_options)
    stored = None if isinstance(source, da.Array) else configuration(source)
    if model is None and stored is None:
        raise ConfigError("the array was not written by latrans: name a model with latents")
    opened = open_model(stored["model"] if model is None and stored else model)
    if not opened.has_latents:
        raise ConfigError(
            f"model {opened.name!r} has no autoencoder and so no latents; models that have some: "
            f"{', '.join(_with_latents())}"
        )
    kept = (stored or {}).get("axes")
    carried = to_carrier(np.zeros(1, source.dtype))
    if carried is None or not field.suits(carried.dtype):
        raise ConfigError(f"an array of dtype {source.dtype} has no latents; expected real numbers")
    chunks = _chunks(source)
    usual = axes_module.default(opened.axes, tuple(max(c, default=0) for c in chunks), opened.geometry)
    named = axes_module.check(axes or kept or usual, len(chunks), opened.geometry)
    codec = Codec(opened, "lossy", axes=named, engine=engine, quality=quality, step=step)
    shape = Latents.of(opened, named)
    shape.check(chunks, opened)
    if isinstance(source, da.Array):
        return _of_blocks(source, codec, shape)
    if stored is not None:
        return _of_frames(source, codec, shape, chunks)
    return _of_blocks(da.from_zarr(source), codec, shape)


@dataclass(frozen=True)
class Latents:
    """Where a model's latents of a chunk lie.

    Attributes
    ----------
    axes : str
        Of the source.
    inner : tuple of int
        Dimensions of the source that become rows and columns, or time; none of dense models.
    whole : tuple of int
        Dimensions of the source that become nothing: one sample spans them.
    stride : tuple of int
        Samples per latent along each of `inner`.
    channels : int
        0 where there is no such dimension.
    dtype : str
    """

    axes: str
    inner: tuple[int, ...]
    whole: tuple[int, ...]
    stride: tuple[int, ...]
    channels: int
    dtype: str

    @classmethod
    def of(cls, model: Model, axes: str) -> Latents:
        spatial = "yx" if model.geometry == "plane" else "t"
        inner = tuple(axes.index(letter) for letter in spatial if letter in axes)
        auto = model.autoencoder
        if auto is None:
            return cls(axes, inner, (), (1,) * len(inner), 0, TRANSFORM_DTYPE)
        if auto.kind == "dense":
            return cls(axes, (), inner, (), auto.latent_channels, auto.latent_dtype)
        stride = auto.stride[-len(inner) :]
        return cls(axes, inner, (), stride, auto.latent_channels, auto.latent_dtype)

    @property
    def outer(self) -> tuple[int, ...]:
        """Dimensions of the source that count planes."""
        return tuple(d for d in range(len(self.axes)) if d not in self.inner + self.whole)

    def check(self, chunks: tuple[tuple[int, ...], ...], model: Model) -> None:
        if not self.whole:
            return
        assert model.autoencoder is not None
        found = tuple(chunks[d] for d in self.whole)
        if found != tuple((n,) for n in model.autoencoder.sample_shape or ()):
            raise ConfigError(
                f"model {model.name!r} takes samples of {model.autoencoder.sample_shape}, found "
                f"chunks {found} along axes {''.join(self.axes[d] for d in self.whole)!r}"
            )

    def chunks(self, chunks: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        """Chunks of the latents of an array of these chunks."""
        outer = [chunks[d] for d in self.outer]
        channels = [(self.channels,)] if self.channels else []
        grid = [
            tuple(-(-n // stride) for n in chunks[d])
            for d, stride in zip(self.inner, self.stride, strict=True)
        ]
        return (*outer, *channels, *grid)

    def place(self, block: tuple[int, ...]) -> tuple[int, ...]:
        """Which chunk of the source a block of the latents comes from."""
        place = dict.fromkeys(self.whole, 0)
        place |= dict(zip(self.outer, block, strict=False))
        rest = block[len(block) - len(self.inner) :]
        place |= dict(zip(self.inner, rest, strict=True))
        return tuple(place[d] for d in range(len(self.axes)))

    def arranged(self, latents: Array, shape: tuple[int, ...]) -> Array:
        """Latents (planes, ...) of a chunk of `shape`, in the dimensions that they get here."""
        geometry = "track" if self.inner and self.axes[self.inner[0]] == "t" else "plane"
        layout = axes_module.layout(self.axes, shape, geometry)
        order = layout.order[: len(layout.counts)]
        back = sorted(range(len(order)), key=order.__getitem__)
        grid = [-(-shape[d] // s) for d, s in zip(self.inner, self.stride, strict=True)]
        channels = [self.channels] if self.channels else []
        cells = latents.reshape(*layout.counts, *channels, *grid)
        rest = range(len(order), cells.ndim)
        return np.ascontiguousarray(cells.transpose(*back, *rest))


def _of_blocks(source: da.Array, codec: Codec, shape: Latents) -> da.Array:
    """Latents of a Dask array, whose blocks are encoded."""
    grid = dict(zip(shape.inner, shape.stride, strict=True))
    channel = source.ndim
    out = (*shape.outer, *((channel,) if shape.channels else ()), *shape.inner)
    return da.blockwise(
        _encoded,
        out,
        source,
        tuple(range(source.ndim)),
        codec=sent(codec),
        shape=shape,
        new_axes={channel: shape.channels} if shape.channels else None,
        adjust_chunks={d: lambda n, s=s: -(-n // s) for d, s in grid.items()},
        concatenate=True,
        align_arrays=False,
        meta=np.empty((0,) * len(out), shape.dtype),
    )


def _of_frames(source: Any, codec: Codec, shape: Latents, chunks: Any) -> da.Array:
    """Latents of a Zarr array of latrans, whose frames are read."""
    out = shape.chunks(chunks)
    return da.map_blocks(
        _read,
        codec=sent(codec),
        shape=shape,
        source=source,
        chunks=out,
        meta=np.empty((0,) * len(out), shape.dtype),
    )


def _encoded(block: Array, codec: Codec, shape: Latents) -> Array:
    frame = codec.encode(np.ascontiguousarray(block))
    if unpack(frame).fallback:
        out = shape.chunks(tuple((n,) for n in block.shape))
        return np.zeros([n for (n,) in out], shape.dtype)
    return shape.arranged(codec.latents(frame), block.shape)


def _read(codec: Codec, shape: Latents, source: Any, block_id: tuple[int, ...]) -> Array:
    place = shape.place(block_id)
    region = tuple(
        slice(i * step, min((i + 1) * step, n))
        for i, step, n in zip(place, source.chunks, source.shape, strict=True)
    )
    model = open_model(codec.model)
    for frame in frames_of(source, region):
        parts = unpack(frame)
        if not _has_latents(parts, model, shape.axes):
            continue
        # Zarr pads chunks at the edge; what lies outside the array is cut off again.
        whole = shape.arranged(codec.latents(frame), parts.shape)
        wanted = shape.chunks(tuple((s.stop - s.start,) for s in region))
        return whole[tuple(slice(n) for (n,) in wanted)]
    return _encoded(np.asarray(source[region]), codec, shape)


def _has_latents(parts: Frame, model: Model, axes: str) -> bool:
    """Whether a frame holds latents of this model, in planes along these axes."""
    if parts.latent_dtype == "none" or parts.model_digest != bytes.fromhex(model.digest[:16]):
        return False
    stored, _ = read_mapping(parts.maps, carrier_of(parts))
    return axes == (stored or axes_module.default(model.axes, parts.shape, model.geometry))


def _chunks(source: Any) -> tuple[tuple[int, ...], ...]:
    if isinstance(source, da.Array):
        return source.chunks
    return tuple(
        tuple(min(step, n - start) for start in range(0, n, step))
        for n, step in zip(source.shape, source.chunks, strict=True)
    )


def _with_latents() -> list[str]:
    return [entry.name for entry in list_models(packaged()) if open_model(entry.path).has_latents]
