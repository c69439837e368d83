"""What the fallback compresses better than a model is never left to the model by a first look."""

from __future__ import annotations

import numpy as np
import pytest

from latrans import Codec
from latrans.fallback import payload
from latrans.fallback.estimate_large import may_beat

RNG = np.random.default_rng(11)
NOISE = RNG.integers(0, 256, 300_007).astype(np.uint8)


def frames() -> np.ndarray:
    """A film that shows the same five frames again and again."""
    return np.tile(RNG.integers(0, 256, (5, 128, 128)).astype(np.uint8), (6, 1, 1))


def one_again() -> np.ndarray:
    stack = RNG.integers(0, 256, (20, 128, 256)).astype(np.uint8)
    stack[17] = stack[3]
    return stack


def camera(dtype: str, noise: float, n: int = 4) -> np.ndarray:
    """A camera that gives the same frame again and again, of few and of many distinct values."""
    slope = np.add.outer(np.arange(400), np.arange(400)) * 0.3
    frame = 100 + RNG.standard_normal((400, 400)) * noise + slope
    return np.repeat(np.round(frame)[None], n, 0).astype(dtype)


def windows() -> np.ndarray:
    """Windows of a recording, each the half of the one before."""
    recording = np.cumsum(RNG.integers(-90, 91, 300_000)).astype(np.int32)
    return np.lib.stride_tricks.sliding_window_view(recording, 9000)[::4463].copy()


WON = {
    "far copies of bytes": np.tile(NOISE, 5),
    "far copies of words": np.tile(RNG.integers(-2000, 2000, 100_003).astype(np.int16), 6),
    "far copies of floats": np.tile(RNG.standard_normal(90_001).astype(np.float32), 4),
    "far copies of doubles": np.tile(RNG.standard_normal(40_001), 4),
    "frames in a circle": frames(),
    "one frame twice": one_again(),
    "rows again": np.repeat(RNG.standard_normal((60, 700)).astype(np.float32), 5, 0),
    "half of it constant": np.concatenate([np.zeros(400_000, np.uint8), NOISE]),
    "short periods": np.tile(NOISE[:777], 1000),
    "constant": np.full((700, 700), 7, np.int16),
    "few labels": np.kron(RNG.integers(0, 40, (30, 30)), np.ones((32, 32), int)).astype(np.uint16),
    "a camera, much noise": camera("i2", 30),
    "a camera, little noise": camera("u2", 3),
    "a camera, floats": camera("f4", 100),
    "a camera, bytes": camera("u1", 8),
    "overlapping windows": windows(),
    "big-endian": np.tile(RNG.standard_normal(90_001), 4).astype(">f4"),
}


@pytest.mark.parametrize("name", WON)
def test_what_wins_is_tried(name: str) -> None:
    array = np.ascontiguousarray(WON[name])
    assert may_beat(array, len(payload.encode(array)) + 1)


@pytest.mark.parametrize("name", [
    "frames in a circle", "half of it constant", "short periods", "a camera, much noise",
    "a camera, little noise", "a camera, floats",
])  # fmt: skip
def test_frames_are_not_larger_than_the_fallbacks(name: str) -> None:
    array = WON[name]
    assert len(Codec("image-1").encode(array)) <= len(payload.encode(array)) + 32


def test_small_arrays_are_always_tried() -> None:
    assert may_beat(NOISE[: 1 << 17], 1)


def test_what_cannot_win_is_not_tried() -> None:
    assert not may_beat(NOISE, NOISE.size * 3 // 4)
    smooth = np.cumsum(RNG.integers(-9, 10, (600, 600)), 1).astype(np.int16)
    assert not may_beat(smooth, smooth.size * 5 // 8)
