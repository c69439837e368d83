"""Image files as a source: one of them, or many of one shape and dtype as a stack.

Every file is looked at before anything is written, and one that does not agree with the first is
refused by name.  A box is read for copying by `ImageStack.__getitem__`, and for comparing by
`ImageStack.reread`, which takes whole files as their library gives them: what either does wrong
shows as a difference.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from glob import glob
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from . import tiff

Array = npt.NDArray[Any]

ATTRIBUTE = "source_files"  # of the target: names of the files, one for each plane of a stack
OTHERS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".pgm", ".ppm", ".pnm", ".jp2", ".tga")
SUFFIXES = (*tiff.SUFFIXES, *OTHERS)


def is_image(path: str) -> bool:
    """Whether a name is that of an image file."""
    return path.lower().endswith(SUFFIXES)


def natural(name: str) -> tuple[Any, ...]:
    """A key that sorts numbers in names by value: t1, t2, t10.

    Examples
    --------
    >>> sorted(["t10.tif", "t2.tif", "t1.tif"], key=natural)
    ['t1.tif', 't2.tif', 't10.tif']
    """
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


@dataclass(frozen=True)
class ImageFile:
    """One file, as it was found."""

    path: str
    size: int
    mtime_ns: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    names: tuple[str | None, ...]

    @classmethod
    def open(cls, path: Path, alone: bool) -> ImageFile:
        """Look at a file's header; a `ConfigError` names it where it cannot be read, or stands for
        other files as well and is not `alone`."""
        status, place = path.stat(), str(path.absolute())  # links keep their names
        is_tiff = place.lower().endswith(tiff.SUFFIXES)
        shape, dtype, names = tiff.described(place, alone) if is_tiff else _described(place)
        if dtype.kind not in "biufc":
            raise ConfigError(f"{path} has samples of dtype {dtype}: latrans stores numbers")
        return cls(place, status.st_size, status.st_mtime_ns, shape, dtype, names)

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def part(self, box: tuple[slice, ...]) -> Array:
        """A box of the samples."""
        if self.path.lower().endswith(tiff.SUFFIXES):
            return self._checked(tiff.part(self.path, self.shape, box), box)
        return self._checked(self._checked(_decoded(self.path))[box], box)

    def whole(self) -> Array:
        """All samples, read another way."""
        if self.path.lower().endswith(tiff.SUFFIXES):
            return self._checked(tiff.whole(self.path))
        return self._checked(_held(self.path, self.size, self.mtime_ns))

    def _checked(self, found: Array, box: tuple[slice, ...] | None = None) -> Array:
        shape = self.shape if box is None else tuple(s.stop - s.start for s in box)
        if found.shape != shape or found.dtype != self.dtype:
            raise ConfigError(
                f"{self.path} gives {found.dtype} {found.shape}, expected {self.dtype} {shape} by "
                "its header: it is damaged, or was changed meanwhile"
            )
        return found


@dataclass(frozen=True)
class ImageStack:
    """Image files that are read box by box, the first dimension counting files if `stacked`."""

    files: tuple[ImageFile, ...]
    stacked: bool

    @classmethod
    def open(cls, paths: Sequence[Path], stacked: bool) -> ImageStack:
        """Look at all files.

        Raises
        ------
        ConfigError
            If one cannot be read, or is of another shape or dtype than the first.
        """
        files = tuple(ImageFile.open(path, alone=not stacked) for path in paths)
        first = files[0]
        others = [f for f in files if (f.shape, f.dtype) != (first.shape, first.dtype)]
        if others:
            listed = ", ".join(f"{Path(f.path).name} {f.dtype} {f.shape}" for f in others[:5])
            more = f" and {len(others) - 5} more" if len(others) > 5 else ""
            raise ConfigError(
                f"images of a stack have one shape and dtype: {Path(first.path).name} is "
                f"{first.dtype} {first.shape}, but {listed}{more}. Leave out those that are "
                "meant for another array, or convert them"
            )
        try:
            first.part(tuple(slice(0, min(n, 1)) for n in first.shape))
        except (ImportError, OSError, ValueError, RuntimeError) as error:
            raise ConfigError(f"{first.path} cannot be decoded: {error}") from error
        return cls(files, stacked)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.files), *self.files[0].shape) if self.stacked else self.files[0].shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.files[0].dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes of the target."""
        return {ATTRIBUTE: self.names}

    @property
    def names(self) -> list[str]:
        """Names of the files, below the folder that holds all of them."""
        paths = [Path(file.path) for file in self.files]
        parents = [path.parents for path in paths]
        common = next(p for p in parents[0] if all(p in other for other in parents))
        return [path.relative_to(common).as_posix() for path in paths]

    @property
    def metadata(self) -> Any:
        """What is known of the dimensions, as Zarr arrays have it."""
        names = (None, *self.files[0].names) if self.stacked else self.files[0].names
        return SimpleNamespace(zarr_format=3, dimension_names=names if any(names) else None)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What tells these files from others, and from what they may become."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.path}\0{file.size}\0{file.mtime_ns}\n".encode())
        return {"place": self.files[0].path, "files": digest.hexdigest()[:16]}

    @property
    def held_nbytes(self) -> int:
        """Memory that reading takes beside the samples that are asked for."""
        return 3 * min(self.files[0].nbytes, tiff.MAPPED_NBYTES)

    def __getitem__(self, key: Any) -> Any:
        box, rest = _box(key, self.shape)
        if any(s.start == s.stop for s in box):
            return np.empty([s.stop - s.start for s in box], self.dtype)[rest]
        if not self.stacked:
            return self.files[0].part(box)[rest]
        files = self.files[box[0]]
        out = np.empty(tuple(s.stop - s.start for s in box), self.dtype)
        for i, file in enumerate(files):
            out[i] = file.part(box[1:])
        return out[rest]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self[...], dtype)

    def reread(self, block: tuple[slice, ...]) -> Array:
        """A block once more, out of whole files."""
        if not self.stacked:
            return np.array(self.files[0].whole()[block])
        return np.stack([file.whole()[block[1:]] for file in self.files[block[0]]])


def opened(spec: str) -> ImageStack | None:
    """The image, or the stack of a folder or a pattern, that a local path names; else None.

    Raises
    ------
    ConfigError
        As `found_at` and `ImageStack.open` do.
    """
    files = found_at(spec)
    if files is not None:
        return ImageStack.open(files, stacked=True)
    if is_image(spec) and not Path(spec).is_dir():
        return ImageStack.open([Path(spec)], stacked=False)
    return None


def found_at(spec: str) -> list[Path] | None:
    """The image files that a pattern, or a folder that is not a Zarr store, stands for; in natural
    order.  None where it is neither.

    Raises
    ------
    ConfigError
        If a pattern finds nothing, or something that is not an image.
    """
    path = Path(spec)
    if path.is_dir():
        if any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup")):
            return None
        files = [entry for entry in path.iterdir() if is_image(entry.name)]
        files = [entry for entry in files if not entry.name.startswith(".")]
        return sorted(files, key=lambda entry: natural(entry.name)) or None
    if path.exists() or not any(letter in spec for letter in "*?["):
        return None
    files = sorted(map(Path, glob(spec, recursive=True)), key=lambda entry: natural(str(entry)))
    if not files:
        raise ConfigError(f"No files found that match {spec}")
    for entry in files:
        if not (is_image(entry.name) and entry.is_file()):
            raise ConfigError(
                f"{spec} matches {entry}, which is not an image: a pattern stands for images, "
                f"whose names end in {', '.join(SUFFIXES)}"
            )
    return files


def _box(key: Any, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[Any, ...]]:
    """The box that indices and slices lie in, and what is left to do with its samples."""
    given = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in given:
        at = given.index(Ellipsis)
        given[at : at + 1] = [slice(None)] * (len(shape) - len(given) + 1)
    given += [slice(None)] * (len(shape) - len(given))
    box: list[slice] = []
    rest: list[slice | int] = []
    for one, n in zip(given, shape, strict=True):
        if isinstance(one, slice):
            wanted = range(*one.indices(n))
            low = min(wanted, default=0)
            box.append(slice(low, max(wanted, default=-1) + 1))
            rest.append(slice(None, None, wanted.step))
        else:
            at = range(n)[int(one)]
            box.append(slice(at, at + 1))
            rest.append(0)
    return tuple(box), tuple(rest)


def _described(path: str) -> tuple[tuple[int, ...], np.dtype[Any], tuple[str | None, ...]]:
    """Shape, dtype and names of dimensions by the header of a file that is not a TIFF."""
    try:
        found = _imageio().improps(path)
    except (OSError, ValueError, SyntaxError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read as an image: {error}") from error
    shape, dtype = tuple(int(n) for n in found.shape), np.dtype(found.dtype)
    frames: tuple[str | None, ...] = (None,) if found.is_batch else ()
    colours = ("c",) if len(shape) - len(frames) == 3 else ()
    return shape, dtype.newbyteorder("="), (*frames, "y", "x", *colours)


def _decoded(path: str) -> Array:
    found = np.asarray(_imageio().imread(path))
    return np.asarray(found, found.dtype.newbyteorder("="))


@lru_cache(maxsize=2)
def _held(path: str, size: int, mtime_ns: int) -> Array:
    del size, mtime_ns  # they only tell one state of a file from another
    return _decoded(path)


def _imageio() -> Any:
    try:
        import imageio.v3 as imageio
    except ImportError as error:
        raise ConfigError("reading images needs imageio: pip install 'latrans[images]'") from error
    return imageio
