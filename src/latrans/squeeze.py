"""Squeeze: about how many bytes the fallback would make of a little data, without making them.

Zstandard takes longer to set out on a small chunk than a model to code all of it.  This guesses
what it would come to: a greedy search for repeats, literals at their entropy.  For pictures,
digits, recordings and noise the guess is 0 to 20 % below what comes out; one in a hundred small
chunks takes up to 5 % less than the guess.  Integers alone, so every machine guesses alike.
"""

from __future__ import annotations

import numpy as np

try:
    from ._native import squeezed as _compiled
except ImportError:
    _compiled = None

MAX_GUESSED = 1 << 13  # bytes that are worth a guess
_LEAST = 32  # bytes; of what nearly vanishes a guess says too little
_REPEAT = 3  # bytes, the shortest
_FRAME = 15  # bytes around a frame's symbols
_SHUFFLE = 12  # bytes more where bytes of items are sorted by place
_SEQUENCE = 17  # sixteenths of a byte that a repeat takes
_NAMED = 64  # symbols of a literal code that cost something to name, 7/16 byte each


def hopeless(data: bytes, item_size: int, limit: int) -> bool:
    """Whether the fallback will hardly make fewer than `limit` bytes of items of `item_size`."""
    least = squeezed(data, item_size)
    return least >= _LEAST and least + (least >> 4) >= limit


def squeezed(data: bytes, item_size: int) -> int:
    """Bytes that the fallback may take for items of `item_size` bytes."""
    return reference(data, item_size) if _compiled is None else _compiled(data, item_size)


def reference(data: bytes, item_size: int) -> int:
    """The definition of `squeezed`."""
    least = min(_in_order(data), 1 + len(data))  # they may also be kept as they are
    if item_size > 1:
        sorted_ = np.frombuffer(data, np.uint8).reshape(-1, item_size).T.tobytes()
        least = min(least, _SHUFFLE + _in_order(sorted_))
    return least


def _in_order(data: bytes) -> int:
    seen: dict[bytes, int] = {}  # where each run of three bytes began last
    literals = [0] * 256
    n, at, n_repeats = len(data), 0, 0
    while at < n:
        from_ = seen.get(data[at : at + _REPEAT]) if at + _REPEAT <= n else None
        end = at + 1
        if from_ is None:
            literals[data[at]] += 1
        else:
            n_repeats += 1
            while end < n and data[from_ + end - at] == data[end]:
                end += 1
        for i in range(at, min(end, n - _REPEAT + 1)):
            seen[data[i : i + _REPEAT]] = i
        at = end
    total = sum(literals)
    entropy = total * _log(total) - sum(count * _log(count) for count in literals)
    code = (entropy >> 11) + (min(sum(map(bool, literals)), _NAMED) * 7 >> 4)
    return min(total, code) + (n_repeats * _SEQUENCE >> 4) + _FRAME


def _log(value: int) -> int:
    """Logarithm to base 2 in 1/256, by straight lines between the powers; 0 for 0."""
    if value == 0:
        return 0
    exponent = value.bit_length() - 1
    return (exponent << 8) + ((value << 8) >> exponent) - 256
