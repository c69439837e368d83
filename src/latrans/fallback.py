"""Fallback: chunks that no model suits, by classical codecs (FORMAT.md section 3).

Any dtype except objects, any shape.  The payload is one byte that names the method, then its
bytes; the smallest of a few is kept, so a frame is never much larger than Blosc's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .dependencies import Blosc, Zstd
from .errors import CodecError

RAW, ZSTD, BLOSC, CONSTANT = range(4)  # FORMAT.md 3.1
_SMALL_NBYTES = 1 << 15  # up to this every method is quick
_THOROUGH_NBYTES = 1 << 23  # beyond this Zstandard's thorough level takes too long
FAIR = 0.92  # of what middle levels make, thorough ones need so much
_WITHIN_REACH = 1.2  # the thorough level takes at most about a tenth off
_CONSTANT_NBYTES = 1 << 18  # compared at once
MAX_CONSTANT_NBYTES = 1 << 26  # FORMAT.md 3.1: what a payload of one item may ask for
MAX_RATIO = 1 << 15  # FORMAT.md 3.1: a Zstandard block of 128 KiB takes four bytes or more


def encode(array: np.ndarray[Any, Any], limit: int | None = None) -> bytes:
    """Encode a C-contiguous array's bytes losslessly.

    With a `limit`, methods that promise no fewer bytes than that are left out: the payload may
    then be longer than it could be, but hardly where it could be shorter than the limit.
    """
    size = array.dtype.itemsize
    if not array.nbytes:
        return bytes((RAW,))
    data = array.reshape(-1).view(np.uint8)
    if size < data.size <= MAX_CONSTANT_NBYTES and _is_constant(data, size):
        return bytes((CONSTANT,)) + data[:size].tobytes()
    best, method = None, RAW
    for tried, quick, thorough, typed in _methods(data, size):
        # Blosc's effort costs most of all, and seldom pays for its header on little data.
        if limit is not None and (data.size > _SMALL_NBYTES or tried == BLOSC):
            nbytes = len(quick.encode(typed))
            if nbytes * effort(nbytes / data.size) >= limit:
                continue
            if data.size > _SMALL_NBYTES and FAIR * len(_fair(quick).encode(typed)) >= limit:
                continue
        packed = bytes(thorough.encode(typed))
        if len(packed) < (data.size if best is None else len(best)):
            best, method = packed, tried
    least = 1 + (data.size if best is None else len(best))
    if data.size <= _THOROUGH_NBYTES and (limit is None or least <= limit * _WITHIN_REACH):
        packed = bytes(Zstd(19).encode(data))
        if 1 + len(packed) < least:
            best, method = packed, ZSTD
    return bytes((method,)) + (data.tobytes() if best is None else best)


def quick_nbytes(data: np.ndarray[Any, Any], size: int) -> int:
    """What bytes of items of `size` bytes take by the best method at its quick level."""
    return min(len(quick.encode(typed)) for _, quick, _, typed in _methods(data, size))


def fair_nbytes(data: np.ndarray[Any, Any], size: int) -> int:
    """As `quick_nbytes`, at the middle level of the method whose quick level is best."""
    found = [(len(quick.encode(t)), quick, t) for _, quick, _, t in _methods(data, size)]
    _, quick, typed = min(found, key=lambda f: f[0])
    return len(_fair(quick).encode(typed))


def _fair(quick: Any) -> Any:
    """The middle level of a method."""
    if isinstance(quick, Blosc):
        return Blosc("zstd", clevel=4, shuffle=quick.shuffle)
    return Zstd(7)


def effort(share: float) -> float:
    """Share of a quick level's output that the thorough one surely needs.

    It has saved up to 20 % where there was much to save, 5 % where there was little.
    """
    return 0.68 + 0.2 * share


def _is_constant(data: np.ndarray[Any, Any], size: int) -> bool:
    """Whether all items of `size` bytes equal the first."""
    items = data.reshape(-1, size)
    step = max(1, _CONSTANT_NBYTES // size)
    return all((items[i : i + step] == items[0]).all() for i in range(0, len(items), step))


def _methods(data: np.ndarray[Any, Any], size: int) -> Iterator[tuple[int, Any, Any, Any]]:
    """(method, quick codec, thorough codec, what they take) for items of `size` bytes."""
    yield ZSTD, Zstd(3), Zstd(9), data
    # Blosc takes item sizes up to 255 and buffers below 2 GiB.
    if size <= 255 and len(data) < 2**31 - 64:
        # A view of plain bytes: Blosc does not know datetimes, structured types and the like.
        typed = data.view(np.dtype(f"V{size}"))
        # There is nothing to shuffle in single bytes, but their bits.
        for shuffle in (Blosc.SHUFFLE, Blosc.BITSHUFFLE)[size == 1 :]:
            quick, thorough = (Blosc("zstd", clevel=n, shuffle=shuffle) for n in (1, 9))
            yield BLOSC, quick, thorough, typed


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
