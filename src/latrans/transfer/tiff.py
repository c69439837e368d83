"""TIFF files: what is in one, and its samples by two ways that share no code of this library.

`part` reads a box: it maps what is stored without compression, else decodes the pages, or of large
pages the tiles and strips, that the box touches.  `whole` is what tifffile itself makes of the
file, and is there to hold the first against.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError

Array = npt.NDArray[Any]
Box = tuple[slice, ...]

SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".lsm")
MAPPED_NBYTES = 1 << 28  # what is decoded as a whole and is larger goes to a temporary file
LARGE_NBYTES = 1 << 26  # pages that are larger are not decoded for a part of them


def described(
    path: str, alone: bool = True
) -> tuple[tuple[int, ...], np.dtype[Any], tuple[str | None, ...]]:
    """Shape, dtype and names of dimensions (None where unknown) of the image in a file.

    Pages of one shape and dtype are planes of it, whatever their number; axes of OME-TIFF and
    ImageJ are known by name.

    Raises
    ------
    ConfigError
        If the file is damaged, holds several images that differ, or is one of the files of an
        OME-TIFF, which stands for all of them, and is not `alone`.
    """
    tifffile = _tifffile()
    try:
        with tifffile.TiffFile(path) as tif:
            series = list(tif.series)
            if not series:
                raise ConfigError(f"{path} holds no image")
            if any(page is None for one in series for page in one.pages):
                raise ConfigError(
                    f"{path} is an OME-TIFF of several files, some of which are missing"
                )
            if not alone and any(one.is_multifile for one in series):
                raise ConfigError(
                    f"{path} is part of an OME-TIFF of several files, each of which stands for all "
                    "of it: name one of them"
                )
            found = {(tuple(one.shape), np.dtype(one.dtype), one.axes) for one in series}
    except (tifffile.TiffFileError, ValueError, IndexError, KeyError, TypeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path} cannot be read as a TIFF file: {error}") from error
    if len(found) > 1:
        shapes = ", ".join(f"{dtype} {shape}" for shape, dtype, _ in sorted(found, key=str))
        raise ConfigError(
            f"{path} holds {len(series)} images that differ ({shapes}): give the one that is meant "
            "as an array, by tifffile.imread(path, series=0)"
        )
    shape, dtype, axes = found.pop()
    names = _names(axes)
    if len(series) > 1:
        shape, names = (len(series), *shape), (None, *names)
    return shape, dtype.newbyteorder("="), names


def part(path: str, shape: tuple[int, ...], box: Box) -> Array:
    """The samples of a box, whose slices have a start and a stop; shape is that of `described`."""
    with _tifffile().TiffFile(path) as tif:
        series = list(tif.series)
        first = series[0]
        if len(series) == 1 and first.dataoffset is not None and not first.is_multifile:
            dtype = np.dtype(first.dtype).newbyteorder(tif.byteorder)
            mapped = np.memmap(path, dtype, "r", first.dataoffset, tuple(first.shape))
            return np.array(mapped[box], dtype.newbyteorder("="))
        pages = [page for one in series for page in one.pages]
        n_inner = len(first.keyframe.shape)
        outer, inner = shape[: len(shape) - n_inner], shape[len(shape) - n_inner :]
        if math.prod(outer) != len(pages) or inner != tuple(first.keyframe.shape):
            return np.asarray(_whole(path, *_state(path))[box])
        planes = [
            _plane(pages[np.ravel_multi_index(where, outer) if outer else 0], box[len(outer) :])
            for where in itertools.product(*(range(s.start, s.stop) for s in box[: len(outer)]))
        ]
        return np.asarray(planes).reshape([s.stop - s.start for s in box])


def whole(path: str) -> Array:
    """All samples as tifffile gives them, mapped where there are many."""
    return _whole(path, *_state(path))


@lru_cache(maxsize=2)
def _whole(path: str, size: int, mtime_ns: int) -> Array:
    del size, mtime_ns  # they only tell one state of a file from another
    with _tifffile().TiffFile(path) as tif:
        large = sum(one.nbytes for one in tif.series) > MAPPED_NBYTES
        parts = [one.asarray(out="memmap" if large else None) for one in tif.series]
    found = parts[0] if len(parts) == 1 else np.stack(parts)
    return np.asarray(found, found.dtype.newbyteorder("="))


def _plane(page: Any, box: Box) -> Array:
    """A box of one page; of a large one, from those tiles or strips that it touches."""
    page = page.aspage()
    file = page.parent.filehandle
    if file.closed:  # of another file of an OME-TIFF; closed with the first
        file.open()
    shape, front = tuple(page.shape), {"YX": 0, "YXS": 0, "SYX": 1}.get(page.axes)
    small = page.nbytes <= LARGE_NBYTES or all(
        s.indices(n) == (0, n, 1) for s, n in zip(box, shape, strict=True)
    )
    if small or front is None or page.shaped[1] != 1:
        return np.asarray(page.asarray()[box])
    rows, columns = box[front : front + 2]
    y, x = rows.start, columns.start
    size = (page.shaped[0], rows.stop - y, columns.stop - x, page.shaped[4])
    plane = np.full(size, page.nodata, page.dtype.newbyteorder("="))
    tables = {"jpegtables": page.jpegtables}
    for i, (offset, nbytes) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        _, (sample, _, top, left, _), (_, height, width, _) = page.decode(None, i)
        y0, y1 = max(top, y), min(top + height, rows.stop)
        x0, x1 = max(left, x), min(left + width, columns.stop)
        if nbytes and y0 < y1 and x0 < x1:
            file.seek(offset)
            segment = page.decode(file.read(nbytes), i, **tables)[0]
            plane[sample, y0 - y : y1 - y, x0 - x : x1 - x] = segment[
                0, y0 - top : y1 - top, x0 - left : x1 - left
            ]
    if front:
        return plane[box[0], :, :, 0]
    return plane[0][:, :, box[2]] if len(box) > 2 else plane[0, :, :, 0]


def _names(axes: str) -> tuple[str | None, ...]:
    """Names of dimensions for tifffile's letters; None for those that say nothing."""
    letters = axes if "C" in axes else axes.replace("S", "C")  # samples of a pixel, as in colours
    return tuple(letter.lower() if letter in "TCZYX" else None for letter in letters)


def _state(path: str) -> tuple[int, int]:
    status = Path(path).stat()
    return status.st_size, status.st_mtime_ns


def _tifffile() -> Any:
    try:
        import tifffile
    except ImportError as error:
        raise ConfigError(
            "reading TIFF files needs tifffile: pip install 'latrans[images]'"
        ) from error
    return tifffile
