"""Copies: whether parts of an array occur again, such as a frame that a camera repeats.

Equal places look alike wherever they are, so a few kinds of place say whether there are some: those
whose content, a mark of 16 bits, is rare.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..format.varint import native

Array = npt.NDArray[Any]

_SEEN = 1 << 12  # places that say which marks are rare
_RARE = 16  # of so many, or where that is more, so often in the array:
_OFTEN = 1 << 13
_HITS = 256  # of a mark among items of noise
_PLACES, _LEAST = 1 << 11, 16  # that are compared
_CONTEXT = 32  # bytes
_COPIED = 0.02  # of the places
_MIX = np.uint64(0x9E3779B97F4A7C15)


def has_copies(data: npt.NDArray[np.uint8], size: int) -> bool:
    """Whether parts of an array of items of `size` bytes occur again, however far away.

    True in case of doubt.
    """
    grams = _grams(data, size)
    step = max(2, size)  # bytes from one gram to the next
    marks, counts = _rare(grams)
    if not marks.size:
        return True
    # In no order, until they stand in enough places to compare: the rarest stand close together.
    order = np.argsort(marks * np.uint16(40503), kind="stable")
    found = np.cumsum(counts[order]) * (sum(g.size for g in grams) / _SEEN)
    chosen = marks[order[: 1 + int(np.searchsorted(found, _PLACES))]]
    wanted = np.zeros(1 << 16, bool)
    wanted[chosen] = True
    at = np.concatenate([np.flatnonzero(wanted[g]) * step + i for i, g in enumerate(grams)])
    at = at[at <= data.size - _CONTEXT]
    if at.size < _LEAST:
        return True
    context = native(data[at[:, None] + np.arange(_CONTEXT)].view("<u8"))
    mixed = context[:, 0]
    for i in range(1, context.shape[1]):
        mixed = (mixed ^ mixed >> np.uint64(29)) * _MIX + context[:, i]
    return bool(np.unique(mixed).size < (1 - _COPIED) * at.size)


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
