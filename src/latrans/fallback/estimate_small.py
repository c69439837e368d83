"""Estimate: about how many bytes the fallback would make of a little data, without making them.

Zstandard takes longer to set out on a small chunk than a model to code all of it.  This guesses
what it would come to: a greedy search for repeats, literals at their entropy.  What came out for
digits, pictures, recordings, noise and repeats was 0.85 to 1.3 times the guess.  Integers alone, so
every machine guesses alike.
"""

from __future__ import annotations

import numpy as np

try:
    from .._native import squeezed as _compiled
except ImportError:
    _compiled = None

MAX_GUESSED = 1 << 13  # bytes that are worth a guess
# Of a guess, by size of items, in sixteenths: no fallback took less.  Wider items are too various.
_SURE = {1: 15, 2: 12}
_LEAST = 32  # bytes; of what nearly vanishes a guess says too little
_SOME = 1 << 11  # bytes; of fewer, whatever shapes they have, nothing vanishes
_REPEAT = 3  # bytes, the shortest
_FRAME = 15  # bytes around a frame's symbols
_SHUFFLE = 12  # bytes more where bytes of items are sorted by place
_SEQUENCE = 30  # sixteenths of a byte that a repeat takes
_NAMED = 64  # symbols of a literal code that cost something to name, 7/16 byte each


def cannot_beat(data: bytes, item_size: int, limit: int) -> bool:
    """Whether the fallback will hardly make fewer than `limit` bytes of items of `item_size`."""
    if item_size not in _SURE:
        return False
    least = estimate_nbytes(data, item_size)
    if len(data) >= _SOME:
        # Labels and the like have shapes that are seen by bits, or by long searches.
        if least * 6 < len(data):
            return False
        least >>= least * 3 < len(data)
    return least >= _LEAST and least * _SURE[item_size] >> 4 >= limit


def estimate_nbytes(data: bytes, item_size: int) -> int:
    """Bytes that the fallback may take for items of `item_size` bytes."""
    return reference(data, item_size) if _compiled is None else _compiled(data, item_size)


def reference(data: bytes, item_size: int) -> int:
    """The definition of `estimate_nbytes`."""
    least = min(_FRAME + _in_order(data), 1 + len(data))  # they may also be kept as they are
    if item_size > 1:
        parts = (_in_order(data[i::item_size]) for i in range(item_size))
        least = min(least, _FRAME + _SHUFFLE + sum(parts))
    return least


def _in_order(data: bytes) -> int:
    """Bytes of symbols alone."""
    seen: dict[bytes, tuple[int, int]] = {}  # where each run of three bytes was first and last
    literals = [0] * 256
    n, at, n_repeats = len(data), 0, 0
    while at < n:
        end = at + 1
        before = seen.get(data[at : at + _REPEAT]) if at + _REPEAT <= n else None
        if before is None:
            literals[data[at]] += 1
        else:
            n_repeats += 1
            end = at + max(_alike(data, start, at) for start in before)
        for i in range(at, min(end, n - _REPEAT + 1)):
            run = data[i : i + _REPEAT]
            seen[run] = (seen.get(run, (i, i))[0], i)
        at = end
    with_repeats = _coded(literals) + (n_repeats * _SEQUENCE >> 4)
    whole = np.bincount(np.frombuffer(data, np.uint8), minlength=256).tolist()
    return min(with_repeats, _coded(whole))


def _alike(data: bytes, start: int, at: int) -> int:
    """How many bytes from two places on are the same."""
    n = 0
    while at + n < len(data) and data[start + n] == data[at + n]:
        n += 1
    return n


def _coded(counts: list[int]) -> int:
    """Bytes of so many of each symbol by a code of their own, or as they are."""
    total = sum(counts)
    entropy = total * _log(total) - sum(count * _log(count) for count in counts)
    named = min(sum(map(bool, counts)), _NAMED) * 7 >> 4
    return min(total, (entropy >> 11) + named)


def _log(value: int) -> int:
    """Logarithm to base 2 in 1/256, by straight lines between the powers; 0 for 0."""
    if value == 0:
        return 0
    exponent = value.bit_length() - 1
    return (exponent << 8) + ((value << 8) >> exponent) - 256
