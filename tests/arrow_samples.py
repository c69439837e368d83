"""Tables and columns that the Arrow tests share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from latrans import Codec

Array = np.ndarray[Any, Any]


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
