"""Training data: patches of arrays in memory, files and Zarr, never all of it at once.

A source opens whatever it is given (see `files.open_arrays`) and hands out random patches, drawn
from a seeded generator, and whole planes, one at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from .files import ArrayLike, Named, open_arrays

Array = npt.NDArray[Any]

_HASH_NBYTES = 1 << 24


@dataclass(frozen=True)
class ManifestEntry:
    """What a model records about one array that it was trained on."""

    name: str
    sha256: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class _Plane:
    """Where one plane lies: its array, the index of every other axis, and its extent."""

    array: int
    others: tuple[int, ...]
    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]


class PatchSource:
    """Planes of one or more arrays.

    Parameters
    ----------
    data : array, path, or list of those
        NumPy, Zarr or HDF5 arrays; paths of .npy, .npz, idx (also .gz) files or Zarr stores.
    axes : str
        One letter per dimension.  Where an array has more dimensions, its leading ones are
        independent items; where it has fewer, letters that are not spatial are left out.
    geometry : {"plane", "track"}
        A plane spans the axes y and x; a track spans the axis t and has one row.

    Raises
    ------
    ConfigError
        If the data cannot be read or has no such axes.

    Examples
    --------
    >>> import numpy as np
    >>> from latrans.train.data import PatchSource
    >>> source = PatchSource(np.zeros((5, 28, 28), np.uint8), "nyx")
    >>> source.sample(np.random.default_rng(0), 3, (8, 8)).shape
    (3, 8, 8)
    """

    def __init__(self, data: Any, axes: str = "yx", geometry: str = "plane") -> None:
        self.geometry = geometry
        self._arrays = [_Oriented(named, axes, geometry) for named in open_arrays(data)]
        self._planes = [
            _Plane(number, others, 0, array.shape[0], 0, array.shape[1])
            for number, array in enumerate(self._arrays)
            for others in np.ndindex(array.other_sizes)
        ]
        if not self.n_samples:
            raise ConfigError("training data holds no samples; expected at least one")

    @classmethod
    def join(cls, sources: Sequence[PatchSource]) -> PatchSource:
        """One source of all planes of several, whose arrays may have different axes."""
        joined = object.__new__(cls)
        joined.geometry, joined._arrays, joined._planes = sources[0].geometry, [], []
        for source in sources:
            if source.geometry != joined.geometry:
                raise ConfigError("sources of planes and of tracks cannot be joined")
            offset = len(joined._arrays)
            joined._arrays += source._arrays
            joined._planes += [replace(p, array=p.array + offset) for p in source._planes]
        return joined

    def __len__(self) -> int:
        """Number of planes."""
        return len(self._planes)

    @property
    def n_samples(self) -> int:
        return sum(plane.size for plane in self._planes)

    @property
    def dtypes(self) -> list[np.dtype[Any]]:
        """Different dtypes of the arrays."""
        return sorted({np.dtype(a.named.array.dtype) for a in self._arrays}, key=str)

    @property
    def plane_shapes(self) -> list[tuple[int, int]]:
        """Different shapes of the planes."""
        return sorted({plane.shape for plane in self._planes})

    def sample(self, rng: np.random.Generator, n: int, size: tuple[int, int]) -> Array:
        """Random patches, (n, rows, columns), of the arrays' common dtype.

        Planes are drawn by their number of samples, positions evenly; a plane that is smaller
        than `size` is continued by its border.
        """
        weights = np.array([plane.size for plane in self._planes], np.float64)
        chosen = rng.choice(len(weights), n, p=weights / weights.sum())
        corners = rng.random((n, 2))
        out = np.empty((n, *size), np.result_type(*self.dtypes))
        # In the order of storage, so that neighbours are read from the same chunk.
        for k in np.argsort(chosen, kind="stable"):
            plane = self._planes[chosen[k]]
            shape = np.array(plane.shape)
            top, left = (corners[k] * (np.maximum(0, shape - size) + 1)).astype(int)
            patch = self._read(plane, top, top + size[0], left, left + size[1])
            missing = np.array(size) - patch.shape
            out[k] = np.pad(patch, [(0, m) for m in missing], "edge") if missing.any() else patch
        return out

    def take(self, numbers: Sequence[int]) -> Array:
        """Planes by number, (n, rows, columns); they must have one shape."""
        planes = [self._planes[k] for k in numbers]
        if len({plane.shape for plane in planes}) != 1:
            raise ConfigError(f"planes have shapes {self.plane_shapes}; expected one shape")
        return np.stack([self._read(p, 0, p.shape[0], 0, p.shape[1]) for p in planes])

    def planes(self, max_side: int = 2048) -> Iterator[Array]:
        """All planes in order, (rows, columns) each, larger ones in tiles.

        A tile has at most `max_side` squared samples, so memory stays bounded.
        """
        for plane in self._planes:
            height, width = plane.shape
            columns = max_side if height > 1 else max_side * max_side
            for top in range(0, height, max_side):
                for left in range(0, width, columns):
                    yield self._read(plane, top, top + max_side, left, left + columns)

    def split(self, fraction: float, seed: int = 0) -> tuple[PatchSource, PatchSource]:
        """Two sources without a common sample; the second has about `fraction` of them.

        Whole planes where there are enough, otherwise the last rows (of tracks: the last
        samples) of each.
        """
        n_held = round(len(self) * fraction)
        if 0 < n_held < len(self):
            held = set(np.random.default_rng(seed).permutation(len(self))[:n_held].tolist())
            first = [p for k, p in enumerate(self._planes) if k not in held]
            return self._with(first), self._with([self._planes[k] for k in sorted(held)])
        first, second = [], []
        for p in self._planes:
            if self.geometry == "track":
                cut = p.right - round(p.shape[1] * fraction)
                first.append(replace(p, right=cut))
                second.append(replace(p, left=cut))
            else:
                cut = p.bottom - round(p.shape[0] * fraction)
                first.append(replace(p, bottom=cut))
                second.append(replace(p, top=cut))
        return self._with(first), self._with(second)

    def manifest(self) -> list[ManifestEntry]:
        """Name, SHA-256 (of the file, or of the values in C order), shape, dtype of each array."""
        return [
            ManifestEntry(
                named.name,
                _sha256(named),
                tuple(named.array.shape),
                np.dtype(named.array.dtype).str,
            )
            for named in (a.named for a in self._arrays)
        ]

    def _read(self, plane: _Plane, top: int, bottom: int, left: int, right: int) -> Array:
        rows = slice(plane.top + top, min(plane.top + bottom, plane.bottom))
        columns = slice(plane.left + left, min(plane.left + right, plane.right))
        return self._arrays[plane.array].read(plane.others, rows, columns)

    def _with(self, planes: list[_Plane]) -> PatchSource:
        other = object.__new__(PatchSource)
        other.geometry, other._arrays = self.geometry, self._arrays
        other._planes = [plane for plane in planes if plane.size]
        return other


class _Oriented:
    """An array seen as planes: which dimensions span one, and which count them."""

    def __init__(self, named: Named, axes: str, geometry: str) -> None:
        spatial = "yx" if geometry == "plane" else "t"
        self.named = named
        ndim = len(named.array.shape)
        while len(axes) > ndim and set(axes) - set(spatial):
            axes = axes.replace(next(a for a in axes if a not in spatial), "", 1)
        axes = axes.rjust(ndim, "n")
        if len(axes) > ndim or not set(spatial) <= set(axes):
            raise ConfigError(
                f"training array {named.name!r} has shape {tuple(named.array.shape)} and axes "
                f"{axes!r}; expected axes {' and '.join(spatial)}"
            )
        self._spatial = [axes.index(a) for a in spatial]
        self._others = [k for k in range(ndim) if k not in self._spatial]
        sizes = tuple(int(named.array.shape[k]) for k in self._spatial)
        self.shape = sizes if geometry == "plane" else (1, *sizes)
        self.other_sizes = tuple(int(named.array.shape[k]) for k in self._others)
        self._cached: tuple[tuple[slice, ...], Array] | None = None

    def read(self, others: tuple[int, ...], rows: slice, columns: slice) -> Array:
        """One patch, (rows, columns)."""
        key: list[slice] = [slice(None)] * (len(others) + len(self._spatial))
        for k, index in zip(self._others, others, strict=True):
            key[k] = slice(index, index + 1)
        for k, part in zip(self._spatial[::-1], (columns, rows), strict=False):
            key[k] = part
        values = self._fetch(key).transpose(*self._others, *self._spatial)
        return values.reshape(rows.stop - rows.start, columns.stop - columns.start)

    def _fetch(self, key: list[slice]) -> Array:
        array, chunks = self.named.array, _chunks(self.named.array)
        if not chunks:
            return np.asarray(array[tuple(key)])
        # Whole chunks, kept until another is needed: small patches of one chunk decode it once.
        whole = tuple(
            slice(k.start // c * c, min(-(-k.stop // c) * c, n))
            for k, c, n in zip(key, chunks, array.shape, strict=True)
        )
        if self._cached is None or self._cached[0] != whole:
            self._cached = (whole, np.asarray(array[whole]))
        inner = (
            slice(k.start - w.start, k.stop - w.start) for k, w in zip(key, whole, strict=True)
        )
        return self._cached[1][tuple(inner)]


def _chunks(array: ArrayLike) -> tuple[int, ...]:
    """Regular chunk sizes, of Zarr and HDF5 arrays; empty for others."""
    chunks = getattr(array, "chunks", None) or ()
    return tuple(chunks) if all(isinstance(c, int) for c in chunks) else ()


def _sha256(named: Named) -> str:
    digest = hashlib.sha256()
    if named.file is not None:
        with named.file.open("rb") as stream:
            while data := stream.read(_HASH_NBYTES):
                digest.update(data)
        return digest.hexdigest()
    for block in _blocks(named.array):
        digest.update(block.tobytes())
    return digest.hexdigest()


def _blocks(array: ArrayLike) -> Iterator[Array]:
    """All values in C order, by ranges of the first axis that follow the chunks."""
    if not array.shape:
        yield np.asarray(array[()])
        return
    item_nbytes = np.dtype(array.dtype).itemsize * int(np.prod(array.shape[1:], dtype=np.int64))
    step = max(1, _HASH_NBYTES // max(1, item_nbytes))
    if chunks := _chunks(array):
        step = -(-step // chunks[0]) * chunks[0]
    for start in range(0, array.shape[0], step):
        yield np.asarray(array[start : start + step])
