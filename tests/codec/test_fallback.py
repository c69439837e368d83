"""The fallback: the smallest of what classical codecs make, without trying what cannot win."""

from __future__ import annotations

import numpy as np
import pytest
from numcodecs.zstd import Zstd

import latrans
from latrans.fallback import payload


def words() -> np.ndarray:
    """Bytes in which the thorough level finds more than the quick one."""
    rng = np.random.default_rng(3)
    phrases = [rng.integers(0, 60, n).astype(np.uint8) for n in rng.integers(3, 40, 300)]
    return np.concatenate([phrases[i] for i in rng.zipf(1.3, 4000) % 300])


def test_nothing_is_larger_than_zstd_19() -> None:
    data = words()
    quick, thorough = (len(Zstd(level).encode(data.tobytes())) for level in (9, 19))
    assert thorough < quick
    assert len(payload.encode(data)) <= 1 + thorough
    assert np.array_equal(payload.decode(payload.encode(data), data.dtype, data.shape), data)


def test_the_thorough_level_is_left_out_where_it_cannot_win(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    levels = []

    class Counted(Zstd):
        def encode(self, buf: np.ndarray) -> bytes:
            levels.append(self.level)
            return super().encode(buf)

    monkeypatch.setattr(payload, "Zstd", Counted)
    data = words()
    payload.encode(data, limit=data.nbytes // 20)
    assert 19 not in levels
    payload.encode(data, limit=data.nbytes)
    assert 19 in levels


def labels(side: int, n: int) -> np.ndarray:
    """Numbers of the nearest of n seeds."""
    y, x = np.indices((side, side))
    seeds = np.random.default_rng(n).integers(0, side, (n, 2))
    return np.argmin([(y - v) ** 2 + (x - u) ** 2 for v, u in seeds], 0)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4"])
@pytest.mark.parametrize("side", [60, 130, 260])
def test_frames_are_not_above_their_own_fallback(side: int, dtype: str) -> None:
    for array in (labels(side, 6), labels(side, 30), np.repeat(labels(side, 90)[None], 3, 0)):
        given = array.astype(dtype)
        alone = len(payload.encode(given))
        assert len(latrans.encode(given, model="image-1")) <= 1.05 * alone + 40


@pytest.mark.parametrize("model", ["image-1", "series-1", "field-1"])
def test_little_data_that_repeats_is_not_above_its_own_fallback(model: str) -> None:
    rng = np.random.default_rng(8)
    for size in (60, 190, 700):
        row = rng.integers(0, 200, size)
        for dtype in ("u1", "u2", "f8"):
            given = np.tile(row, 6).astype(dtype)
            around = len(latrans.encode(rng.bytes(9))) - 10  # of a frame, around its payload
            alone = len(payload.encode(given)) + around
            assert len(latrans.encode(given, model=model)) <= alone + 8


def test_what_wins_under_a_limit_is_what_wins_without() -> None:
    for given in (words(), labels(300, 40).astype("u2"), labels(90, 20).astype("f4")):
        alone = payload.encode(given)
        for share in (1.01, 1.3, 3):
            assert payload.encode(given, int(len(alone) * share) + 2) == alone


def unsuited() -> dict[str, np.ndarray]:
    """What no value map takes."""
    rng = np.random.default_rng(5)
    doubles = rng.random((40, 50, 60))
    return {
        "doubles": doubles,
        "doubles in one plane": rng.random((300, 300)),
        "doubles with gaps": np.where(rng.random(doubles.shape) < 0.1, np.nan, doubles),
        "identifiers": rng.integers(0, 1 << 63, (200, 200)),
        "unsigned identifiers": rng.integers(0, 1 << 63, (200, 200)).astype("u8"),
    }


@pytest.mark.parametrize("name", unsuited())
@pytest.mark.parametrize("mode", ["lossless", "bounded"])
def test_what_no_map_suits_is_compressed_once(
    name: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    array, sizes, real = unsuited()[name], [], payload.encode

    def counted(part: np.ndarray, limit: int | None = None) -> bytes:
        sizes.append(part.nbytes)
        return real(part, limit)

    monkeypatch.setattr(payload, "encode", counted)
    bound = 1e-300 if mode == "bounded" else None
    frame = latrans.Codec("field-1", mode=mode, max_error=bound).encode(array)
    assert latrans.inspect(frame).fallback
    assert latrans.decode(frame).tobytes() == array.tobytes()
    assert sizes.count(array.nbytes) == 1
