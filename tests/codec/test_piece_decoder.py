"""Frames like one that has been decoded: the short way gives what the long one does."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

import latrans
from latrans.batch import frame_template, small_chunks
from latrans.engine import select
from latrans.errors import LatransError

pytestmark = pytest.mark.skipif(select().name != "native", reason="needs the compiled core")


def smooth(shape: tuple[int, ...], seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    walk = rng.normal(size=shape).cumsum(-1).cumsum(-2 if len(shape) > 1 else -1)
    return (walk - walk.min()) / max(np.ptp(walk), 1e-9) * 4000 + rng.normal(size=shape) * 3


def with_holes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array.reshape(-1)[::17] = np.nan
    return array


CASES: dict[str, tuple[dict[str, Any], np.ndarray[Any, Any]]] = {
    "a plane": ({"model": "image-1"}, smooth((64, 48)).astype(np.uint16)),
    "bytes": ({"model": "image-1"}, (smooth((70, 40)) / 17).astype(np.uint8)),
    "negative": ({"model": "image-1"}, (smooth((64, 48)) - 2000).astype(np.int16)),
    "a stack": ({"model": "image-1"}, smooth((3, 40, 40)).astype(np.uint16)),
    "far from zero": ({"model": "image-1"}, smooth((50, 50)).astype(np.int64) * 10 + (1 << 40)),
    "wide": ({"model": "image-1"}, smooth((50, 50)).astype(np.uint32) + np.uint32(1 << 31)),
    "a recording": ({"model": "series-1"}, smooth((2, 5000)).astype(np.int16)),
    "floats": ({"model": "field-1"}, (smooth((64, 64)) / 37).astype(np.float32)),
    "floats with holes": ({"model": "field-1"}, with_holes((smooth((48, 64)) / 37).astype("f4"))),
    "decimals": ({"model": "field-1"}, smooth((40, 64)).round(1)),
    "within a bound": (
        {"model": "field-1", "mode": "bounded", "max_error": 0.25},
        smooth((2, 40, 64)).astype(np.float32),
    ),
    "integers within a bound": (
        {"model": "image-1", "mode": "bounded", "max_error": 5},
        smooth((64, 64)).astype(np.uint16),
    ),
}


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgets frames of earlier tests, of which only so many are remembered."""
    monkeypatch.setattr(frame_template, "_templates", {})
    monkeypatch.setattr(frame_template, "_lengths", ())
    for options, _ in CASES.values():
        latrans.open_model(options["model"]).__dict__.pop("_ready", None)


@pytest.fixture
def no_short_way(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Leaves all frames to the long way while it is called."""

    def decode(codec: latrans.Codec, frame: bytes) -> np.ndarray[Any, Any]:
        with monkeypatch.context() as patch:
            patch.setattr(small_chunks, "any_known", lambda: False)
            return codec.decode(frame)

    return decode


@pytest.mark.parametrize("name", CASES)
def test_frames_of_one_kind_come_back_alike(name: str, no_short_way: Any) -> None:
    options, array = CASES[name]
    codec = latrans.Codec(**options)
    frames = [codec.encode(np.roll(array, n, 0)) for n in range(3)]
    codec.decode(frames[0])
    for frame in frames:
        expected = no_short_way(codec, frame)
        found = codec.decode(frame)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes()
        assert found.flags.owndata or found.base is not None
        assert found.flags.writeable
        assert found.flags.c_contiguous


@pytest.mark.parametrize("name", [name for name in CASES if name != "bytes"])
def test_the_short_way_is_taken(name: str) -> None:
    options, array = CASES[name]
    codec = latrans.Codec(**options)
    frame = codec.encode(array)
    if latrans.inspect(frame).fallback:
        pytest.skip("the fallback was smaller")
    codec.decode(frame)
    (found,) = small_chunks.decoded([frame], None)
    assert found is not None


@pytest.mark.parametrize("name", CASES)
def test_damaged_frames_end_as_on_the_long_way(name: str, no_short_way: Any) -> None:
    options, array = CASES[name]
    codec = latrans.Codec(**options)
    frame = codec.encode(array)
    codec.decode(frame)
    rng = np.random.default_rng(5)
    for _ in range(40):
        damaged = bytearray(frame[:-4])
        at = int(rng.integers(2, min(len(damaged), 400)))
        damaged[at] ^= 1 << int(rng.integers(8))
        sealed = bytes(damaged) + zlib.crc32(damaged).to_bytes(4, "little")
        assert outcome(codec.decode, sealed) == outcome(lambda f: no_short_way(codec, f), sealed)


def outcome(decode: Any, frame: bytes) -> Any:
    try:
        found = decode(frame)
    except LatransError as error:
        return type(error)
    return found.dtype, found.shape, found.tobytes()
