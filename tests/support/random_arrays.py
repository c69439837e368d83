"""Random arrays of every dtype, shape, content and memory layout, from a seeded generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Rng = np.random.Generator

NUMBERS = (
    "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<f2", "<f4", ">u2", ">i2", ">u4", ">i4", ">f4",
    "<u8", "<i8", "<f8", ">u8", ">i8", ">f2", ">f8", "|b1", "<M8[ns]", ">M8[D]", "<m8[ms]",
)  # fmt: skip
OTHERS = (
    "<c8", "<c16", ">c8", ">c16", "<f16", "<U3", ">U2", "|S5", "|V3", "<M8", "|S0", "|V0",
    "(packed)", "(aligned)", "(nested)", "(titled)", "(out of order)",
)  # fmt: skip
_STRUCTURED = {
    "(packed)": np.dtype([("a", ">i2"), ("b", "<f8"), ("c", "S3")]),
    "(aligned)": np.dtype([("a", "i1"), ("b", "<f8")], align=True),
    "(nested)": np.dtype([("a", [("x", "<f4"), ("y", ">u2", (2, 2))]), ("b", "<M8[s]")]),
    "(titled)": np.dtype([(("a long title", "a"), "<i4"), ("ünicode", "|u1")]),
    "(out of order)": np.dtype(
        {"names": ["z", "a"], "formats": ["<f4", "<i2"], "offsets": [4, 0], "itemsize": 12}
    ),
}
SPECIAL = np.array(
    [
        0x7FC00000, 0x7FC00001, 0xFFC12345, 0x7F800001,  # quiet and signalling NaNs
        0x7F800000, 0xFF800000, 0x80000000, 0x00000001, 0x807FFFFF,  # inf, -inf, -0, denormals
        0x60AD78EC, 0x7F7FFFFF, 0xFF7FFFFF, 0x3F800000, 0xC61C3C00,  # 1e20, max, -max, 1, -9999
    ],
    np.uint32,
).view(np.float32)  # fmt: skip


def dtype_of(name: str) -> np.dtype[Any]:
    return _STRUCTURED.get(name) or np.dtype(name)


def random_array(rng: Rng) -> Array:
    """Any array but those of objects; most of them tiny."""
    pool = NUMBERS if rng.random() < 0.8 else OTHERS
    dtype = dtype_of(pool[rng.integers(len(pool))])
    return random_layout(rng, random_content(rng, dtype, random_shape(rng)))


def random_shape(rng: Rng) -> tuple[int, ...]:
    ndim = int(rng.choice(9, p=[0.04, 0.22, 0.38, 0.2, 0.1, 0.02, 0.02, 0.01, 0.01]))
    largest = {1: 300, 2: 24, 3: 9, 4: 5}.get(ndim, 2)
    if rng.random() < 0.6:
        largest = max(2, largest // 3)
    if rng.random() < 0.02:
        largest *= 3
    low = 0 if rng.random() < 0.05 else 1
    return tuple(int(n) for n in rng.integers(low, largest + 1, ndim))


def random_content(rng: Rng, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """A C-ordered array; integers and floats get content that maps and modes care about."""
    n = int(np.prod(shape))
    if dtype.kind in "iufmMb" and dtype.itemsize <= 8:
        fill = _FILLS[rng.integers(len(_FILLS))]
        flat = fill(rng, n, dtype).astype(dtype)
    elif dtype.kind == "c":
        parts = np.dtype(f"f{dtype.itemsize // 2}")
        flat = _bits(rng, 2 * n, parts).view(dtype.newbyteorder("=")).astype(dtype)
    elif dtype.kind == "U":
        flat = np.array(["", "a", "é", "日本", "\U0001f600x"], dtype)[rng.integers(0, 5, n)]
    elif dtype.kind == "f":
        flat = rng.normal(0, 1e3, n).astype(dtype)
    else:
        raw = rng.integers(0, rng.choice([1, 2, 256]), n * dtype.itemsize).astype(np.uint8)
        flat = np.zeros(n, dtype)
        if raw.size:
            flat = np.frombuffer(raw.tobytes(), dtype)
    return flat.reshape(shape)


def random_layout(rng: Rng, array: Array) -> Array:
    """The same values somewhere else in memory: transposed, strided, broadcast, read-only."""
    kind = rng.integers(8)
    if kind == 1:
        array = np.asfortranarray(array)
    elif kind == 2 and array.ndim:
        array = np.repeat(array, 2, axis=-1)[..., ::2]
    elif kind == 3 and array.ndim:
        array = array[::-1]
    elif kind == 4 and array.ndim > 1:
        array = array.transpose(rng.permutation(array.ndim))
    elif kind == 5 and array.ndim:
        array = np.broadcast_to(array[:1], array.shape)
    elif kind == 6:
        array = array.copy()
        array.flags.writeable = False
    return array


def _info(dtype: np.dtype[Any]) -> Any:
    return np.iinfo(dtype if dtype.kind in "iu" else np.uint8 if dtype.kind == "b" else np.int64)


def _whole(rng: Rng, n: int, dtype: np.dtype[Any], values: Array) -> Array:
    """Values brought into the range of an integer dtype, or kept for floats."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(dtype)
    if dtype.kind == "b":
        return values > np.median(values) if n else values.astype(bool)
    info = _info(dtype)
    return np.clip(np.rint(values), max(info.min, -(2**62)), min(info.max, 2**62)).astype(np.int64)


def _noise(rng: Rng, n: int, dtype: np.dtype[Any]) -> Array:
    return _whole(rng, n, dtype, rng.normal(60, 10.0 ** rng.integers(0, 9), n))


def _smooth(rng: Rng, n: int, dtype: np.dtype[Any]) -> Array:
    wave = 50 + 40 * np.sin(np.arange(n) / rng.uniform(2, 20)) + rng.normal(0, 1, n)
    return _whole(rng, n, dtype, wave * 10.0 ** rng.integers(0, 4))


def _constant(rng: Rng, n: int, dtype: np.dtype[Any]) -> Array:
    return np.repeat(_bits(rng, 1, dtype), n)


def _bits(rng: Rng, n: int, dtype: np.dtype[Any]) -> Array:
    """Any bit patterns at all."""
    if dtype.kind == "b":
        return rng.integers(0, 2, n).astype(bool)
    raw = rng.integers(0, 256, n * dtype.itemsize, np.uint8)
    return np.frombuffer(raw.tobytes(), dtype.newbyteorder("="))


def _few(rng: Rng, n: int, dtype: np.dtype[Any]) -> Array:
    few = int(rng.integers(1, 6))
    return _bits(rng, few, dtype)[rng.integers(0, few, n)]


def _special(rng: Rng, n: int, dtype: np.dtype[Any]) -> Array:
    """Smooth data with fill values, NaN payloads, infinities, negative zeros in it."""
    values = _smooth(rng, n, dtype)
    if dtype.kind == "f":
        values = values.astype(dtype.newbyteorder("="))
        special = SPECIAL.view(np.float32)
        if dtype.itemsize == 2:
            special = np.arange(0x7BFE, 0x7C08, dtype=np.uint16).view(np.float16)
        if dtype.itemsize == 8:
            payloads = np.uint64(0x7FF0000000000000) + np.arange(4, dtype=np.uint64)
            special = np.concatenate([payloads.view(np.float64), [-0.0, 1e20, 5e-324, 1e308]])
        special = special[: rng.integers(1, len(special) + 1)]
    else:
        info = _info(dtype)
        special = np.array([info.min, info.max], info.dtype).astype(dtype)
        values = values.astype(dtype)
    chosen = rng.random(n) < rng.choice([0.02, 0.3, 1.0])
    values[chosen] = special[rng.integers(0, len(special), int(chosen.sum()))]
    return values


def _sparse(rng: Rng, n: int, dtype: np.dtype[Any]) -> Array:
    return np.where(rng.random(n) < 0.05, _noise(rng, n, dtype), 0)


_FILLS: tuple[Callable[[Rng, int, np.dtype[Any]], Array], ...] = (
    _noise, _smooth, _smooth, _constant, _bits, _few, _special, _sparse,
)  # fmt: skip
