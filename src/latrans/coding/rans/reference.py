"""Interleaved rANS, the definition (FORMAT.md 7.2).

States are 32-bit integers kept in [2**16, 2**32) by moving 16-bit words.  The encoder works
backwards, so the decoder reads states first and then words in the order in which it needs them.
Every state starts at 2**16 and must come back to it: truncation and damage are noticed.

After J. Duda, "Asymmetric numeral systems", arXiv:1311.2540, in the streaming form of F. Giesen,
"Interleaved entropy coders", arXiv:1402.3392.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import CodecError

LOW = 1 << 16
MAX_RAW_BITS = 16  # of one operation

Op = npt.NDArray[Any]


def encode(lane: Op, start: Op, frequency: Op, bits: Op, n_states: int) -> bytes:
    """Encode operations given in the order in which they will be decoded.

    Parameters
    ----------
    lane : (n,) which state each operation uses.
    start, frequency, bits : (n,)
        Slot interval [start, start + frequency) out of 2**bits.  Raw bits are
        (value, 1, n_bits) with n_bits <= 16.
    n_states : int

    Returns
    -------
    bytes
        The final states, 4 bytes each, then the words, all little-endian.
    """
    states = [LOW] * n_states
    words: list[int] = []
    columns = (lane.tolist(), start.tolist(), frequency.tolist(), bits.tolist())
    for which, first, size, n_bits in zip(*(reversed(c) for c in columns), strict=True):
        state = states[which]
        if state >= size << (32 - n_bits):
            words.append(state & 0xFFFF)
            state >>= 16
        states[which] = (state // size << n_bits) + first + state % size
    words.reverse()
    return np.array(states, "<u4").tobytes() + np.array(words, "<u2").tobytes()


class Decoder:
    """Pops symbols and raw bits in the order in which `encode` was given them."""

    def __init__(self, data: bytes | memoryview, n_states: int) -> None:
        if len(data) < 4 * n_states or len(data) % 2:
            raise CodecError(
                f"entropy-coded section of {len(data)} bytes cannot hold {n_states} states"
            )
        self._states = np.frombuffer(data[: 4 * n_states], "<u4").tolist()
        self._words = np.frombuffer(data[4 * n_states :], "<u2").tolist()
        self._at = 0
        if any(s < LOW for s in self._states):
            raise CodecError("entropy-coded section starts with an impossible state")

    def pop(self, lane: int, slots: Any, start: Any, frequency: Any, bits: int = 12) -> int:
        """Next symbol of a lane: `slots` maps slots to symbols, the others describe symbols."""
        slot = self._states[lane] & ((1 << bits) - 1)
        symbol = int(slots[slot])
        self._advance(lane, slot - int(start[symbol]), int(frequency[symbol]), bits)
        return symbol

    def pop_raw(self, lane: int, bits: int) -> int:
        """Next raw bits of a lane, at most 16."""
        value = int(self._states[lane]) & ((1 << bits) - 1)
        self._advance(lane, 0, 1, bits)
        return value

    def _advance(self, lane: int, offset: int, frequency: int, bits: int) -> None:
        state = frequency * (self._states[lane] >> bits) + offset
        if state < LOW:
            if self._at == len(self._words):
                raise CodecError("entropy-coded section ends before its last symbol")
            state = state << 16 | self._words[self._at]
            self._at += 1
        self._states[lane] = state

    def finish(self) -> None:
        """Check that everything was used and every state is back at its start."""
        if self._at != len(self._words) or any(s != LOW for s in self._states):
            raise CodecError("entropy-coded section does not end where its symbols do: damaged")
