"""Stream: the bands of all planes in one rANS stream (FORMAT.md 11.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from ..coding.rans.tables import Frequencies, starts
from .planes import QuantisedBand
from .predict import GAIN_BITS
from .protocol import Decoding, Encoding

N_MEAN_TABLES = 3  # relative to the coarser band, to the band before, to an empty band
_MEAN_OFFSET = 32
MEAN_ESCAPE = 2 * _MEAN_OFFSET
N_MEAN_SYMBOLS = MEAN_ESCAPE + 1


def mean_table(expected: int, of_parent: bool) -> int:
    """Table of a mean's code, given the code that it is told relative to."""
    return 2 if expected == 0 else 0 if of_parent else 1


def mean_symbol(code: int, expected: int) -> int:
    """Symbol of a code: 0 for an empty band, else the difference; the escape if it is large."""
    if code == 0:
        return 0
    symbol = code - expected + _MEAN_OFFSET
    return symbol if 0 < symbol < MEAN_ESCAPE else MEAN_ESCAPE


def read_mean(stream: Decoding, expected: int | None, of_parent: bool) -> int:
    """The code of the next band."""
    if expected is None:
        return stream.raw(8)
    symbol = stream.symbol(mean_table(expected, of_parent))
    if symbol == MEAN_ESCAPE:
        return stream.raw(8)
    # A damaged frame may claim less than nothing.
    return max(0, symbol + expected - _MEAN_OFFSET) if symbol else 0


def write(items: Sequence[QuantisedBand], means: Frequencies, encoding: Encoding) -> None:
    """Write the bands of a picture, the last of them first."""
    mean_starts = starts(means)
    for item in reversed(items):
        if item.code and item.values.size:
            encoding.band(item.band, item.values, item.classes)
        for start, frequency, bits in reversed(_front(item, means, mean_starts)):
            encoding.push(start, frequency, bits)


def _front(
    item: QuantisedBand, means: Frequencies, starts_: npt.NDArray[Any]
) -> list[tuple[int, int, int]]:
    """Start, frequency and bits of what comes before a band's values: its code and its gain."""
    raw = (item.code, 1, 8)
    if item.expected is None:
        told = [raw]
    else:
        table = mean_table(item.expected, item.of_parent)
        symbol = mean_symbol(item.code, item.expected)
        escaped = bool(symbol == MEAN_ESCAPE or means[table, symbol] == 0)
        symbol = MEAN_ESCAPE if escaped else symbol
        told = [(int(starts_[table, symbol]), int(means[table, symbol]), 12), *[raw] * escaped]
    if item.gain is not None:
        told.append((item.gain, 1, GAIN_BITS))
    return told
