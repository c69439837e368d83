"""Examples: random pieces of training data, as the coder would meet them.

A piece goes through the same axes and value maps as a chunk does, and brings the planes that it
could refer to.  Augmentation changes what should not matter to a general model: orientation, bit
depth, noise, sharpness.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..chunk.pieces import arrange, likest
from ..coding.fixed_point import Ints
from ..errors import ConfigError
from ..format import axes as axes_module
from ..maps import apply
from ..maps import mask as masks
from ..maps.estimate import cheapest
from ..residual.coder import STEP
from .files import Named, open_arrays
from .rows import Example, as_track

Array = npt.NDArray[Any]

PATCH = 256
_REACH = 4  # planes read as candidates for references, along each axis
_TRACK_LENGTHS = (65536, 16384, 16384, 8192)


@dataclass(frozen=True)
class Source:
    """Training data with its own axes.

    Attributes
    ----------
    data : array, path, or list of those
    axes : str or None
        One letter per dimension; the recipe's by default.
    weight : float
        How often pieces are drawn from it.
    """

    data: Any
    axes: str | None = None
    weight: float = 1.0


class Sampler:
    """Draws examples from sources."""

    def __init__(
        self, sources: Sequence[Source], axes: str, geometry: str, augment: bool, identity: bool
    ) -> None:
        self.geometry = geometry
        self.augment = augment
        self.identity = identity
        self._bounded_share = 0.6 if geometry == "plane" else 0.2
        self._stacks: list[Stack] = []
        weights: list[float] = []
        for source in sources:
            arrays = open_arrays(source.data)
            for named in arrays:
                self._stacks.append(Stack(named, source.axes or axes, geometry))
                weights.append(source.weight / len(arrays))
        self._weights = np.array(weights) / sum(weights)

    def draw(self, rng: np.random.Generator) -> Example:
        """One random piece."""
        stack = self._stacks[int(rng.choice(len(self._stacks), p=self._weights))]
        if self.geometry == "track":
            return self._track(stack, rng)
        return self._plane(stack, rng)

    def _plane(self, stack: Stack, rng: np.random.Generator) -> Example:
        layout = stack.layout
        index = int(rng.integers(layout.n_planes))
        step = 1
        if stack.n_channels == 3 and stack.dtype.kind in "iu":
            whole = self._colours(stack, index // 3 * 3, rng)
            position = int(rng.integers(3))
            chosen, before = whole[position], likest(whole[position], whole[:position])
        else:
            distances = [d for axis in layout.neighbours(index) for d in axis[:_REACH]]
            window = _window(layout.shape, PATCH, rng)
            planes = [stack.read(index - d, *window) for d in [0, *distances]]
            mapped, step = self._mapped(np.stack(planes), rng)
            chosen, before = mapped[0], likest(mapped[0], list(mapped[1:]))[:2]
        if self.augment and not self.identity:
            degrade = stack.dtype.kind in "iu" and stack.n_channels != 3
            chosen, *before = _augmented([chosen, *before], rng, degrade)
        return Example(
            np.ascontiguousarray(chosen), tuple(map(np.ascontiguousarray, before)), step=step
        )

    def _colours(self, stack: Stack, first: int, rng: np.random.Generator) -> list[Ints]:
        """Green, and red and blue minus it; at half the size, noisy or smooth now and then."""
        shrink = self.augment and not self.identity and rng.random() < 0.3
        window = _window(stack.layout.shape, PATCH * (1 + shrink), rng)
        planes = [stack.read(first + i, *window).astype(np.int64) for i in (1, 0, 2)]
        if shrink:
            planes = [_halved(p) for p in planes]
        if self.augment and not self.identity:
            choice, top = rng.random(), int(np.max(planes))
            if choice < 0.1:
                planes = [np.rint(_blurred(p)).astype(np.int64) for p in planes]
            elif choice < 0.25:
                noise = rng.uniform(0.5, 3)
                planes = [np.rint(p + noise * rng.normal(size=p.shape)) for p in planes]
                planes = [np.clip(p, 0, top).astype(np.int64) for p in planes]
        if self.identity or rng.random() < 0.15:
            return planes
        return [planes[0], planes[1] - planes[0], planes[2] - planes[0]]

    def _track(self, stack: Stack, rng: np.random.Generator) -> Example:
        layout = stack.layout
        total = layout.shape[1]
        length = min(total, int(rng.choice(_TRACK_LENGTHS)))
        start = int(rng.integers(total - length + 1))
        window = (slice(0, 1), slice(start, start + length))
        channels = stack.n_channels
        item = int(rng.integers(layout.n_planes // channels)) * channels
        wanted = item + int(rng.integers(channels))
        first = max(item, wanted - 16)
        tracks = [stack.read(i, *window) for i in range(first, wanted + 1)]
        mapped = np.stack([self._mapped(t[None], rng)[0][0] for t in tracks])
        plan = arrange("track", stack.layout_of(len(tracks), length), mapped.shape, mapped)
        distances = plan.infos[-1].candidates[-1][:2] if plan.infos[-1].candidates else ()
        runs = [mapped[len(tracks) - 1 - d, 0] for d in (0, *distances)]
        if self.augment and rng.random() < 0.3:
            runs = [r.astype(np.int64) for r in runs]  # what is unsigned has no negative
            runs = [r * -1 if rng.random() < 0.5 else r >> int(rng.integers(1, 3)) for r in runs]
        lanes = [as_track(r[:65536]) for r in runs]
        return Example(lanes[0], tuple(lanes[1:]))

    def _mapped(self, planes: Array, rng: np.random.Generator) -> tuple[Ints, int]:
        """Planes as integers, by one of the maps a codec might choose, and the coder's step."""
        if self.identity:
            return planes.astype(np.int64), 1
        if planes.dtype.kind == "f":
            finite = planes[np.isfinite(planes)]
            span = float(finite.max()) - float(finite.min()) if finite.size else 0.0
            if rng.random() < self._bounded_share and span > 0:
                step = STEP if rng.random() < 0.4 else 1
                mapped = apply.bounded(planes, span * 10 ** rng.uniform(-5, -1.7) / step, None)
                if mapped is not None:
                    return mapped.integers, step
        exact = _exactly(planes)
        if exact is None and planes.dtype.itemsize == 8 and planes.dtype.kind == "f":
            exact = _exactly(planes.astype(np.float32))  # all bits of a double have no map
        if exact is None:
            raise ConfigError(
                f"training data of dtype {planes.dtype} has no map to 32-bit integers"
            )
        return exact, 1


class Stack:
    """An array seen as planes, read piece by piece."""

    def __init__(self, named: Named, axes: str, geometry: str) -> None:
        self.array = named.array
        self.dtype = np.dtype(named.array.dtype)
        shape = tuple(int(n) for n in named.array.shape)
        while len(axes) > len(shape) and axes[0] not in "yxt":
            axes = axes[1:]
        axes = axes.rjust(len(shape), "n")
        try:
            self.axes = axes_module.check(axes, len(shape), geometry)
        except ConfigError as error:  # of a group, coordinates are among the arrays
            raise ConfigError(f"training array {named.name!r}: {error}") from error
        self.layout = axes_module.layout(self.axes, shape, geometry)
        self._geometry = geometry
        self._whole = np.asarray(self.array) if isinstance(self.array, np.ndarray) else None

    @property
    def n_channels(self) -> int:
        layout = self.layout
        last = layout.order[len(layout.counts) - 1] if layout.counts else -1
        return layout.counts[-1] if layout.counts and self.axes[last] == "c" else 1

    def layout_of(self, channels: int, length: int) -> axes_module.Layout:
        """Layout of a few channels cut out of this array."""
        return axes_module.layout("ct", (channels, length), "track")

    def read(self, index: int, rows: slice, columns: slice) -> Array:
        """Part of plane `index`, (rows, columns)."""
        layout = self.layout
        place = np.unravel_index(index, layout.counts) if layout.counts else ()
        key: list[Any] = [slice(None)] * len(self.axes)
        for dimension, position in zip(layout.order, place, strict=False):
            key[dimension] = slice(int(position), int(position) + 1)
        inner = layout.order[len(layout.counts) :]
        for dimension, part in zip(inner, (rows, columns)[-len(inner) :], strict=True):
            key[dimension] = part
        piece = np.asarray(self.array[tuple(key)])
        return piece.transpose(layout.order).reshape(
            1 if len(inner) == 1 else rows.stop - rows.start, columns.stop - columns.start
        )


def _augmented(planes: list[Ints], rng: np.random.Generator, degrade: bool) -> list[Ints]:
    """The same change for a plane and its references."""
    if rng.random() < 0.5:
        planes = [p.T for p in planes]
    flips = rng.random(2) < 0.5
    planes = [p[:: -1 if flips[0] else 1, :: -1 if flips[1] else 1] for p in planes]
    choice = rng.random()
    if not degrade or choice < 0.5:
        return planes
    if choice < 0.6:
        bits = int(rng.integers(1, 4))
        return [p >> bits for p in planes]
    if choice < 0.75:  # smoother, at another depth
        gain = float(rng.choice([1, 2, 8, 32]))
        noise = rng.uniform(0, 2)
        return [
            np.rint(_blurred(p) * gain + noise * rng.normal(size=p.shape)).astype(np.int64)
            for p in planes
        ]
    if choice < 0.9:
        scale = np.maximum(0, np.stack(planes)).mean() ** 0.5 * rng.uniform(0.02, 0.3)
        return [np.rint(p + scale * rng.normal(size=p.shape)).astype(np.int64) for p in planes]
    gain = int(rng.integers(2, 9))
    return [p * gain + rng.integers(0, gain, p.shape) for p in planes]


def _exactly(planes: Array) -> Ints | None:
    """Planes by the lossless map that a codec would choose; None if it would store them as is."""
    values = masks.hide(planes, masks.find(planes, None, exact=True))
    map_ = cheapest(values).map_
    mapped = None if map_ is None else apply.apply(map_, values)
    return None if mapped is None or apply.is_stored(mapped.section) else mapped.integers


def _window(shape: tuple[int, int], size: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """A random square of a plane, or all of it."""
    sides = [min(size, n) for n in shape]
    starts = [int(rng.integers(n - side + 1)) for n, side in zip(shape, sides, strict=True)]
    rows, columns = (slice(a, a + side) for a, side in zip(starts, sides, strict=True))
    return rows, columns


def _halved(plane: Ints) -> Ints:
    """Means of two by two samples."""
    rows, columns = (n // 2 * 2 for n in plane.shape)
    even = plane[:rows, :columns]
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2] + 2) >> 2


def _blurred(plane: Ints) -> npt.NDArray[np.float64]:
    padded = np.pad(plane.astype(np.float64), 1, "edge")
    rows = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4


def as_sources(data: Any) -> list[Source]:
    """Sources from whatever `latrans.fit` was given."""
    if isinstance(data, Source):
        return [data]
    if isinstance(data, (list, tuple)) and not isinstance(data, (str, os.PathLike)):
        return [d if isinstance(d, Source) else Source(d) for d in data]
    return [Source(data)]
