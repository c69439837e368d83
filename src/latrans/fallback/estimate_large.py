"""Estimate: whether the fallback may make less of an array than a model has.

Compressing a large array only to compare sizes takes as long as decoding it.  Evenly spread pieces
say what the fallback's methods find within reach of each other; `copies` finds what is further
apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import payload
from .copies import has_copies

Array = npt.NDArray[Any]

_SMALL_NBYTES = 1 << 18  # smaller arrays are compressed rather than looked at
_PIECES = 16
_PART = 16  # of the bytes, one in so many is looked at
_PIECE_NBYTES = 1 << 12, 1 << 14
_MARGIN = 0.95  # of sizes; pieces may differ from the whole
_ROUGHLY = 0.6  # likewise, of a quarter of the pieces
_STRIKING = 1 / 16  # of the size: then what repeats counts, and no piece tells


def may_beat(array: Array, limit: int) -> bool:
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
    share = payload.quick_nbytes(some, size) / some.size
    if share * payload.effort(share) * _ROUGHLY * data.size >= limit and share >= _STRIKING:
        return has_copies(data, size)
    for level, method in enumerate((payload.quick_nbytes, payload.fair_nbytes)):
        share = method(part, size) / part.size
        if share < _STRIKING:
            return True
        needed = payload.FAIR if level else payload.effort(share)
        if share * needed * _MARGIN * data.size >= limit:
            break
    else:
        return True
    return has_copies(data, size)
