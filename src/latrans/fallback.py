"""Fallback: chunks that no model suits, by classical codecs (FORMAT.md section 3).

Any dtype except objects, any shape.  The payload is one byte that names the method, then its
bytes; the smallest of a few is kept, so a frame is never much larger than Blosc's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numcodecs.blosc import Blosc
from numcodecs.zstd import Zstd

from .errors import CodecError

RAW, ZSTD, BLOSC, CONSTANT = range(4)  # FORMAT.md 3.1
_ZSTD_LEVEL, _ZSTD_THOROUGH = 9, 19
_THOROUGH_NBYTES = 1 << 23  # some seconds
_WITHIN_REACH = 1.2  # the thorough level takes at most about a tenth off
MAX_CONSTANT_NBYTES = 1 << 26  # FORMAT.md 3.1: what a payload of one item may ask for
MAX_RATIO = 1 << 15  # FORMAT.md 3.1: a Zstandard block of 128 KiB takes four bytes or more


def encode(array: np.ndarray[Any, Any], beat: int | None = None) -> bytes:
    """Encode a C-contiguous array's bytes losslessly.

    `beat` is the size of what else there is: levels that take long are tried only where they may
    come out below it.
    """
    # A view of plain bytes: Blosc does not know datetimes, structured types and the like.
    data = array.tobytes()
    size = array.dtype.itemsize
    if not data:
        return bytes((RAW,))
    constant = size < len(data) <= MAX_CONSTANT_NBYTES
    if constant and data == data[:size] * (len(data) // size):
        return bytes((CONSTANT,)) + data[:size]
    candidates = [bytes((RAW,)) + data, bytes((ZSTD,)) + bytes(Zstd(_ZSTD_LEVEL).encode(data))]
    # Blosc takes item sizes up to 255 and buffers below 2 GiB.
    if size <= 255 and len(data) < 2**31 - 64:
        typed = np.frombuffer(data, np.dtype(f"V{size}"))
        # There is nothing to shuffle in single bytes, but their bits.
        for shuffle in (Blosc.SHUFFLE, Blosc.BITSHUFFLE)[size == 1 :]:
            codec = Blosc("zstd", clevel=9, shuffle=shuffle)
            candidates.append(bytes((BLOSC,)) + bytes(codec.encode(typed)))
    best = min(candidates, key=len)
    in_reach = beat is None or len(best) <= beat * _WITHIN_REACH
    if in_reach and len(data) <= _THOROUGH_NBYTES:
        thorough = bytes((ZSTD,)) + bytes(Zstd(_ZSTD_THOROUGH).encode(data))
        best = min(best, thorough, key=len)
    return best


def decode(payload: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Inverse of `encode`: a new, writable, C-contiguous array."""
    if not payload:
        raise CodecError("fallback section is empty")
    method, body = payload[0], payload[1:]
    n_items = 1
    for n in shape:
        n_items *= n
    expected = n_items * dtype.itemsize
    if method == CONSTANT:
        if len(body) != dtype.itemsize or not 0 < expected <= MAX_CONSTANT_NBYTES:
            raise CodecError(f"constant of {len(body)} bytes in {expected} bytes of {dtype}")
        out = np.empty(shape, dtype)
        out.reshape(-1).view(np.uint8).reshape(n_items, -1)[:] = np.frombuffer(body, np.uint8)
        return out
    if method == RAW:
        data: bytes | bytearray = body
    elif method in (ZSTD, BLOSC):
        data = unpack_checked(method, body, expected)
    else:
        raise CodecError(f"unknown fallback method {method}")
    if len(data) != expected:
        raise CodecError(f"fallback payload has {len(data)} bytes, the chunk has {expected}")
    if not expected:
        return np.ndarray(shape, dtype)  # `empty` would widen types of no bytes
    return np.frombuffer(bytearray(data), dtype).reshape(shape)


def unpack_checked(method: int, body: bytes, nbytes: int) -> bytes:
    """Decompress a ZSTD or BLOSC body of exactly `nbytes`, refusing any other size unopened."""
    if _claimed_nbytes(method, body) != nbytes or nbytes > len(body) * MAX_RATIO:
        raise CodecError(f"compressed payload does not hold the {nbytes} bytes expected of it")
    try:
        data = bytes((Zstd() if method == ZSTD else Blosc()).decode(body))
    except Exception as error:  # numcodecs raises RuntimeError and ValueError
        raise CodecError(f"compressed payload is damaged: {error}") from error
    if len(data) != nbytes:
        raise CodecError(f"compressed payload has {len(data)} bytes, expected {nbytes}")
    return data


def _claimed_nbytes(method: int, body: bytes) -> int:
    """Decoded size as the payload's own header states it, before memory is taken for it."""
    if method == BLOSC:
        if len(body) < 16 or int.from_bytes(body[12:16], "little") != len(body):
            return -1
        return int.from_bytes(body[4:8], "little")
    # Zstandard frame header (RFC 8878, 3.1.1.1).
    if len(body) < 5 or body[:4] != b"\x28\xb5\x2f\xfd":
        return -1
    descriptor = body[4]
    single_segment = descriptor >> 5 & 1
    size_nbytes = (single_segment, 2, 4, 8)[descriptor >> 6]
    start = 5 + (0 if single_segment else 1) + (0, 1, 2, 4)[descriptor & 3]
    if not size_nbytes or len(body) < start + size_nbytes:
        return -1
    size = int.from_bytes(body[start : start + size_nbytes], "little")
    return size + 256 if size_nbytes == 2 else size
