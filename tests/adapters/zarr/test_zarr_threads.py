"""Batches of Zarr's chunks among threads, event loops, forks, and at the interpreter's end."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import zarr
import zarr.core.codec_pipeline

import latrans
import latrans.zarr
from adapter_samples import assert_same_bits, create, make_array, make_pairs, run_python
from latrans.batch import queue
from latrans.zarr import LatransCodec


def picture(rows: int, columns: int) -> np.ndarray[Any, Any]:
    """Chunks of 8 x 8, none of them empty."""
    return make_array("|u1", (8 * rows, 8 * columns)) | 1


class TestThreads:
    def test_many_users_of_many_arrays(self):
        values = picture(10, 5)

        def there_and_back(seed: int) -> None:
            shifted = np.roll(values, seed)
            z = create("v3", data=shifted, chunks=(8, 8))  # 50 chunks
            for _ in range(2):
                assert_same_bits(z[:], shifted)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(there_and_back, range(8)))

    def test_loops_of_their_own(self):
        arrays = [make_array("<i2", (8, 8), seed) for seed in range(20)]
        expected = [latrans.encode(array) for array in arrays]

        async def encode() -> Any:
            work = [LatransCodec()._encode_single(*pair) for pair in make_pairs(arrays)]
            return [frame.to_bytes() for frame in await asyncio.gather(*work)]

        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(lambda _: asyncio.run(encode()), range(12)):
                assert found == expected

    def test_a_loop_within_a_loop(self):
        async def outer() -> None:
            values = picture(3, 3)
            z = create("v3", data=values, chunks=(8, 8))  # blocks this loop, as in a notebook
            assert_same_bits(z[:], values)
            await asyncio.gather(*(LatransCodec()._encode_single(*p) for p in make_pairs([values])))

        asyncio.run(outer())

    def test_threads_are_those_of_the_process(self, monkeypatch):
        monkeypatch.setenv("LATRANS_NUM_THREADS", "2")
        together, most = set(), []
        original = LatransCodec.code

        def code(self: Any, *arguments: Any) -> Any:
            together.add(threading.current_thread())
            most.append(len(together))
            time.sleep(0.002)
            together.remove(threading.current_thread())
            return original(self, *arguments)

        monkeypatch.setattr(LatransCodec, "code", code)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: create("v3", data=picture(4, 4), chunks=(8, 8)), range(4)))
        assert max(most) == 2

    def test_dask_threads(self):
        array = pytest.importorskip("dask.array")
        values = picture(8, 8)
        z = create("v3", data=values, chunks=(8, 8))
        doubled = array.from_zarr(z, chunks=(16, 32)).map_blocks(lambda b: b // 2)
        target = create("v3", shape=values.shape, dtype="u1", chunks=(8, 8))
        array.store(doubled, target, lock=False, scheduler="threads")
        assert_same_bits(target[:], values // 2)


def _there_and_back(_: int) -> bool:
    values = picture(4, 4)
    return bool((create("v3", data=values, chunks=(8, 8))[:] == values).all())


class TestProcesses:
    @pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_children_have_threads_of_their_own(self, method):
        assert _there_and_back(0)
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            assert pool.map_async(_there_and_back, range(4)).get(timeout=120) == [True] * 4

    def test_a_fork_while_threads_are_at_work(self):
        run_python(
            """
            import asyncio, os, threading
            from latrans.zarr import batching
            if not hasattr(os, "fork"):
                raise SystemExit

            class Slow:  # Zarr's own loop may not survive a fork at any moment: none is used here
                def code(self, kind, chunks, threads):
                    sum(range(20_000))
                    return chunks

            def there_and_back():
                work = batching.gather(Slow(), "encode", [(i, 1) for i in range(40)])
                assert asyncio.run(work) == list(range(40))

            ends = threading.Event()

            def always():
                while not ends.is_set():
                    there_and_back()

            busy = threading.Thread(target=always)
            busy.start()
            for _ in range(20):
                child = os.fork()
                if child == 0:
                    there_and_back()
                    os._exit(0)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            ends.set()
            busy.join()
            """
        )

    def test_at_the_end_of_the_interpreter(self):
        run_python(
            """
            import asyncio, atexit, numpy as np, latrans
            from latrans.zarr import batching

            class Echo:
                def code(self, kind, chunks, threads):
                    return chunks

            def late():
                assert asyncio.run(batching.gather(Echo(), "encode", [(5, 1), (6, 1)])) == [5, 6]
                print("done")

            atexit.register(late)
            """
        )

    def test_without_any_thread_the_caller_works(self, monkeypatch):
        def refuse(*_: Any, **__: Any) -> Any:
            raise RuntimeError("can't start new thread at interpreter shutdown")

        monkeypatch.setattr(queue.threading.Thread, "start", refuse)
        jobs: list[Any] = []
        alone = queue.ChunkQueue(lambda kind, n: None)

        class Echo:
            def code(self, kind: str, chunks: Any, threads: int) -> Any:
                return chunks

        class Future:
            def done(self) -> bool:
                return False

        work = [queue.Job(Echo(), "encode", i, 1, Future(), jobs.extend) for i in range(5)]
        alone.submit(work)
        assert sorted(job.result for job in jobs) == list(range(5))


FUSED = "zarr.core.codec_pipeline.FusedCodecPipeline"


@pytest.mark.skipif(
    not hasattr(zarr.core.codec_pipeline, "FusedCodecPipeline"), reason="Zarr of 3.3 or later"
)
class TestFusedPipeline:
    """Zarr's other pipeline, which calls one by one in as many threads as there are cores."""

    @pytest.fixture(autouse=True)
    def fused(self) -> Any:
        with zarr.config.set({"codec_pipeline.path": FUSED, "codec_pipeline.max_workers": 8}):
            yield

    @pytest.mark.parametrize("kind", ["v3", "v3-sharded", "v3-transposed"])
    def test_values_and_threads_are_those_asked_for(self, kind, monkeypatch):
        monkeypatch.setenv("LATRANS_NUM_THREADS", "1")
        at_work, most = [], []
        for name in ("encode_batch", "decode_batch"):
            original = getattr(latrans.Codec, name)

            def watched(*arguments: Any, original: Any = original) -> Any:
                at_work.append(1)
                most.append(len(at_work))
                time.sleep(0.001)
                try:
                    return original(*arguments)
                finally:
                    at_work.pop()

            monkeypatch.setattr(latrans.Codec, name, watched)
        values = picture(8, 6)
        z = create(kind, data=values, chunks=(8, 8))
        assert_same_bits(z[:], values)
        assert max(most) == 1

    def test_an_array_with_a_batch_size_has_such_batches(self, monkeypatch):
        monkeypatch.setenv("LATRANS_ENGINE", "native")
        monkeypatch.setattr(queue, "_DEVICE_ENGINE", "native")  # batches as one
        values, store = picture(20, 20), {}
        with latrans.zarr.batch_sizes() as sizes:
            latrans.zarr.create(store, data=values, chunks=(8, 8), batch_size=16)
            assert_same_bits(latrans.zarr.open(store, batch_size=16)[:], values)
        assert max(sizes.encode) > 16
        assert max(sizes.decode) > 16
