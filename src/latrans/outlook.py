"""Outlook: whether the fallback may make less of an array than a model has.

Compressing a large array only to compare sizes takes as long as decoding it.  Evenly spread pieces
say what the fallback's methods find within reach of each other; copies further apart are found by
their content, since equal places look alike wherever they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import fallback
from .wire import native

Array = npt.NDArray[Any]

_SMALL_NBYTES = 1 << 18  # smaller arrays are compressed rather than looked at
_PIECES = 16
_PART = 16  # of the bytes, one in so many is looked at
_PIECE_NBYTES = 1 << 12, 1 << 14
_MARGIN = 0.95  # of sizes; pieces may differ from the whole
_ROUGHLY = 0.6  # likewise, of a quarter of the pieces
_STRIKING = 1 / 16  # of the size: then what repeats counts, and no piece tells
_SEEN = 1 << 12  # places that say which marks are rare
_RARE = 16  # of so many, or where that is more, so often in the array:
_OFTEN = 1 << 13
_HITS = 256  # of a mark among items of noise
_MARKS, _LEAST = 2, 16
_CONTEXT = 32  # bytes
_COPIED = 0.02  # of the marks
_MIX = np.uint64(0x9E3779B97F4A7C15)


def may_win(array: Array, limit: int) -> bool:
    """Whether the fallback may take less than `limit` bytes for a C-contiguous array.

    True in case of doubt, and for all small arrays.
    """
    if array.nbytes < _SMALL_NBYTES:
        return True
    data = array.reshape(-1).view(np.uint8)
    nbytes = min(max(data.size // _PART // _PIECES, _PIECE_NBYTES[0]), _PIECE_NBYTES[1]) // 8 * 8
    tops = np.linspace(0, data.size - nbytes, _PIECES).astype(np.int64) // 8 * 8
    part = np.concatenate([data[top : top + nbytes] for top in tops.tolist()])
    size = array.dtype.itemsize
    some = part.reshape(_PIECES, -1)[:: _PIECES // 4].reshape(-1)
    share = fallback.quick_nbytes(some, size) / some.size
    if share * fallback.effort(share) * _ROUGHLY * data.size >= limit and share >= _STRIKING:
        return _repeats(data, size)
    for level, method in enumerate((fallback.quick_nbytes, fallback.fair_nbytes)):
        share = method(part, size) / part.size
        if share < _STRIKING:
            return True
        needed = fallback.FAIR if level else fallback.effort(share)
        if share * needed * _MARGIN * data.size >= limit:
            break
    else:
        return True
    return _repeats(data, size)


def _repeats(data: npt.NDArray[np.uint8], size: int) -> bool:
    """Whether parts of an array of items of `size` bytes occur again, however far away."""
    grams = _grams(data, size)
    step = max(2, size)  # bytes from one gram to the next
    marks, counts = _rare(grams)
    if not marks.size:
        return True
    for mark in marks[np.argsort(counts, kind="stable")][:_MARKS]:
        at = np.concatenate([np.flatnonzero(g == mark) * step + i for i, g in enumerate(grams)])
        at = at[at <= data.size - _CONTEXT]
        if at.size < _LEAST:
            continue
        context = native(data[at[:, None] + np.arange(_CONTEXT)].view("<u8"))
        mixed = context[:, 0]
        for i in range(1, context.shape[1]):
            mixed = (mixed ^ mixed >> np.uint64(29)) * _MIX + context[:, i]
        if np.unique(mixed).size < (1 - _COPIED) * at.size:
            return True
    return False


def _grams(data: npt.NDArray[np.uint8], size: int) -> list[npt.NDArray[np.uint16]]:
    """A number of each item's content, of bytes that of pairs: those from even places, then odd."""
    if size == 1:
        return [native(data[i : i + (data.size - i) // 2 * 2].view("<u2")) for i in (0, 1)]
    words = native(data.view("<u2"))
    grams = words[:: size // 2]
    for i in range(1, size // 2):
        grams = grams ^ words[i :: size // 2]
    return [grams]


def _rare(grams: list[npt.NDArray[np.uint16]]) -> tuple[Array, Array]:
    """Rare marks and how often each was seen; `grams` become marks, of as many bits as suit."""
    n = sum(g.size for g in grams)
    bits = min(16, max(1, n // _HITS).bit_length() - 1)
    most = max(_RARE, _OFTEN * _SEEN // n)
    for _ in range(3):
        short = [g & np.uint16((1 << bits) - 1) for g in grams] if bits < 16 else grams
        some = np.concatenate([g[:: -(-n // _SEEN)] for g in short])
        marks, counts = np.unique(some, return_counts=True)
        rare = counts <= most
        if 4 * np.count_nonzero(rare) > marks.size:
            grams[:] = short
            return marks[rare], counts[rare]
        # Few values: pairs of them.
        grams[:] = [g[:-1] * np.uint16(40503) ^ g[1:] for g in grams]
    return marks[:0], counts[:0]
