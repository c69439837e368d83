"""Small frames that between them use every part of the format, for tests that damage frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from latrans.chunk import encode
from latrans.fallback import payload as fallback
from latrans.format.dtypes import to_numeric
from latrans.format.frame import Frame, pack
from latrans.models.model import Model

Array = np.ndarray


@dataclass(frozen=True)
class Small:
    """A frame, the array in it, and the name of the synthetic model that reads it."""

    frame: bytes
    array: Array
    kind: str | None


def small_frames(models: Mapping[str, Model]) -> dict[str, Small]:
    """Frames by what is special about them."""
    found = {}
    for name, kind, mode, max_error, axes, array in _chunks():
        task = encode.Task(models[kind], mode, max_error, None, axes, None)
        carried = to_numeric(array)
        assert carried is not None
        frame = encode.encode(task, carried, array.dtype, False)
        assert frame is not None, name
        found[name] = Small(pack(frame), array, kind)
    for name, array in _fallbacks():
        payload = fallback.encode(array)
        frame = Frame("lossless", array.dtype, array.shape, residual=payload)
        found[name] = Small(pack(frame), array, None)
    return found


def _smooth(shape: tuple[int, ...], dtype: str = "u1") -> Array:
    rng = np.random.default_rng(sum(shape))
    return (90 + 40 * np.sin(np.indices(shape).sum(0) / 3) + rng.normal(0, 2, shape)).astype(dtype)


def _chunks() -> Iterator[tuple[str, str, str, float | None, str | None, Array]]:
    u1, i2, f4 = _smooth((3, 8, 8)), _smooth((3, 8, 8), "<i2"), _smooth((9, 9), "<f4")
    yield "plane", "plane", "lossless", None, None, _smooth((12, 12))
    yield "plane, references", "plane", "lossless", None, "zyx", _smooth((3, 9, 9), ">u2") * 9
    yield "plane, own coefficients", "plane", "lossless", None, None, _smooth((40, 40))
    yield "plane, colour", "plane", "lossless", None, "cyx", np.stack([_smooth((9, 9))] * 3)
    yield "track", "track", "lossless", None, None, _smooth((90,), "<i4")
    yield "track, channels", "track", "lossless", None, "ct", _smooth((3, 40), "<i2")
    many = np.cumsum(_smooth((4, 1100), "<i2") - 90, 1).astype("<i2")
    yield "track, compressed header", "track", "lossless", None, "nt", many
    yield "dense", "dense", "lossless", None, None, u1
    yield "conv", "conv", "lossless", None, None, i2
    yield "conv1d", "conv1d", "lossless", None, None, _smooth((60,), "<i2")
    yield "values", "values", "lossless", None, None, u1
    yield "palette", "plane", "lossless", None, None, (_smooth((12, 12)) > 90).astype("<i4") * 1000
    levels = np.array([3, 70_001, 500_009, 9_000_041])[_smooth((16, 16)) // 16 % 4]
    yield "palette, spread", "plane", "lossless", None, None, levels.astype("<i4")
    yield "palette of doubles", "plane", "lossless", None, None, np.sqrt(levels)
    odd = np.where(_smooth((12, 12)) % 9 == 0, 333, _smooth((12, 12), "<i4") * 1000)
    yield "divided, corrected", "plane", "lossless", None, None, odd
    yield "decimals", "track", "lossless", None, None, _smooth((90,), "<f8").round(2)
    yield "grid", "plane", "lossless", None, None, (_smooth((12, 12)) / 81 + 273.4).astype("<f4")
    single = _smooth((9, 9), "<i4").astype("<f4") ** 2 * np.float32(0.00217) + np.float32(273.15)
    yield "grid, corrected", "plane", "lossless", None, None, single
    steps = (np.rint(_smooth((3, 9, 9), "<f8")) + 0.3) * 0.7 ** np.arange(3)[:, None, None]
    doubles = np.random.default_rng(0).normal(size=70)
    columns = np.stack([_smooth((70,), "<f8").round(), doubles], 1)
    yield "stored column", "track", "lossless", None, "tc", columns
    yield "a map per plane", "plane", "lossless", None, "zyx", steps.astype("<f4")
    yield "offset", "plane", "lossless", None, None, _smooth((9, 9), "<i8") + 2**40
    yield "two layers", "plane", "lossless", None, None, f4
    masked = f4.copy()
    masked[::3, ::2] = np.nan
    masked[1, 1:5] = np.inf
    yield "two layers, mask", "plane", "lossless", None, None, masked
    yield "float16", "track", "lossless", None, None, _smooth((60,), "<f2")
    bands = np.stack([_smooth((9, 9), "<f4"), np.full((9, 9), 7, "<f4"), np.rint(f4)])
    yield "a map per channel", "plane", "lossless", None, "cyx", bands
    yield "booleans", "plane", "lossless", None, None, _smooth((12, 12)) > 90
    yield "datetimes", "track", "lossless", None, None, _smooth((60,), "<i8").astype("<M8[s]")
    yield "bounded", "plane", "bounded", 0.5, None, f4
    yield "bounded, mask", "plane", "bounded", 0.5, None, masked
    high = _smooth((16, 16), "<f2") * 100
    high[4, 4] = 65504  # the nearest multiple of the step is infinite
    yield "bounded, exceptions", "plane", "bounded", 30.0, None, high
    yield "bounded integers", "track", "bounded", 2.0, None, _smooth((60,), "<i2")
    yield "bounded, latents", "conv", "bounded", 0.5, None, f4
    yield "lossy, dense", "dense", "lossy", None, None, u1
    yield "lossy, conv", "conv", "lossy", None, None, i2
    yield "lossy, conv1d", "conv1d", "lossy", None, None, _smooth((60,), "<f4")
    yield "lossy, mask", "conv", "lossy", None, None, masked


def _fallbacks() -> Iterator[tuple[str, Array]]:
    rng = np.random.default_rng(1)
    yield "fallback, raw", rng.integers(0, 256, (4, 5), np.uint8)
    yield "fallback, Zstandard", np.tile(rng.integers(0, 256, 40, np.uint8), (3, 4))
    yield "fallback, Blosc", np.arange(300, dtype="<i8").reshape(3, 100) * 1000003
    yield "fallback, constant", np.full((6, 7), 1.5)
    yield "fallback, empty", np.zeros((3, 0, 2), "<f4")
    yield "fallback, scalar", np.array(3, ">i2")
    yield "fallback, text", np.array(["a", "bc"], "<U3")
    yield "fallback, structured", np.zeros(2, [("a", "<i2"), ("b", "<f8", (2,))])
    yield (
        "fallback, out of order",
        np.zeros(2, {"names": "ab", "formats": ["u1"] * 2, "offsets": [1, 0]}),
    )
