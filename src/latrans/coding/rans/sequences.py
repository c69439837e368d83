"""Sequences of symbols whose tables are known beforehand, on either engine.

Latents and the value coder need no more than this: operations in, bytes out, and back.  `Tables`
and `Decoder` here define what their namesakes in `native` do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import reference
from .tables import Frequencies, slots, starts

Ints = npt.NDArray[np.int64]

encode = reference.encode


class Tables:
    """Probability tables (tables, symbols), laid out once and shared by threads."""

    def __init__(self, frequencies: Frequencies) -> None:
        self.frequencies = frequencies
        self.starts = starts(frequencies)
        self.slots = slots(frequencies)


class Decoder:
    """Pops symbols in the order in which `encode` was given them; `CodecError` on damage."""

    def __init__(self, data: bytes | memoryview, n_states: int) -> None:
        self._decoder = reference.Decoder(data, n_states)

    def pop(
        self, tables: Tables, lane: Any, table: Any, escape: int, last: int, raw_bits: Any
    ) -> tuple[Ints, Ints]:
        """Next symbols and the raw bits behind each.

        Parameters
        ----------
        lane, table : (n,)
            State and table of each symbol.
        escape, last : int
            An `escape` is followed by the symbol's number in 8 raw bits, taken as `last` where
            it is larger.
        raw_bits : (symbols,)
            How many raw bits, 0 to 16, follow each symbol.
        """
        symbols, raws = np.zeros(len(lane), np.int64), np.zeros(len(lane), np.int64)
        pop, pop_raw = self._decoder.pop, self._decoder.pop_raw
        pairs = zip(np.asarray(lane).tolist(), np.asarray(table).tolist(), strict=True)
        for i, (state, t) in enumerate(pairs):
            symbol = pop(state, tables.slots[t], tables.starts[t], tables.frequencies[t])
            if symbol == escape:
                symbol = min(pop_raw(state, 8), last)
            symbols[i] = symbol
            n_raw = int(raw_bits[symbol])
            raws[i] = pop_raw(state, n_raw) if n_raw else 0
        return symbols, raws

    def finish(self) -> None:
        """Check that everything was used and every state is back at its start."""
        self._decoder.finish()
