"""Varint: reading and writing the bytes of sections, shared by all that have some (FORMAT.md 1)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CodecError


class Reader:
    """Reads a section front to back and refuses to run past its end."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._view = memoryview(data)
        self._at = 0

    def take(self, n: int) -> memoryview:
        if n < 0 or n > len(self._view) - self._at:
            raise CodecError(
                f"section ends early: {n} bytes wanted, {len(self._view) - self._at} left"
            )
        self._at += n
        return self._view[self._at - n : self._at]

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        """Unsigned LEB128, at most 63 bits."""
        value = 0
        for shift in range(0, 63, 7):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise CodecError("variable-length integer is longer than 9 bytes")

    def array(self, dtype: npt.DTypeLike, n: int) -> npt.NDArray[np.generic]:
        """`n` items, copied; memory is taken only for bytes that are there."""
        dtype = np.dtype(dtype)
        return np.frombuffer(self.take(n * dtype.itemsize), dtype).copy()

    def rest(self) -> memoryview:
        return self.take(len(self._view) - self._at)

    @property
    def remaining(self) -> int:
        return len(self._view) - self._at


def little_endian(items: npt.NDArray[Any]) -> bytes:
    """Items as they stand in sections, whatever the machine's byte order."""
    return items.astype(items.dtype.newbyteorder("<"), copy=False).tobytes()


def native(items: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Items in the machine's byte order, copied only where theirs is another."""
    return items.astype(items.dtype.newbyteorder("="), copy=False)


def pack_varint(value: int) -> bytes:
    """Unsigned LEB128."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
