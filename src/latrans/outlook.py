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

Array = npt.NDArray[Any]

_SMALL_NBYTES = 1 << 18  # smaller arrays are compressed rather than looked at
_PIECES = 16
_PART = 16  # of the bytes, one in so many is looked at
_PIECE_NBYTES = 1 << 12, 1 << 14
_MARGIN = 0.95  # of sizes; pieces may differ from the whole
_FAIR = 0.92  # of what middle levels make, thorough ones need so much
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
    for level, method in enumerate((fallback.quick_nbytes, fallback.fair_nbytes)):
        share = method(part, array.dtype.itemsize) / part.size
        if share < _STRIKING:
            return True
        if share * (_FAIR if level else fallback.effort(share)) * _MARGIN * data.size >= limit:
            break
    else:
        return True
    return _repeats(data, array.dtype.itemsize)


def _repeats(data: npt.NDArray[np.uint8], size: int) -> bool:
    """Whether parts of an array of items of `size` bytes occur again, however far away."""
    marks, counts, grams = _rare(data, size)
    if not marks.size:
        return True
    for mark in marks[np.argsort(counts, kind="stable")][:_MARKS]:
        at = np.flatnonzero(grams == mark) * size
        at = at[at <= data.size - _CONTEXT]
        if at.size < _LEAST:
            continue
        context = data[at[:, None] + np.arange(_CONTEXT)].view(np.uint64)
        mixed = context[:, 0]
        for i in range(1, context.shape[1]):
            mixed = (mixed ^ mixed >> np.uint64(29)) * _MIX + context[:, i]
        if np.unique(mixed).size < (1 - _COPIED) * at.size:
            return True
    return False


def _rare(data: npt.NDArray[np.uint8], size: int) -> tuple[Array, Array, Array]:
    """Rare marks, how often each was seen, and the mark of every item, from its content alone."""
    grams = data.astype(np.uint16) if size == 1 else data.view(np.uint16)[:: size // 2]
    for i in range(1, size // 2):
        grams = grams ^ data.view(np.uint16)[i :: size // 2]
    bits = min(16, max(1, grams.size // _HITS).bit_length() - 1)
    most = max(_RARE, _OFTEN * _SEEN // grams.size)
    for _ in range(3):
        short = grams & np.uint16((1 << bits) - 1)
        marks, counts = np.unique(short[:: -(-grams.size // _SEEN)], return_counts=True)
        rare = counts <= most
        if 4 * np.count_nonzero(rare) > marks.size:
            return marks[rare], counts[rare], short
        grams = grams[:-1] * np.uint16(40503) ^ grams[1:]  # few values: pairs of them
    return marks[:0], counts[:0], grams
