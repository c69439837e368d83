"""Arrays and Zarr arrays that the adapter tests share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import BufferPrototype, cpu, default_buffer_prototype
from zarr.core.dtype import get_data_type_from_native_dtype

from latrans.numcodecs import Latrans
from latrans.zarr import LatransCodec

ABSENT = "sha256:" + "0" * 64  # a model that nobody has

# Every way in which a Zarr array can carry the codec.
KINDS = ("v2", "v2-filter", "v2-filter-then-zstd", "v3", "v3-sharded", "v3-transposed")

every_kind = pytest.mark.parametrize("kind", KINDS)
whole_chunks = pytest.mark.parametrize("kind", ["v2", "v3"])  # a file is a frame

DTYPES = (
    "|u1", "|i1", "<u2", "<i2", ">u2", ">i2", "<u4", "<i4", ">i4", "<u8", "<i8", ">i8",
    "<f2", "<f4", ">f4", "<f8", ">f8", "<c8", ">c16", "|b1",
    "<M8[s]", ">M8[ns]", "<m8[ms]", "<U3", ">U3", "|S3", "|V4", "struct",
)  # fmt: skip


def make_dtype(name: str) -> np.dtype[Any]:
    return np.dtype([("a", ">i2"), ("b", "<f8")] if name == "struct" else name)


def make_array(name: str, shape: tuple[int, ...] = (20, 12), seed: int = 1) -> np.ndarray[Any, Any]:
    """Values of any dtype that look a little like data: smooth, with noise."""
    dtype = make_dtype(name)
    rng = np.random.default_rng(seed)
    n = int(np.prod(shape))
    wave = 40 * np.sin(np.arange(n) / 9) + rng.normal(0, 3, n)
    if dtype.names:
        flat = np.zeros(n, dtype)
        for field in dtype.names:
            flat[field] = wave
    elif dtype.kind in "US":
        flat = np.array([f"{int(v) % 997}" for v in wave], dtype)
    elif dtype.kind == "V":
        flat = np.frombuffer(rng.integers(0, 256, n * dtype.itemsize, np.uint8).tobytes(), dtype)
    elif dtype.kind == "b":
        flat = wave > 0
    elif dtype.kind == "u":
        flat = (wave + 60).clip(0).astype(dtype)
    elif dtype.kind in "Mm":
        flat = np.round(wave * 1e6).astype(np.int64).astype(dtype)
    else:
        flat = wave.astype(dtype)
    return flat.reshape(shape).copy()


def make_spec(
    shape: tuple[int, ...],
    dtype: Any,
    order: str = "C",
    prototype: BufferPrototype | None = None,
) -> ArraySpec:
    """What Zarr tells a codec about a chunk."""
    return ArraySpec(
        shape=shape,
        dtype=get_data_type_from_native_dtype(np.dtype(dtype)),
        fill_value=0,
        config=ArrayConfig(order=order, write_empty_chunks=False),
        prototype=prototype or default_buffer_prototype(),
    )


def make_pair(array: np.ndarray[Any, Any]) -> tuple[Any, ArraySpec]:
    """A chunk as Zarr hands it to a codec."""
    return cpu.NDBuffer.from_numpy_array(array), make_spec(array.shape, array.dtype)


def make_pairs(arrays: list[np.ndarray[Any, Any]]) -> list[tuple[Any, ArraySpec]]:
    """Chunks as Zarr hands them to a codec."""
    return [make_pair(array) for array in arrays]


def create(
    kind: str, store: Any = None, codec: dict[str, Any] | None = None, **array: Any
) -> zarr.Array[Any]:
    """Create a Zarr array that stores its chunks with latrans."""
    store = {} if store is None else store
    codec = codec or {}
    if "data" in array:
        array["shape"], array["dtype"] = array["data"].shape, array["data"].dtype
    chunks = array.setdefault("chunks", tuple(max(1, n // 2) for n in array["shape"]))
    data = array.pop("data", None)
    order = array.pop("order", "C")
    if kind.startswith("v2"):
        zstd = {"id": "zstd", "level": 1} if kind.endswith("zstd") else None
        slots = {
            "filters": [Latrans(**codec)] if "filter" in kind else None,
            "compressors": zstd if "filter" in kind else Latrans(**codec),
        }
        z = zarr.create_array(store, zarr_format=2, order=order, **slots, **array)
    else:
        if kind == "v3-sharded":
            array["shards"] = tuple(2 * n for n in chunks)
        if kind == "v3-transposed":
            axes = tuple(reversed(range(len(array["shape"]))))
            array["filters"] = [zarr.codecs.TransposeCodec(order=axes)]
        array.setdefault("serializer", LatransCodec(**codec))
        z = zarr.create_array(store, compressors=None, config={"order": order}, **array)
    if data is not None:
        z[...] = data
    return z


def chunk_files(root: Path) -> list[Path]:
    """Files of a Zarr array that hold chunks."""
    return [p for p in root.rglob("*") if p.is_file() and p.name[0] not in ".z"]


def assert_same_bits(found: Any, expected: np.ndarray[Any, Any]) -> None:
    """Equal shape, dtype up to byte order, and every bit (NaN payloads and -0.0 included)."""
    found = np.asarray(found)
    assert found.shape == expected.shape
    assert found.dtype.newbyteorder("<") == expected.dtype.newbyteorder("<")
    assert found.astype(expected.dtype).tobytes() == expected.tobytes()


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


# For subprocesses: whoever is started in the background ignores interrupts, and so do its children.
heed_interrupts = None if os.name == "nt" else _heed_interrupts


def run_python(source: str, **environment: str) -> None:
    """Run statements in an interpreter of their own."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
