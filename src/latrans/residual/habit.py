"""Habit: when an encoder asks again what the pieces of a section keep answering alike.

Trying everything on every one of many small planes costs more than coding them.  What two trials
in a row agree on is taken for granted for one piece, then for three.
"""

from __future__ import annotations

from typing import Generic, TypeVar

LARGE_SECTION = 1 << 16  # samples; smaller sections ask for every piece
_MOST_GAP = 4  # pieces of which one is asked at least

Answer = TypeVar("Answer")


class Habit(Generic[Answer]):
    """What was answered last, and for how many pieces it holds."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self._gap = 1
        self._left = 0

    def holds(self) -> bool:
        """Whether the next piece may do as the last one that was asked did."""
        self._left -= 1
        return self._left >= 0

    def learn(self, answer: Answer) -> None:
        """Take down what a piece answered."""
        self._gap = min(2 * self._gap, _MOST_GAP) if answer == self.answer else 1
        self._left = self._gap - 1
        self.answer = answer
