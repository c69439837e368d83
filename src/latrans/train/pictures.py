"""Pictures to learn a lossy model from: crops at many sizes, sharpnesses and noise levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..coding.fixed_point import Ints
from .examples import Source, Stack
from .files import open_arrays

PATCH = 256
_LARGEST = 1 << 24  # of integers that are taken as they are
_OCTAVES = (-1.5, 4.5)  # of the step above the mean difference of neighbouring samples


@dataclass(frozen=True)
class Picture:
    """Planes (1 or 3, rows, columns) and a quantisation step in their unit."""

    planes: Ints
    step: float


class PictureSampler:
    """Draws pictures from sources, colours together where an array has three."""

    def __init__(self, sources: Sequence[Source], axes: str, augment: bool) -> None:
        self._augment = augment
        self._stacks: list[Stack] = []
        weights: list[float] = []
        for source in sources:
            arrays = open_arrays(source.data)
            for named in arrays:
                self._stacks.append(Stack(named, source.axes or axes, "plane"))
                weights.append(source.weight / len(arrays))
        self._weights = np.array(weights) / sum(weights)

    def draw(self, rng: np.random.Generator) -> Picture:
        """One random picture, at a random step."""
        stack = self._stacks[int(rng.choice(len(self._stacks), p=self._weights))]
        smaller = int(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])) if self._augment else 1
        smaller = min(smaller, *stack.layout.shape)
        planes = self._crop(stack, rng, smaller)
        if self._augment:
            planes = _augmented(planes, smaller, rng)
        if min(planes.shape[1:]) < 2:  # a line has no neighbours on one side
            return Picture(planes, 1.0)
        activity = np.abs(np.diff(planes)).mean() + np.abs(np.diff(planes, axis=1)).mean()
        step = max(0.5, float(activity) / 2) * 2 ** rng.uniform(*_OCTAVES)
        return Picture(planes, step)

    def _crop(self, stack: Stack, rng: np.random.Generator, smaller: int) -> Ints:
        layout = stack.layout
        index = int(rng.integers(layout.n_planes))
        windows = []
        for n in layout.shape:
            length = min(PATCH * smaller, n)
            start = int(rng.integers(n - length + 1))
            windows.append(slice(start, start + length))
        colours = stack.n_channels == 3 and stack.dtype == np.uint8 and rng.random() < 0.6
        numbers = range(index // 3 * 3, index // 3 * 3 + 3) if colours else (index,)
        planes = np.stack([stack.read(i, *windows) for i in numbers]).astype(np.float64)
        valid = planes[np.isfinite(planes)]
        low, high = (valid.min(), valid.max()) if valid.size else (0.0, 0.0)
        if stack.dtype.kind == "f" or max(-low, high) > _LARGEST:  # as the codec maps fields
            planes = np.where(np.isfinite(planes), planes, low) - low
            planes *= 16384 / max(high - low, 1e-30)
        return np.rint(planes).astype(np.int64)


def _augmented(planes: Ints, smaller: int, rng: np.random.Generator) -> Ints:
    if smaller > 1:
        rows, columns = (n // smaller * smaller for n in planes.shape[1:])
        cells = planes[:, :rows, :columns].reshape(
            len(planes), rows // smaller, smaller, columns // smaller, smaller
        )
        planes = np.rint(cells.mean((2, 4))).astype(np.int64)
    if rng.random() < 0.5:
        planes = planes.transpose(0, 2, 1)
    planes = planes[:, :: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
    if rng.random() < 0.25:
        spread = float(planes.std()) * 2 ** rng.uniform(-5, -0.5)
        planes = np.rint(planes + spread * rng.normal(size=planes.shape)).astype(np.int64)
    return np.ascontiguousarray(planes)
