"""Streams: the states and words of many sections side by side, for the kernel (FORMAT.md 7.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..coding.rans.reference import LOW
from ..errors import CodecError

Tensor = Any  # torch.Tensor; mypy does not see the package

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


class StreamBatch:
    """The streams of all items of a batch, from where each goes on.

    Attributes
    ----------
    states : (states, items), words : of all items, last : (items,) word that each took last.

    Nothing here fails: beyond the end of a stream there are words that mean nothing, and `taken`
    says of which items these were read.
    """

    def __init__(self, streams: Sequence[Stream], n_samples: int) -> None:
        self.states = torch.stack([s.states for s in streams], 1)
        most = MOST_WORDS * n_samples
        parts = [s.words[s.at : s.at + most] for s in streams]
        self._counts = [len(p) for p in parts]
        blank = parts[0].new_zeros(1 + most)
        words = torch.cat([blank[:1], *parts, blank]).int() & 0xFFFF
        self.words = words.long()
        first = np.cumsum([0, *self._counts[:-1]])
        self._first = torch.from_numpy(first).to(words.device)
        self.last = self._first.clone()  # word that was taken last; one is in front of all

    def taken(self) -> list[int | None]:
        """Words that each item has taken; None where there were not so many."""
        counts = (self.last - self._first).tolist()
        return [n if n <= there else None for n, there in zip(counts, self._counts, strict=True)]
