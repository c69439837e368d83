"""Batches for autoencoders: the integers that their programs will see, freshly varied.

A pool of samples is read at a time and drawn from many times, so that large files are read in
runs and small ones once.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from ..models.autoencoder import normalise, plane_statistics
from .data import Array, PatchSource
from .recipe import AutoencoderRecipe, Recipe

Batch = npt.NDArray[np.float32]  # (n, rows, columns), integers

_POOL_SAMPLES = 1 << 26  # of a dense pool, one byte each
_POOL_PATCHES = 64
# Planes are normalised as a whole: here over pieces so many times as long as those trained on.
_SPREAD, _TRACK_SPREAD = 4, 16


class TrainingBatches(Protocol):
    """Draws batches; `refill` reads another pool."""

    def refill(self, rng: np.random.Generator) -> None: ...
    def draw(self, rng: np.random.Generator, n: int) -> Batch: ...
    def fixed(self) -> Batch:
        """The same batch every time, without variation: for evaluation."""
        ...


def batches(recipe: Recipe, network: AutoencoderRecipe, source: PatchSource) -> TrainingBatches:
    """Batches that fit the recipe's autoencoder.

    Raises
    ------
    ConfigError
        If the data do not have the shape or dtype that the autoencoder takes.
    """
    if network.family != "dense":
        return _Patches(source, recipe.training.patch, network.family == "conv1d")
    height, width = network.sample_shape
    if source.plane_shapes != [(height, width)] or source.dtypes != [np.dtype(np.uint8)]:
        raise ConfigError(
            f"recipe {recipe.name!r} takes uint8 samples of {height} x {width}; the data has "
            f"{', '.join(map(str, source.dtypes))} of {source.plane_shapes}"
        )
    return _Samples(source, recipe.training.shift)


class _Samples:
    """Whole planes of one size, shifted by a few pixels."""

    def __init__(self, source: PatchSource, shift: int) -> None:
        self._source, self._shift = source, shift
        self._capacity = max(1, _POOL_SAMPLES // int(np.prod(source.plane_shapes[0])))
        self._pool = source.take(range(min(self._capacity, len(source))))

    def refill(self, rng: np.random.Generator) -> None:
        if len(self._source) > self._capacity:
            numbers = rng.choice(len(self._source), self._capacity, replace=False)
            self._pool = self._source.take(np.sort(numbers).tolist())

    def draw(self, rng: np.random.Generator, n: int) -> Batch:
        x = self._pool[rng.integers(len(self._pool), size=n)]
        if self._shift:
            height, width = x.shape[1:]
            padded = np.pad(x, [(0, 0)] + [(self._shift, self._shift)] * 2)
            corners = rng.integers(2 * self._shift + 1, size=(2, n, 1, 1))
            rows = corners[0] + np.arange(height)[:, None]
            x = padded[np.arange(n)[:, None, None], rows, corners[1] + np.arange(width)]
        return x.astype(np.float32)

    def fixed(self) -> Batch:
        return self._pool[:4096].astype(np.float32)


class _Patches:
    """Normalised pieces of planes or tracks, mirrored and turned."""

    def __init__(self, source: PatchSource, patch: int, track: bool) -> None:
        shapes = np.array(source.plane_shapes)
        wide = np.minimum(patch * (_TRACK_SPREAD if track else _SPREAD), shapes.max(0))
        self._source, self._track = source, track
        self._wide = (1, int(wide[1])) if track else (int(wide[0]), int(wide[1]))
        self._size = (min(patch, self._wide[0]), min(patch, self._wide[1]))
        self._pool = self._read(np.random.default_rng(0), 1)

    def refill(self, rng: np.random.Generator) -> None:
        self._pool = self._read(rng, _POOL_PATCHES)

    def draw(self, rng: np.random.Generator, n: int) -> Batch:
        (height, width), (rows, columns) = self._size, self._wide
        out = np.empty((n, height, width), np.float32)
        for k in range(n):
            top, left = rng.integers(rows - height + 1), rng.integers(columns - width + 1)
            patch = self._pool[rng.integers(len(self._pool))]
            patch = patch[top : top + height, left : left + width]
            turns = rng.integers(8)
            if turns & 1:
                patch = patch[:, ::-1]
            if turns & 2:
                patch = patch[::-1]
            if turns & 4:
                patch = patch.T if height == width else -patch if self._track else patch
            out[k] = patch
        return out

    def fixed(self) -> Batch:
        rng = np.random.default_rng(0)
        self.refill(rng)
        (height, width), pool = self._size, self._pool
        return pool[:, :height, :width].astype(np.float32)

    def _read(self, rng: np.random.Generator, n: int) -> npt.NDArray[np.int8]:
        raw = self._source.sample(rng, n, self._wide)
        patches = [_as_integers(patch) for patch in raw]
        statistics = np.array([plane_statistics(patch) for patch in patches])
        return normalise(np.stack(patches), statistics).astype(np.int8)


def _as_integers(patch: Array) -> npt.NDArray[np.int32]:
    """Any numbers as int32 with the same appearance: what normalisation makes of them is alike."""
    if patch.dtype.kind in "ui" and patch.dtype.itemsize <= 2:
        return patch.astype(np.int32)
    values = patch.astype(np.float64)
    finite = np.isfinite(values)
    middle = float(values[finite].mean()) if finite.any() else 0.0
    values = np.where(finite, values, middle) - middle
    largest = float(np.abs(values).max()) or 1.0
    scaled: npt.NDArray[np.int32] = np.rint(values * ((1 << 20) / largest)).astype(np.int32)
    return scaled
