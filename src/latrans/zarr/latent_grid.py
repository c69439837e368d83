"""Latent grid: how the latents of an array's chunks make one array, and how each is got.

Latents of a chunk follow from that chunk alone.  Where they lie in the array of all latents
depends on the model's kind: conv autoencoders have channels and a coarser grid, dense ones
channels alone, transforms a grid alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..chunk.lossy import LATENT_DTYPE as TRANSFORM_DTYPE
from ..codec import Codec
from ..errors import CodecError, ConfigError
from ..format import axes as axes_module
from ..format.dtypes import numeric_dtype_of, to_numeric
from ..format.frame import Frame, unpack
from ..maps import apply
from ..maps.mapping import read_mapping
from ..models.model import Model
from ..models.store import list_models, open_model, packaged
from .frame_reader import frames_of, holds_chunks

Array = npt.NDArray[Any]
Chunks = tuple[tuple[int, ...], ...]  # sizes along each dimension
Region = tuple[slice, ...]


@dataclass(frozen=True)
class LatentGrid:
    """Where the latents of an array lie.

    Attributes
    ----------
    axes : str
        Of the source, one letter per dimension.
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
    def of(cls, model: Model, axes: str) -> LatentGrid:
        """The grid of a model with latents, for arrays with these axes."""
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

    def sizes(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of the latents of one chunk of `shape`."""
        grid = (-(-shape[d] // s) for d, s in zip(self.inner, self.stride, strict=True))
        return (*(shape[d] for d in self.outer), *self._channels, *grid)

    def chunks(self, chunks: Chunks) -> Chunks:
        """Chunks of the latents of an array of these chunks."""
        grid = (
            tuple(-(-n // stride) for n in chunks[d])
            for d, stride in zip(self.inner, self.stride, strict=True)
        )
        return (*(chunks[d] for d in self.outer), *((n,) for n in self._channels), *grid)

    def region(self, block: Region, chunks: Sequence[int]) -> Region:
        """Where the latents of a block of whole chunks lie, in an array of chunks of one size."""
        grid = []
        for d, stride in zip(self.inner, self.stride, strict=True):
            first, rest = divmod(block[d].stop - block[d].start, chunks[d])
            start = block[d].start // chunks[d] * -(-chunks[d] // stride)
            grid.append(slice(start, start + first * -(-chunks[d] // stride) + -(-rest // stride)))
        return (*(block[d] for d in self.outer), *(slice(0, n) for n in self._channels), *grid)

    def place(self, block: tuple[int, ...]) -> tuple[int, ...]:
        """Which chunk of the source a chunk of the latents comes from."""
        place = dict.fromkeys(self.whole, 0)
        place |= dict(zip(self.outer, block, strict=False))
        place |= dict(zip(self.inner, block[len(block) - len(self.inner) :], strict=True))
        return tuple(place[d] for d in range(len(self.axes)))

    def arranged(self, latents: Array, shape: tuple[int, ...]) -> Array:
        """Latents (planes, ...) of a chunk of `shape`, in the dimensions that they get here."""
        geometry = "track" if self.inner and self.axes[self.inner[0]] == "t" else "plane"
        layout = axes_module.layout(self.axes, shape, geometry)
        order = layout.order[: len(layout.counts)]
        back = sorted(range(len(order)), key=order.__getitem__)
        inner = self.sizes(shape)[len(order) :]
        cells = latents.reshape(*layout.counts, *inner)
        return np.ascontiguousarray(cells.transpose(*back, *range(len(order), cells.ndim)))

    @property
    def _channels(self) -> tuple[int, ...]:
        return (self.channels,) if self.channels else ()


def grid_for(
    model: Model,
    dtype: np.dtype[Any],
    chunks: Chunks,
    axes: str | None,
) -> LatentGrid:
    """The grid of an array's latents.

    Raises
    ------
    ConfigError
        If the model has no latents, or dtype or chunks do not suit it.
    """
    if not model.has_latents:
        found = {n.name: n for n in list_models(packaged()) if open_model(n.path).has_latents}
        raise ConfigError(
            f"model {model.name!r} has no autoencoder and so no latents; models that have some: "
            f"{', '.join(found)}"
        )
    numeric = to_numeric(np.zeros(1, dtype))
    if numeric is None or not apply.suits(numeric.dtype):
        raise ConfigError(f"an array of dtype {dtype} has no latents; expected real numbers")
    usual = tuple(max(sizes, default=0) for sizes in chunks)
    named = axes or axes_module.default(model.axes, usual, model.geometry)
    grid = LatentGrid.of(model, axes_module.check(named, len(chunks), model.geometry))
    if grid.whole and model.autoencoder is not None:
        sides = tuple(chunks[d] for d in grid.whole)
        if sides != tuple((n,) for n in model.autoencoder.sample_shape or ()):
            raise ConfigError(
                f"model {model.name!r} takes samples of {model.autoencoder.sample_shape}, found "
                f"chunks {sides} along axes {''.join(grid.axes[d] for d in grid.whole)!r}"
            )
    return grid


def latents_of_values(codec: Codec, grid: LatentGrid, values: Array) -> Array:
    """Latents of a chunk; 0 where the model cannot take it, such as one of NaN alone."""
    try:
        latents = codec.latents(np.ascontiguousarray(values))
    except CodecError:  # there is no other reason why an array has none
        return np.zeros(grid.sizes(values.shape), grid.dtype)
    return grid.arranged(latents, values.shape)


def latents_of_chunk(codec: Codec, grid: LatentGrid, array: Any, region: Region) -> Array:
    """Latents of one chunk of a Zarr array, from its frame where that holds them."""
    if holds_chunks(array):
        inside = tuple(slice(s.stop - s.start) for s in region)  # Zarr pads chunks at the edge
        model = open_model(codec.model)
        for frame in frames_of(array, region):
            parts = unpack(frame)
            if not _has_latents(parts, model, grid.axes):
                return latents_of_values(codec, grid, Codec().decode(frame)[inside])
            latents = grid.arranged(codec.latents(frame), parts.shape)
            return latents[tuple(slice(n) for n in grid.sizes([s.stop for s in inside]))]
    return latents_of_values(codec, grid, np.asarray(array[region]))


def _has_latents(parts: Frame, model: Model, axes: str) -> bool:
    """Whether a frame holds latents of this model, in planes along these axes."""
    if parts.latent_dtype == "none" or parts.model_digest != bytes.fromhex(model.digest[:16]):
        return False
    stored, _ = read_mapping(parts.maps, numeric_dtype_of(parts))
    return axes == (stored or axes_module.default(model.axes, parts.shape, model.geometry))
