"""Payload: chunks that no model suits, by classical codecs (FORMAT.md section 3).

Any dtype except objects, any shape.  The payload is one byte that names the method, then its
bytes; the smallest of a few is kept, so a frame is never much larger than Blosc's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CodecError
from ..process.dependencies import Blosc, Zstd
from .copies import has_copies

RAW, ZSTD, BLOSC, CONSTANT = range(4)  # FORMAT.md 3.1
_SMALL_NBYTES = 1 << 15  # up to this every method is quick
_THOROUGH_NBYTES = 1 << 23  # beyond this Zstandard's thorough level takes too long
FAIR = 0.92  # of what middle levels make, thorough ones need so much
_WITHIN_REACH = 1.2  # of little data, a more thorough level takes at most about a tenth off
_SURE = 0.9  # of what a part promises, a method needs so much
_SURE_OF_COPIES = 0.4  # likewise where parts come again, which no part shows
_VANISHING = 1 << 7  # of what is less than one byte in so many then, nothing is promised
_PART = 16  # of large data, one byte in so many is tried
_PIECES, _PIECE_NBYTES = 8, 1 << 16
_CONSTANT_NBYTES = 1 << 18  # compared at once
MAX_CONSTANT_NBYTES = 1 << 26  # FORMAT.md 3.1: what a payload of one item may ask for
MAX_RATIO = 1 << 15  # FORMAT.md 3.1: a Zstandard block of 128 KiB takes four bytes or more


@dataclass(frozen=True, eq=False)
class _Method:
    """A way to compress some bytes, at three levels of effort."""

    code: int
    data: npt.NDArray[Any]
    quick: Any
    fair: Any
    thorough: Any

    def thorough_nbytes(self, part: npt.NDArray[np.uint8], fair_nbytes: int) -> float:
        """What `fair_nbytes` of the middle level come to, judged by a part of the bytes."""
        typed = part.view(self.data.dtype)
        return fair_nbytes * len(self.thorough.encode(typed)) / len(self.fair.encode(typed))


def encode(array: np.ndarray[Any, Any], limit: int | None = None) -> bytes:
    """Encode a C-contiguous array's bytes losslessly.

    With a `limit`, methods that promise no fewer bytes than that are left out: the payload may
    then be longer than it could be, but hardly where it could be shorter than the limit.  One that
    is shorter is what there is without a limit.
    """
    size = array.dtype.itemsize
    if not array.nbytes:
        return bytes((RAW,))
    data = array.reshape(-1).view(np.uint8)
    if size < data.size <= MAX_CONSTANT_NBYTES and _is_constant(data, size):
        return bytes((CONSTANT,)) + data[:size].tobytes()
    methods = list(_methods(data, size))
    best: tuple[int, bytes] | None = None
    if limit is not None:
        quick = _sizes(methods, lambda m: m.quick)
        hopeful = [m for m, n in zip(methods, quick, strict=True) if _may(n, data.size, limit)]
        if data.size > _SMALL_NBYTES:
            fair = zip(hopeful, _sizes(hopeful, lambda m: m.fair), strict=True)
            hopeful = [m for m, n in fair if _likely(n, data.size, limit)]
        else:  # levels say little of each other there, and Zstandard's cost little
            first = len(methods[0].thorough.encode(data))
            within = first <= limit * _WITHIN_REACH
            hopeful = [
                m
                for m in methods
                if m in hopeful or (m.code == ZSTD and (within or m is methods[0]))
            ]
        best = _smallest(hopeful, data, size, min(limit - 1, data.size))
        if best is not None:
            methods = [m for m in methods if m not in hopeful]
    if limit is None or best is not None:
        least = data.size if best is None else len(best[1])
        best = _smallest(methods, data, size, least) or best
    return bytes((RAW,)) + data.tobytes() if best is None else bytes((best[0],)) + best[1]


def _sizes(methods: list[_Method], level: Callable[[_Method], Any]) -> list[int]:
    """What a level of each method makes; some have it in common."""
    found: dict[int, int] = {}
    for m in methods:
        if id(level(m)) not in found:
            found[id(level(m))] = len(level(m).encode(m.data))
    return [found[id(level(m))] for m in methods]


def _may(quick_nbytes: int, nbytes: int, limit: int) -> bool:
    """Whether a thorough level may make less than `limit`, by what the quick one makes."""
    return quick_nbytes * effort(quick_nbytes / nbytes) < limit


def _likely(fair_nbytes: int, nbytes: int, limit: int) -> bool:
    """As `_may`, by what the middle level makes."""
    return fair_nbytes * min(FAIR, 0.5 + 2 * fair_nbytes / nbytes) < limit


def _smallest(
    methods: list[_Method], data: npt.NDArray[np.uint8], size: int, limit: int
) -> tuple[int, bytes] | None:
    """The method and the bytes of the one that makes least, if that is less than `limit`.

    Of large data those that a part of it promises less of come first, and others are left out
    where that is not far from what there is: each takes as long as the one that is kept.
    """
    promised, sure = [0.0] * len(methods), _SURE
    if len(methods) > 1 and data.size > _SMALL_NBYTES:
        promised = _promised(methods, data, size)
        if has_copies(data, size):
            sure = _SURE_OF_COPIES if min(promised) * _VANISHING > data.size else 0.0
    best = None
    for i in sorted(range(len(methods)), key=promised.__getitem__):
        if promised[i] * sure >= limit:
            continue
        packed = bytes(methods[i].thorough.encode(methods[i].data))
        if len(packed) < limit:
            best, limit = (methods[i].code, packed), len(packed)
    return best


def _promised(methods: list[_Method], data: npt.NDArray[np.uint8], size: int) -> list[float]:
    """About what each method makes at its thorough level, from a part and its middle level."""
    nbytes = max(data.size // _PART, _PIECE_NBYTES) // _PIECES // (8 * size) * (8 * size)
    if not 0 < nbytes * _PIECES < data.size // 2:
        return [0.0] * len(methods)
    tops = (np.linspace(0, data.size - nbytes, _PIECES) // size).astype(np.int64) * size
    part = np.concatenate([data[top : top + nbytes] for top in tops.tolist()])
    fair = _sizes(methods, lambda m: m.fair)
    return [m.thorough_nbytes(part, n) for m, n in zip(methods, fair, strict=True)]


def quick_nbytes(data: np.ndarray[Any, Any], size: int) -> int:
    """What bytes of items of `size` bytes take by the best method at its quick level."""
    return min(len(m.quick.encode(m.data)) for m in _methods(data, size))


def fair_nbytes(data: np.ndarray[Any, Any], size: int) -> int:
    """As `quick_nbytes`, at the middle level of the method whose quick level is best."""
    best = min(_methods(data, size), key=lambda m: len(m.quick.encode(m.data)))
    return len(best.fair.encode(best.data))


def effort(share: float) -> float:
    """Share of a quick level's output that the thorough one surely needs.

    It has saved 5 % where there was little to save, up to 20 % where there was much, and far more
    of what nearly vanishes, such as labels.
    """
    return min(0.68 + 0.2 * share, 0.3 + 1.6 * share)


def _is_constant(data: np.ndarray[Any, Any], size: int) -> bool:
    """Whether all items of `size` bytes equal the first."""
    items = data.reshape(-1, size)
    step = max(1, _CONSTANT_NBYTES // size)
    return all((items[i : i + step] == items[0]).all() for i in range(0, len(items), step))


def _methods(data: np.ndarray[Any, Any], size: int) -> Iterator[_Method]:
    """What may be tried for items of `size` bytes."""
    quick, fair = Zstd(3), Zstd(7)
    yield _Method(ZSTD, data, quick, fair, Zstd(9))
    # Blosc takes item sizes up to 255 and buffers below 2 GiB.
    if size <= 255 and len(data) < 2**31 - 64:
        # A view of plain bytes: Blosc does not know datetimes, structured types and the like.
        typed = data.view(np.dtype(f"V{size}"))
        # There is nothing to shuffle in single bytes, but their bits.
        for shuffle in (Blosc.SHUFFLE, Blosc.BITSHUFFLE)[size == 1 :]:
            yield _Method(BLOSC, typed, *(Blosc("zstd", n, shuffle) for n in (1, 4, 9)))
    if len(data) <= _THOROUGH_NBYTES:
        yield _Method(ZSTD, data, quick, fair, Zstd(19))


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
            raise CodecError(
                f"fallback has a constant of {len(body)} bytes for {expected} bytes of {dtype}"
            )
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
