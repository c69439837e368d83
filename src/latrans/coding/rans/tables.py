"""Static probability tables: integer frequencies that sum to 4096 (FORMAT.md 7.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

PROBABILITY_BITS = 12
TOTAL = 1 << PROBABILITY_BITS

Frequencies = npt.NDArray[np.uint16]


def normalise(counts: npt.NDArray[Any], must_have: npt.NDArray[np.bool_]) -> Frequencies:
    """Scale non-negative counts to integer frequencies that sum to 4096.

    Symbols with a count, and those in `must_have`, get at least 1.  Each remaining unit goes
    where it shortens the code most.

    Parameters
    ----------
    counts : (n,) non-negative numbers.
    must_have : (n,) bool.

    Examples
    --------
    >>> normalise(np.array([3, 1, 0]), np.array([False, False, True]))
    array([3071, 1024,    1], dtype=uint16)
    """
    counts = np.asarray(counts, np.float64)
    present = (counts > 0) | must_have
    if not present.any() or present.sum() > TOTAL:
        raise ValueError(f"{int(present.sum())} symbols cannot share {TOTAL} parts")
    weight = np.where(present, np.maximum(counts, 1e-9), 0.0)
    ideal = weight / weight.sum() * TOTAL
    frequencies = np.where(present, np.maximum(np.floor(ideal), 1), 0).astype(np.int64)
    while frequencies.sum() < TOTAL:
        gain = np.where(
            present, weight * np.log2((frequencies + 1) / np.maximum(frequencies, 1)), -1
        )
        frequencies[int(np.argmax(gain))] += 1
    while frequencies.sum() > TOTAL:
        safe = np.maximum(frequencies, 2)
        loss = np.where(frequencies > 1, weight * np.log2(safe / (safe - 1)), np.inf)
        frequencies[int(np.argmin(loss))] -= 1
    return frequencies.astype(np.uint16)


def starts(frequencies: Frequencies) -> npt.NDArray[np.uint32]:
    """Exclusive cumulative sums along the last axis."""
    cumulative = np.cumsum(frequencies, -1, dtype=np.uint32)
    return cumulative - frequencies


def slots(frequencies: Frequencies) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Symbol of each of the 4096 probability slots, per table: (tables, 4096)."""
    flat = frequencies.reshape(-1, frequencies.shape[-1])
    symbols = np.arange(flat.shape[-1], dtype=np.uint8 if flat.shape[-1] <= 256 else np.uint16)
    return np.stack([np.repeat(symbols, row) for row in flat])


def check(frequencies: Frequencies) -> bool:
    """Whether every table sums to 4096 and can code its last symbol, the escape."""
    whole = frequencies.dtype == np.uint16 and frequencies.sum(-1, dtype=np.int64) == TOTAL
    return bool(np.all(whole) and (frequencies[..., -1] > 0).all())


def cost_bits(frequencies: Frequencies) -> npt.NDArray[np.float64]:
    """Ideal code length of every symbol, infinite where the frequency is zero."""
    with np.errstate(divide="ignore"):
        return PROBABILITY_BITS - np.log2(frequencies.astype(np.float64))
