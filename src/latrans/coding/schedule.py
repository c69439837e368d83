"""Schedule: the order in which samples are coded (FORMAT.md 6.1).

Lanes (the rows of a plane, the segments of a track) are taken 16 at a time.  In a plane each
lane runs four columns behind the one above, so that all neighbours of all lanes are known and no
context is lost; the lanes of a track run abreast.  Within a step all tokens come first, then
escapes, then raw bits, each from the first lane to the last.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .fixed_point import Ints
from .geometry import Geometry

LANES = 16
LAG = 4
TRACK_LANE = 4096  # a track gets one lane per this many samples
TRACK_BLOCK = LANES * TRACK_LANE
PHASES = 4  # token, escape, raw bits 0..15, raw bits 16..31


def n_states(n_samples: int) -> int:
    """rANS states for a section: few samples cannot pay for many states."""
    return 1 if n_samples < 4096 else 4 if n_samples < 32768 else LANES


def track_shape(n_samples: int) -> tuple[int, int]:
    """Lanes and their length of one block of a track."""
    lanes = max(1, min(LANES, n_samples // TRACK_LANE))
    return lanes, -(-n_samples // lanes)


def lag(geometry: Geometry) -> int:
    return LAG if geometry.is_plane else 0


def steps(
    geometry: Geometry, rows: int, columns: int, n_samples: int
) -> Iterator[tuple[Ints, Ints]]:
    """Positions (y, x) coded side by side, step after step; lane is y modulo 16.

    The first sample of each lane of a track is not among them: it is stored apart.
    """
    first = 0 if geometry.is_plane else 1
    for top in range(0, rows, LANES):
        y = np.arange(top, min(top + LANES, rows))
        delay = lag(geometry) * (y - top)
        for step in range(first, columns + int(delay[-1])):
            x = step - delay
            here = (x >= first) & (x < columns) & (y * columns + x < n_samples)
            if here.any():
                yield y[here], x[here]


def keys(geometry: Geometry, rows: int, columns: int) -> Ints:
    """Sort key of every sample, (rows, columns): coding order is ascending key."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.int64)
    strip, lane = y // LANES, y % LANES
    n_steps = columns + LAG * LANES
    step = x + lag(geometry) * lane
    return (strip * n_steps + step) * (PHASES * LANES) + lane
