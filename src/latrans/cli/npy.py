"""Npy: an ``.npy`` file that is written block by block."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

Block = tuple[slice, ...]


class NpyWriter:
    """Takes blocks of an array in any order.

    They are written, not mapped into memory: where a file is mapped a full disk is a signal that
    ends the process, and here it is an `OSError`.
    """

    def __init__(self, file: BinaryIO, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]):
        self._file, self._offset, self._dtype = file, offset, dtype
        self._strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
        self._shape = shape

    def __setitem__(self, block: Block, part: np.ndarray[Any, Any]) -> None:
        """Write the samples of a block."""
        part = np.ascontiguousarray(part, self._dtype)
        # Dimensions from `inner` on lie in the file as they lie in the block.
        inner = max(0, len(block) - 1)
        while inner and part.shape[inner] == self._shape[inner]:
            inner -= 1
        runs = part.reshape(*part.shape[:inner], -1)
        first = sum(s.start * step for s, step in zip(block, self._strides, strict=True))
        for index in np.ndindex(runs.shape[:-1]):
            place = first + sum(i * step for i, step in zip(index, self._strides, strict=False))
            self._file.seek(self._offset + place * self._dtype.itemsize)
            self._file.write(runs[index].view(np.uint8).data)


class _Turned:
    """Dimensions in reverse: a file in Fortran's order is one in C's order of the transpose."""

    def __init__(self, writer: NpyWriter) -> None:
        self._writer = writer

    def __setitem__(self, block: Block, part: np.ndarray[Any, Any]) -> None:
        self._writer[block[::-1]] = part.T


@contextmanager
def writing(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], fortran_order: bool = False
) -> Iterator[Any]:
    """Yield what takes the blocks of a new file, by assignment; all is on the disk afterwards."""
    if 0 in shape:
        with path.open("wb") as file:
            np.save(file, np.empty(shape, dtype, "F" if fortran_order else "C"))
        yield None
        return
    mapped = np.lib.format.open_memmap(  # writes the header; no sample is touched
        path, mode="w+", dtype=dtype, shape=shape, fortran_order=fortran_order
    )
    offset = mapped.offset
    del mapped
    with path.open("r+b") as file:
        if fortran_order:
            yield _Turned(NpyWriter(file, offset, dtype, shape[::-1]))
        else:
            yield NpyWriter(file, offset, dtype, shape)
        file.flush()
        os.fsync(file.fileno())
