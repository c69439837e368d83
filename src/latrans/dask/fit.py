"""fit: a model for an array of any size, from random pieces of it.

Training wants variety, not volume: some hundred pieces of a terabyte say what the rest is like.
Only blocks that are drawn are computed, of each only one piece is kept, and the memory that all
of them take is known before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt

from ..batch.foreign import unmasked
from ..chunk.chunking import default_chunks
from ..codec import Codec
from ..errors import ConfigError
from ..format import axes as axes_module
from ..models.model import Model
from ..process.progress_bar import progress_bar
from . import run
from .travel import open_source

Array = npt.NDArray[Any]

HOLDOUT = 0.125  # of the pieces, measured and not trained on


@dataclass(frozen=True)
class Piece:
    """One piece of one of the arrays."""

    array: int
    region: tuple[slice, ...]

    def __str__(self) -> str:
        sides = ", ".join(f"{s.start}:{s.stop}" for s in self.region)
        return f"{self.array}[{sides}]"


@dataclass(frozen=True)
class Blocks:
    """An array seen as blocks, of which some will be drawn; nothing is read, no graph is made.

    Attributes
    ----------
    source : dask.array.Array or zarr.Array
    bounds : tuple of sequence of int
        Where blocks start along each dimension, and where the last of them stops.
    """

    source: Any
    bounds: tuple[Sequence[int], ...]

    @classmethod
    def of(cls, source: Any, axes: str | None) -> Blocks:
        source = open_source(source)
        dtype, shape = np.dtype(source.dtype), source.shape
        if dtype.kind not in "uif":
            raise ConfigError(f"training needs integers or floats, found an array of {dtype}")
        if any(math.isnan(n) for n in shape):
            raise ConfigError("an array has blocks of unknown size: compute_chunk_sizes() first")
        if isinstance(source, da.Array):
            return cls(source, tuple(np.cumsum((0, *c)).tolist() for c in source.chunks))
        # Blocks of as many whole chunks as make a piece.
        wanted = default_chunks(shape, _fitted(axes, len(shape)))
        steps = (c * max(1, w // c) for c, w in zip(source.chunks, wanted, strict=True))
        return cls(source, tuple(_Steps(n, step) for n, step in zip(shape, steps, strict=True)))

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(len(bounds) - 1 for bounds in self.bounds)

    def read(self, region: tuple[slice, ...]) -> da.Array:
        """A part of the array, to be computed."""
        if isinstance(self.source, da.Array):
            return self.source[region]
        # An array as well: `dask.compute` of 2026.8 mixes up results of arrays and of delayed.
        part = dask.delayed(_part, pure=True)(self.source, region)
        return da.from_delayed(part, [s.stop - s.start for s in region], self.source.dtype)


@dataclass(frozen=True)
class _Steps(Sequence[int]):
    """0, step, 2 step, ... n: bounds of blocks that may be too many to write down."""

    n: int
    step: int

    def __len__(self) -> int:
        return -(-self.n // self.step) + 1

    def __getitem__(self, i: Any) -> Any:
        return min(i * self.step, self.n)


def _part(source: Any, region: tuple[slice, ...]) -> Array:
    return np.asarray(unmasked(source[region]))


def fit(
    array: Any,
    recipe: Any = "image",
    *,
    samples: int = 1 << 26,
    seed: int = 0,
    name: str | None = None,
    axes: str | None = None,
    client: Any = None,
    scheduler: Any = None,
    progress: bool = True,
    **options: Any,
) -> Model:
    """Train a model on a sample of one or more Dask or Zarr arrays.

    Blocks are drawn without replacement, all with the same chance, and one piece of at most about
    a million samples is cut out of each at a random place.  The pieces are computed all together,
    by the scheduler; training then runs in this process.
    One piece in eight is kept from training and measured with the model.

    Parameters
    ----------
    array : dask.array.Array, zarr.Array, path or URL of one, or list of those
    recipe : str, path or Recipe
        As `latrans.fit` takes it.
    samples : int
        How many samples are drawn at most; their bytes are what this process holds.
    seed : int
        The same seed draws the same pieces and trains the same model.
    name : str, optional
        Of the model; the recipe's by default.
    axes : str, optional
        One letter per dimension; the recipe's by default.
    client, scheduler
        As in `latrans.dask.transcode`.
    progress : bool
        Whether to show bars on a terminal.
    **options
        Others of `latrans.fit`: `steps`, `start`.

    Returns
    -------
    Model
        Its `training` says under "sampling" which pieces were trained on ("trained"), which were
        not ("held"), both as ``array[start:stop, ...]``, and bits per sample of the latter
        ("held_bits_per_sample", None where there was one piece only or the model is lossy).

    Raises
    ------
    ConfigError
        If there is nothing to draw from, or nothing but constants and NaN.

    Examples
    --------
    >>> import dask.array as da
    >>> from latrans.dask import fit
    >>> noise = da.random.default_rng(0).integers(0, 50, (16, 64, 64), chunks=(4, 64, 64))
    >>> stack = noise.cumsum(2).astype("uint16")
    >>> model = fit(stack, "field", name="mine", samples=40_000, steps=20, progress=False)
    >>> model.training["sampling"]["held"]
    ['0[12:16, 0:64, 0:64]']
    """
    from ..train import fit as fit_arrays
    from ..train.examples import Source
    from ..train.files import Named

    axes_module.named(axes)
    several = array if isinstance(array, list | tuple) else [array]
    sources = [Blocks.of(source, axes) for source in several]
    drawn = draw(sources, samples, seed, axes)
    pieces = [sources[p.array].read(p.region) for p in drawn]
    with (
        run.connected(client, scheduler) as runner,
        progress_bar("sample", len(drawn), progress) as tell,
    ):
        values = run.values_of(runner, pieces, tell)
    told = [(p, np.ascontiguousarray(v)) for p, v in zip(drawn, values, strict=True) if _tells(v)]
    if not told:
        raise ConfigError(f"all {len(drawn)} pieces that were drawn are constant or not numbers")
    n_held = min(len(told) - 1, math.ceil(len(told) * HOLDOUT))
    held, trained = told[:n_held], told[n_held:]
    data = [Source(Named(str(p), v), axes, v.size) for p, v in trained]
    model = fit_arrays(data, recipe, axes=axes, name=name, seed=seed, progress=progress, **options)
    sampling = {
        "seed": seed,
        "arrays": [[list(s.source.shape), str(s.source.dtype)] for s in sources],
        "trained": [str(p) for p, _ in trained],
        "held": [str(p) for p, _ in held],
        "held_bits_per_sample": _measured(model, [v for _, v in held], axes),
    }
    return replace(model, training={**model.training, "sampling": sampling})


def draw(
    sources: Sequence[Blocks], samples: int, seed: int, axes: str | None = None
) -> list[Piece]:
    """Random pieces of random blocks, no block twice, of `samples` samples in all at most.

    Returns
    -------
    list of Piece
        In the order in which they were drawn; at least one, however large.
    """
    totals = [math.prod(s.counts) if 0 not in s.source.shape else 0 for s in sources]
    if not sum(totals):
        raise ConfigError("the arrays hold no samples to draw from")
    rng = np.random.default_rng(seed)
    ends = np.cumsum(totals)
    pieces: list[Piece] = []
    seen: set[int] = set()
    left = samples
    while len(seen) < ends[-1]:
        # One by one: all numbers of blocks may be too many to hold.
        number = int(rng.integers(ends[-1]))
        if number in seen:
            continue
        seen.add(number)
        which = int(np.searchsorted(ends, number, side="right"))
        source = sources[which]
        place = np.unravel_index(number - (ends[which] - totals[which]), source.counts)
        region = _cut(source, place, axes, rng)
        size = math.prod(s.stop - s.start for s in region)
        if size > left and pieces:
            break
        pieces.append(Piece(which, region))
        left -= size
    return pieces


def _cut(
    source: Blocks, place: Sequence[Any], axes: str | None, rng: np.random.Generator
) -> tuple[slice, ...]:
    """A random piece of a block."""
    starts = [bounds[int(i)] for bounds, i in zip(source.bounds, place, strict=True)]
    stops = [bounds[int(i) + 1] for bounds, i in zip(source.bounds, place, strict=True)]
    sides = [stop - start for start, stop in zip(starts, stops, strict=True)]
    wanted = default_chunks(sides, _fitted(axes, len(sides)))
    region = []
    for start, side, want in zip(starts, sides, wanted, strict=True):
        offset = start + int(rng.integers(side - want + 1))
        region.append(slice(offset, offset + want))
    return tuple(region)


def _fitted(axes: str | None, ndim: int) -> str | None:
    """Axes for an array of fewer or more dimensions than were named; None where none were."""
    return None if axes is None else axes[max(0, len(axes) - ndim) :].rjust(ndim, "n")


def _tells(values: Array) -> bool:
    """Whether a piece holds more than one value: of others there is nothing to learn."""
    finite = values[np.isfinite(values)]
    return bool(finite.size) and bool(finite.min() < finite.max())


def _measured(model: Model, held: Sequence[Array], axes: str | None) -> float | None:
    """Bits per sample of pieces that a model has not seen."""
    if not held or model.lossy_only:
        return None
    nbits = 0
    for values in held:
        named = axes if axes is not None and len(axes) == values.ndim else None
        nbits += 8 * len(Codec(model, axes=named).encode(values))
    return round(nbits / sum(v.size for v in held), 4)
