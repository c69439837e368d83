"""Operations: the rANS operations of a band's values (FORMAT.md 11.6)."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..coding.fixed_point import Ints
from ..coding.geometry import GEOMETRIES
from ..coding.rans.tables import Frequencies, starts
from ..coding.schedule import LANES, PHASES, keys
from . import signs
from .bands import Subband
from .contexts import LEFT, RIGHT, UP, canvas, gather
from .symbols import ESCAPE, tokenise

Operations = tuple[Ints, Ints, Ints, Ints]  # lane, start, frequency, bits


class Tables(Protocol):
    """What of a transform is needed."""

    @property
    def tables(self) -> Frequencies: ...
    @property
    def sign_tables(self) -> Frequencies: ...
    @property
    def sign_weights(self) -> signs.Weights: ...


def signs_of(band: Subband, values: Ints, weights: signs.Weights) -> tuple[Ints, Ints]:
    """Table of each value's sign, and the symbol, where the value has one."""
    around = canvas(*values.shape)
    around[UP:, LEFT:-RIGHT] = signs.clipped(values)
    row = signs.row_of(band)
    lean = signs.leaning(gather(around, signs.N_NEIGHBOURS), weights[row])
    table = signs.table_of(row, lean, np.abs(values))
    return table, ((values < 0) != (lean < 0)).astype(np.int64)


def band_operations(
    band: Subband, values: Ints, classes: Ints, learned: Tables, n_states: int
) -> Operations:
    """rANS operations of a band's values in decoding order."""
    tables = learned.tables
    starts_ = starts(tables)
    order = keys(GEOMETRIES["plane"], *values.shape).reshape(-1)
    by_order = np.argsort(order, kind="stable")
    order, table = order[by_order], classes.reshape(-1)[by_order]
    flat = values.reshape(-1)[by_order]
    token, n_raw, raw = tokenise(np.abs(flat))
    sign_table, sign = signs_of(band, values, learned.sign_weights)
    sign_table = np.where(flat == 0, 0, sign_table.reshape(-1)[by_order])
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
         flat != 0),
        (order + 2 * LANES, raw & 0xFFFF, one, np.minimum(n_raw, 16), n_raw > 0),
        (order + 3 * LANES, raw >> 16, one, n_raw - 16, n_raw > 16),
    )  # fmt: skip
    assert len(groups) == PHASES + 1  # a sign comes right before its raw bits
    key, start, frequency, bits = (np.concatenate([g[k][g[4]] for g in groups]) for k in range(4))
    again = np.argsort(key, kind="stable")
    return key[again] % LANES % n_states, start[again], frequency[again], bits[again]
