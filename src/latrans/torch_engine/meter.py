"""Meter: where the time of an engine on tensors goes, for those who ask.

Nothing is kept, and next to nothing costs time, unless a meter is on.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Meter:
    """What has been seen since it was switched on.

    Attributes
    ----------
    seconds : by stage ("transfers", "device"); the second contains the first.
    groups : (name, size) of every call of the device, in order.
    """

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    groups: list[tuple[str, int]] = field(default_factory=list)


_lock = threading.Lock()
_meters: list[Meter] = []


@contextmanager
def metered() -> Iterator[Meter]:
    """A meter of all that this process does until the end of the block."""
    mine = Meter()
    with _lock:
        _meters.append(mine)
    try:
        yield mine
    finally:
        with _lock:
            _meters[:] = [other for other in _meters if other is not mine]


def on() -> bool:
    """Whether anybody asks."""
    return bool(_meters)


def add(stage: str, seconds: float) -> None:
    """A stage has taken so long."""
    if _meters:
        with _lock:
            for meter in _meters:
                meter.seconds[stage] += seconds


def group(name: str, size: int, seconds: float) -> None:
    """The device has run a group of calls."""
    if _meters:
        with _lock:
            for meter in _meters:
                meter.groups.append((name, size))
                meter.seconds["device"] += seconds
