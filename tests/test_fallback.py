"""The fallback: the smallest of what classical codecs make, without trying what cannot win."""

from __future__ import annotations

import numpy as np
import pytest
from numcodecs.zstd import Zstd

from latrans import fallback


def words() -> np.ndarray:
    """Bytes in which the thorough level finds more than the quick one."""
    rng = np.random.default_rng(3)
    phrases = [rng.integers(0, 60, n).astype(np.uint8) for n in rng.integers(3, 40, 300)]
    return np.concatenate([phrases[i] for i in rng.zipf(1.3, 4000) % 300])


def test_nothing_is_larger_than_zstd_19() -> None:
    data = words()
    quick, thorough = (len(Zstd(level).encode(data.tobytes())) for level in (9, 19))
    assert thorough < quick
    assert len(fallback.encode(data)) <= 1 + thorough
    assert np.array_equal(fallback.decode(fallback.encode(data), data.dtype, data.shape), data)


def test_the_thorough_level_is_left_out_where_it_cannot_win(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    levels = []

    class Counted(Zstd):
        def __init__(self, level: int = 1) -> None:
            levels.append(level)
            super().__init__(level)

    monkeypatch.setattr(fallback, "Zstd", Counted)
    data = words()
    fallback.encode(data, limit=data.nbytes // 20)
    assert 19 not in levels
    fallback.encode(data, limit=data.nbytes)
    assert 19 in levels
