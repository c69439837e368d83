"""rANS on tensors: the streams of many sections popped side by side (FORMAT.md 7.2).

Each item has up to 16 states and one stream of words, which its lanes take words from in their
order: how many of the lanes before it need one says which a lane takes.  `entropy.reference` is the
definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from ..coding.rans.reference import LOW
from ..coding.rans.tables import PROBABILITY_BITS, TOTAL, Frequencies, slots, starts
from ..errors import CodecError

Tensor = Any  # torch.Tensor; mypy does not see the package

_MASK = TOTAL - 1
_SYMBOL_SHIFT = 2 * PROBABILITY_BITS  # of an entry: offset in its interval, its size, symbol
MOST_WORDS = 4  # that one sample can take: token, escape, raw bits twice


class Stream:
    """One section's states and words, and how far it has been read.

    Raises
    ------
    CodecError
        If the bytes cannot be the beginning of a section with so many states.
    """

    def __init__(self, data: bytes, n_states: int, device: Any) -> None:
        if len(data) < 4 * n_states or len(data) % 2:
            raise CodecError(
                f"entropy-coded section of {len(data)} bytes cannot hold {n_states} states"
            )
        states = np.frombuffer(data, "<u4", n_states).astype(np.int64)
        if (states < LOW).any():
            raise CodecError("entropy-coded section starts with an impossible state")
        self.states = torch.from_numpy(states).to(device)
        words = np.frombuffer(data, "<u2", offset=4 * n_states).view(np.int16)
        self.words = torch.from_numpy(words.copy()).to(device)
        self.at = 0

    def go_on(self, n_words: int, states: Tensor) -> None:
        """Continue behind what was popped."""
        self.at += n_words
        self.states = states

    def finish(self) -> None:
        """Check that everything was used and every state is back at its start."""
        if self.at != len(self.words) or bool((self.states != LOW).any()):
            raise CodecError("entropy-coded section does not end where its symbols do: damaged")


def entries(frequencies: Frequencies, device: Any) -> Tensor:
    """What a pop needs of every slot of every table, (tables * 4096,) int64."""
    symbol = slots(frequencies).astype(np.int64)
    size = np.take_along_axis(frequencies.astype(np.int64), symbol, 1)
    start = np.take_along_axis(starts(frequencies).astype(np.int64), symbol, 1)
    offset = np.arange(TOTAL) - start
    # A symbol that is alone has all 4096 slots, one more than 12 bits hold.
    packed = symbol << _SYMBOL_SHIFT + 1 | size << PROBABILITY_BITS | offset
    return torch.from_numpy(packed.reshape(-1)).to(device)


class Popper:
    """Pops the lanes of a step from the streams of all items; what it returns is (lanes, items).

    Attributes
    ----------
    states : (states, items), words : of all items, last : (items,) word that each took last.

    Nothing here fails: beyond the end of a stream it reads words that mean nothing, and `taken`
    says of which items that is so.
    """

    def __init__(self, streams: Sequence[Stream], n_samples: int, n_states: int) -> None:
        self._streams = streams
        self._n_states = n_states
        self.states = torch.stack([s.states for s in streams], 1)  # (states, items)
        most = MOST_WORDS * n_samples
        parts = [s.words[s.at : s.at + most] for s in streams]
        self._counts = [len(p) for p in parts]
        blank = parts[0].new_zeros(1 + most)
        words = torch.cat([blank[:1], *parts, blank]).int() & 0xFFFF
        self.words = words.long()
        first = np.cumsum([0, *self._counts[:-1]])
        self._first = torch.from_numpy(first).to(words.device)
        self.last = self._first.clone()  # word that was taken last; one is in front of all

    def groups(self, n_lanes: int) -> Iterator[slice]:
        """Lanes that have a state each, group after group."""
        for start in range(0, n_lanes, self._n_states):
            yield slice(start, min(start + self._n_states, n_lanes))

    def symbols(self, entries: Tensor, table: Tensor, active: Tensor | None) -> Tensor:
        """Next symbol of each lane that is active; `table` is where its slots begin."""
        found = []
        for lanes in self.groups(len(table)):
            state = self.states[: lanes.stop - lanes.start]
            entry = entries[table[lanes] + (state & _MASK)]
            size = (entry >> PROBABILITY_BITS) & (2 * TOTAL - 1)
            new = size * (state >> PROBABILITY_BITS) + (entry & _MASK)
            if active is not None:
                new = torch.where(active[lanes], new, state)
            self._refill(new)
            found.append(entry >> _SYMBOL_SHIFT + 1)
        return found[0] if len(found) == 1 else torch.cat(found)

    def raw(self, bits: Tensor) -> Tensor:
        """Next raw bits of each lane, up to 16 (0 for none)."""
        found = []
        for lanes in self.groups(len(bits)):
            state = self.states[: lanes.stop - lanes.start]
            new = state >> bits[lanes]
            found.append(state - (new << bits[lanes]))
            self._refill(new)
        return found[0] if len(found) == 1 else torch.cat(found)

    def _refill(self, states: Tensor) -> None:
        """Keep states of the first lanes, with a word more where they are too small."""
        needs = states < LOW
        taken = needs.cumsum(0)
        word = self.words[self.last + taken]
        self.states[: len(states)] = torch.where(needs, (states << 16) | word, states)
        self.last = self.last + taken[-1]

    def taken(self) -> list[int | None]:
        """Words that each item has taken; None where there were not so many."""
        counts = (self.last - self._first).tolist()
        return [n if n <= there else None for n, there in zip(counts, self._counts, strict=True)]
