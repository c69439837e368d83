"""Zarr arrays of a thousand chunks, written and read one chunk per thread or in batches.

    python benchmarks/zarr_batches.py --sides 32,128 --runs 5
    python benchmarks/zarr_batches.py --only threads --threads 10

Every run takes all variants in turn, and medians are printed.  On a machine with other work a
variant of more threads gets more of it, so CPU seconds say more there.  The variants:

    one by one   a chunk per thread of Zarr's own pool (`asyncio.to_thread`)
    batches      what `latrans.zarr` does
    threads      `_encode_sync` and `_decode_sync` called by a pool of `--threads`, as format 2 and
                 Zarr's fused pipeline do; no Zarr around it
    joined       the same, but every thread hands its chunk to the batches and waits
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import zarr
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import cpu, default_buffer_prototype
from zarr.core.dtype import get_data_type_from_native_dtype

import latrans.zarr
from latrans.batch.queue import ChunkQueue, Job
from latrans.zarr import LatransCodec

ROWS, COLUMNS = 25, 40
Array = np.ndarray[Any, Any]


class OneByOne(LatransCodec):
    """Every chunk in a thread of Zarr's pool."""

    async def encode(self, chunks_and_specs: Iterable[Any]) -> list[Any]:
        return [
            None if chunk is None else await asyncio.to_thread(self._encode_sync, chunk, spec)
            for chunk, spec in chunks_and_specs
        ]

    async def decode(self, chunks_and_specs: Iterable[Any]) -> list[Any]:
        return [
            None if chunk is None else await asyncio.to_thread(self._decode_sync, chunk, spec)
            for chunk, spec in chunks_and_specs
        ]


def picture(side: int) -> Array:
    """Smooth 16-bit values with noise."""
    rng = np.random.default_rng(0)
    rows, columns = np.arange(ROWS * side)[:, None], np.arange(COLUMNS * side)
    smooth = 2000 + 900 * np.sin(rows / 37) + 700 * np.cos(columns / 23)
    return (smooth + rng.normal(0, 6, smooth.shape)).astype(np.uint16)


def by_zarr(codec: LatransCodec, values: Array, side: int, place: str) -> dict[str, float]:
    """Seconds and mean batches of a write and a read."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, latrans.zarr.batch_sizes() as sizes:
        array = zarr.create_array(
            zarr.storage.MemoryStore() if place == "memory" else folder,
            shape=values.shape, dtype=values.dtype, chunks=(side, side), serializer=codec,
            compressors=None, overwrite=True,
        )  # fmt: skip
        with _timed("encode", found):
            array[:] = values
        with _timed("decode", found):
            back = array[:]
    assert np.array_equal(back, values)
    return found | _means(sizes.encode, sizes.decode)


def by_threads(values: Array, side: int, threads: int, joined: bool) -> dict[str, float]:
    """The same without Zarr: chunks of a pool of threads."""
    codec = LatransCodec()
    spec = ArraySpec(
        shape=(side, side), dtype=get_data_type_from_native_dtype(values.dtype), fill_value=0,
        config=ArrayConfig(order="C", write_empty_chunks=False),
        prototype=default_buffer_prototype(),
    )  # fmt: skip
    counts: dict[str, list[int]] = {"encode": [], "decode": []}
    station = ChunkQueue(lambda kind, n: counts[kind].append(n))

    def code(kind: str, chunk: Any) -> Any:
        if not joined:
            return codec.code(kind, [(chunk, spec)], 1)[0]
        future: Future[Any] = Future()
        nbytes = side * side * values.itemsize if kind == "encode" else len(chunk)
        deliver = lambda jobs: [job.future.set_result(job.result) for job in jobs]  # noqa: E731
        station.submit([Job(codec, kind, (chunk, spec), nbytes, future, deliver)])
        return future.result()

    tiles = values.reshape(ROWS, side, COLUMNS, side).swapaxes(1, 2).reshape(-1, side, side)
    chunks = [cpu.NDBuffer.from_numpy_array(tile) for tile in tiles]
    found: dict[str, float] = {}
    with ThreadPoolExecutor(threads) as pool:
        with _timed("encode", found):
            frames = list(pool.map(lambda chunk: code("encode", chunk), chunks))
        with _timed("decode", found):
            list(pool.map(lambda frame: code("decode", frame), frames))
    return found | _means(counts["encode"], counts["decode"])


@contextmanager
def _timed(kind: str, found: dict[str, float]) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    found[kind] = time.perf_counter() - wall
    found[f"{kind} CPU"] = time.process_time() - cpu


def _means(encode: list[int], decode: list[int]) -> dict[str, float]:
    means = {"encode batch": encode, "decode batch": decode}
    return {name: float(np.mean(sizes or [1])) for name, sizes in means.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", default="32,128", help="of square chunks")
    parser.add_argument("--only", default="", metavar="TEXT,...", help="variants that contain one")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=10)
    parser.add_argument("--concurrency", type=int, default=10, help="Zarr's async.concurrency")
    args = parser.parse_args()
    print(f"{'':28s}write, s:  wall    CPU  chunks a batch   read, s:  wall    CPU  chunks a batch")
    for side in map(int, args.sides.split(",")):
        variants = _variants(picture(side), side, args.threads)
        chosen = [v for v in variants if any(text in v for text in args.only.split(","))]
        results: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
        with zarr.config.set({"async.concurrency": args.concurrency}):
            for _ in range(args.runs):
                for name in chosen:
                    results[name].append(variants[name]())
        for name, found in results.items():
            row = {key: median(run[key] for run in found) for key in found[0]}
            print(
                f"{f'{side} x {side}, {name}':36s}{row['encode']:8.2f}{row['encode CPU']:7.2f}"
                f"{row['encode batch']:8.1f}{row['decode']:24.2f}{row['decode CPU']:7.2f}"
                f"{row['decode batch']:8.1f}"
            )


def _variants(values: Array, side: int, threads: int) -> dict[str, Callable[[], dict[str, float]]]:
    variants: dict[str, Callable[[], dict[str, float]]] = {}
    for place in ("memory", "local"):
        for name, codec in (("one by one", OneByOne()), ("batches", LatransCodec())):
            variants[f"{place}, {name}"] = partial(by_zarr, codec, values, side, place)
    for name, joined in (("threads", False), ("joined threads", True)):
        variants[name] = partial(by_threads, values, side, threads, joined)
    return variants


if __name__ == "__main__":
    main()
