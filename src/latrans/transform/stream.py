"""Stream: the bands of all planes in one rANS stream (FORMAT.md 11.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..entropy.tables import Frequencies, starts
from ..residual.fixed import Ints
from ..residual.geometry import GEOMETRIES
from ..residual.schedule import LANES, PHASES, keys
from . import signs
from .backend import Decoding
from .bands import Band
from .contexts import LEFT, RIGHT, UP, canvas, gather
from .pictures import Item
from .predict import GAIN_BITS
from .symbols import ESCAPE, tokenise

N_MEAN_TABLES = 3  # relative to the coarser band, to the band before, to an empty band
_MEAN_OFFSET = 32
MEAN_ESCAPE = 2 * _MEAN_OFFSET
N_MEAN_SYMBOLS = MEAN_ESCAPE + 1

Operations = tuple[Ints, Ints, Ints, Ints]  # lane, start, frequency, bits


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


class Tables(Protocol):
    """What of a transform the entropy coder needs."""

    @property
    def tables(self) -> Frequencies: ...
    @property
    def means(self) -> Frequencies: ...
    @property
    def sign_tables(self) -> Frequencies: ...
    @property
    def sign_weights(self) -> signs.Weights: ...


def operations(items: Sequence[Item], learned: Tables, n_states: int) -> Operations:
    """rANS operations of all bands in decoding order."""
    mean_starts = starts(learned.means)
    parts: list[Operations] = []
    for item in items:
        parts.append(_front_operations(item, learned.means, mean_starts))
        if item.code and item.values.size:
            parts.append(_band_operations(item, learned, n_states))
    lane, start, frequency, bits = (np.concatenate(column) for column in zip(*parts, strict=True))
    return lane, start, frequency, bits


def _front_operations(item: Item, means: Frequencies, starts_: npt.NDArray[Any]) -> Operations:
    """What comes before a band's values: its code and its gain."""
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
    start, frequency, bits = np.array(told, np.int64).T
    return np.zeros(len(told), np.int64), start, frequency, bits


def signs_of(band: Band, values: Ints, weights: signs.Weights) -> tuple[Ints, Ints]:
    """Table of each value's sign, and the symbol, where the value has one."""
    around = canvas(*values.shape)
    around[UP:, LEFT:-RIGHT] = signs.clipped(values)
    row = signs.row_of(band)
    lean = signs.leaning(gather(around, signs.N_NEIGHBOURS), weights[row])
    table = signs.table_of(row, lean, np.abs(values))
    return table, ((values < 0) != (lean < 0)).astype(np.int64)


def _band_operations(item: Item, learned: Tables, n_states: int) -> Operations:
    tables = learned.tables
    starts_ = starts(tables)
    order = keys(GEOMETRIES["plane"], *item.values.shape).reshape(-1)
    by_order = np.argsort(order, kind="stable")
    order, table = order[by_order], item.classes.reshape(-1)[by_order]
    values = item.values.reshape(-1)[by_order]
    token, n_raw, raw = tokenise(np.abs(values))
    sign_table, sign = signs_of(item.band, item.values, learned.sign_weights)
    sign_table = np.where(values == 0, 0, sign_table.reshape(-1)[by_order])
    sign = sign.reshape(-1)[by_order]
    first = learned.sign_tables[sign_table, 0].astype(np.int64)
    escaped = tables[table, token] == 0
    symbol = np.where(escaped, ESCAPE, token)
    one, twelve = np.ones_like(token), np.full_like(token, 12)
    groups: tuple[tuple[Any, ...], ...] = (
        (order, starts_[table, symbol].astype(np.int64), tables[table, symbol].astype(np.int64),
         twelve, slice(None)),
        (order + LANES, token, one, np.full_like(token, 8), escaped),
        (order + 2 * LANES, np.where(sign, first, 0), np.where(sign, 4096 - first, first), twelve,
         values != 0),
        (order + 2 * LANES, raw & 0xFFFF, one, np.minimum(n_raw, 16), n_raw > 0),
        (order + 3 * LANES, raw >> 16, one, n_raw - 16, n_raw > 16),
    )  # fmt: skip
    assert len(groups) == PHASES + 1  # a sign comes right before its raw bits
    key, start, frequency, bits = (np.concatenate([g[k][g[4]] for g in groups]) for k in range(4))
    again = np.argsort(key, kind="stable")
    return key[again] % LANES % n_states, start[again], frequency[again], bits[again]
