"""The compiled twin of `reference`: whole sequences of symbols at a time, without the GIL."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ... import _native
from .tables import Frequencies

Ints = npt.NDArray[np.int64]


def encode(lane: Any, start: Any, frequency: Any, bits: Any, n_states: int) -> bytes:
    """The bytes of `reference.encode`; ValueError for invalid ones."""
    operations = (np.ascontiguousarray(a, np.int64) for a in (lane, start, frequency, bits))
    data: bytes = _native.rans_encode(*operations, n_states)
    return data


class Tables:
    """Probability tables (tables, symbols), laid out once and shared by threads."""

    def __init__(self, frequencies: Frequencies) -> None:
        self.handle = _native.RansTables(np.ascontiguousarray(frequencies, np.uint16))


class Decoder:
    """Pops symbols in the order in which `encode` was given them; `CodecError` on damage."""

    def __init__(self, data: bytes | memoryview, n_states: int) -> None:
        self._decoder = _native.RansDecoder(np.frombuffer(data, np.uint8), n_states)

    def pop(
        self, tables: Tables, lane: Any, table: Any, escape: int, last: int, raw_bits: Any
    ) -> tuple[Ints, Ints]:
        """Next symbols and the raw bits behind each: `sequences.Decoder.pop`."""
        arrays = (np.ascontiguousarray(a, np.int64) for a in (lane, table))
        symbols, raws = self._decoder.pop(
            tables.handle, *arrays, escape, last, np.ascontiguousarray(raw_bits, np.int64)
        )
        return symbols, raws

    def finish(self) -> None:
        """Check that everything was used and every state is back at its start."""
        self._decoder.finish()
