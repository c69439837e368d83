"""Tables and columns that the Arrow tests share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from latrans import Codec

Array = np.ndarray[Any, Any]

FLOATS = {pa.float16(): np.uint16, pa.float32(): np.uint32, pa.float64(): np.uint64}


def drawings(n: int = 12, seed: int = 0) -> Array:
    """Rings of 28 x 28 bytes, (n, 28, 28)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:28, 0:28]
    rows = [
        np.clip(400 - 90 * abs(np.hypot(y - 13 - a, x - 14 - b) - r), 0, 255)
        for a, b, r in rng.uniform((-3, -3, 4), (3, 3, 9), (n, 3))
    ]
    return np.stack(rows).astype(np.uint8)


def tensors(rows: Array, names: list[str] | None = None) -> pa.FixedShapeTensorArray:
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(rows), dim_names=names)


def table(n: int = 12, nulls: bool = False) -> pa.Table:
    """Labels, drawings and a nested column."""
    image = tensors(drawings(n), ["y", "x"])
    if nulls:
        every_third = pa.array([i if i % 3 else None for i in range(n)], pa.int64())
        image = image.take(every_third)
    kind = pa.struct([("a", pa.int64()), ("b", pa.list_(pa.field("element", pa.int64())))])
    nested = pa.array([{"a": i, "b": [i, None]} for i in range(n)], kind)
    return pa.table({"label": [i % 4 for i in range(n)], "image": image, "nested": nested})


def frames_of(column: pa.ChunkedArray | pa.Array) -> list[bytes | None]:
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return [value for chunk in chunks for value in chunk.storage.to_pylist()]


def counting(monkeypatch: Any) -> list[int]:
    """A list that every batch of frames that is decoded from now on adds its length to."""
    counts: list[int] = []
    decode = Codec._decode_some

    def counted(self: Codec, frames: Any) -> Any:
        counts.append(len(frames))
        return decode(self, frames)

    monkeypatch.setattr(Codec, "_decode_some", counted)
    return counts


def station(n: int = 500, seed: int = 0) -> pa.Table:
    """What a station may send: mixed types and steps, gaps, and a name that is not a number."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(size=n))
    warmth = np.round(15 + walk, 1).astype(np.float32)
    warmth[rng.random(n) < 0.05] = np.nan
    columns = {
        "name": [f"station {i % 3}" for i in range(n)],
        "ticks": pa.array(1_700_000_000_000_000_000 + 60_000_000_000 * np.arange(n)).cast(
            pa.timestamp("ns", "UTC")
        ),
        "pressure": pa.array(np.round(1000 + walk / 4, 2), mask=rng.random(n) < 0.03),
        "warmth": pa.array(warmth, from_pandas=False),
        "count": pa.array(np.abs(walk * 7).astype(np.int16), mask=rng.random(n) < 0.1),
        "open": pa.array(walk > 0),
        "place": pa.array(np.arange(n) % 17),
        "far": pa.array(rng.integers(0, 1 << 63, n, np.uint64)),
    }
    fields = [pa.field(name, pa.array(values).type) for name, values in columns.items()]
    fields[3] = fields[3].with_metadata({"unit": "°C"})
    fields[5] = fields[5].with_nullable(False)
    return pa.table([pa.array(v) for v in columns.values()], pa.schema(fields, {"kept": "yes"}))


def same(found: pa.Table, expected: pa.Table) -> None:
    """Assert equality of schema, of nulls, and of all other values bit for bit."""
    assert found.schema.equals(expected.schema, check_metadata=True), found.schema
    assert len(found) == len(expected)
    for name in expected.schema.names:
        one, other = (t[name].combine_chunks() for t in (found, expected))
        one, other = (c.chunk(0) if isinstance(c, pa.ChunkedArray) else c for c in (one, other))
        unsigned = FLOATS.get(other.type)
        if unsigned is None:
            assert one.equals(other), name
            continue
        assert np.array_equal(one.is_valid(), other.is_valid()), name
        there = np.asarray(other.is_valid())
        bits = [bits_of(column, unsigned)[there] for column in (one, other)]
        assert np.array_equal(*bits), name


def bits_of(column: pa.Array, unsigned: Any) -> Array:
    return np.frombuffer(column.buffers()[1], unsigned)[column.offset :][: len(column)]
